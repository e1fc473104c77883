"""One head with one recipe, trained on some cases of a study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from wsi.mil import Head, HeadSpec
from wsi.train.checkpoint import Epoch
from wsi.train.linear import fit_linear_head
from wsi.train.linear_head import LINEAR
from wsi.train.loop import Fit, read_logits
from wsi.train.recipe import Recipe
from wsi.train.repeatable import repeatable
from wsi.train.start import start_head
from wsi.train.study import Study
from wsi.train.tasks import Floats, Task, fitted, loss_mass, loss_sum


@dataclass(frozen=True, slots=True)
class Candidate:
    """What can be chosen: the head and how it is trained."""

    spec: HeadSpec
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Trained:
    """A head with its best weights, the task with what was taken from its training cases, and what each epoch gave."""

    head: Head
    task: Task
    epochs: tuple[Epoch, ...]

    @property
    def best(self) -> Epoch:
        """The epoch whose weights were kept."""
        known = [epoch for epoch in self.epochs if np.isfinite(epoch.validation_loss)]
        return min(known, key=lambda epoch: epoch.validation_loss) if known else self.epochs[-1]


def train_head(
    study: Study,
    candidate: Candidate,
    train: Sequence[int],
    validation: Sequence[int],
    checkpoint: Path,
    *,
    place: tuple[int, ...],
    watch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train one head, or read it from its checkpoint when it is done.

    Args:
        train, validation: places in the cohort. Class weights and a regression's scale are the training cases'.
        place: of the fit in the study; its seed is drawn from it.

    Raises:
        ArtifactError: the checkpoint was made from other data, splits or settings.
    """
    task = fitted(study.task, study.labels[list(train)], balanced=candidate.recipe.balanced)
    if study.config.head.aggregate == LINEAR:
        return _centered(_fit_linear(study, candidate, task, train, validation, watch), study, candidate, train)
    head = start_head(candidate.spec, study.bags.dim, seed=study.seed(*place))
    fit = Fit(head, task, candidate.recipe, study.cases, train, validation, study.seed(*place))
    key = study.key(candidate, tuple(train), tuple(validation), place)
    return _centered(Trained(head, task, fit.run(checkpoint, key=key, watch=watch)), study, candidate, train)


def _fit_linear(
    study: Study,
    candidate: Candidate,
    task: Task,
    train: Sequence[int],
    validation: Sequence[int],
    watch: Callable[[Epoch], None] | None,
) -> Trained:
    """Return the head "linear"; it takes a second, so it leaves no checkpoint, and its fit is told as one epoch."""
    with repeatable(torch.device("cpu"), threads=candidate.recipe.threads):
        bare = Trained(fit_linear_head(study, task, train), task, ())
    losses = [
        mean_loss(logits_of(bare, study, places, candidate.recipe), study.labels[list(places)], task)
        for places in (train, validation)
    ]
    epoch = Epoch(0, losses[0], losses[1], 0.0)
    if watch is not None:
        watch(epoch)
    return replace(bare, epochs=(epoch,))


def _centered(trained: Trained, study: Study, candidate: Candidate, train: Sequence[int]) -> Trained:
    """Return it with the log hazard of a Cox model's mean training case, which its loss leaves open."""
    if not trained.task.joint:
        return trained
    center = float(logits_of(trained, study, train, candidate.recipe).mean())
    return replace(trained, task=replace(trained.task, center=center))


def logits_of(trained: Trained, study: Study, places: Sequence[int], recipe: Recipe) -> Floats:
    """Return the logits `(cases, C)` float64 of whole bags."""
    with repeatable(next(trained.head.parameters()).device, threads=recipe.threads):
        return read_logits(trained.head, study.cases.read, places).double().numpy()


def mean_loss(logits: Floats, labels: Floats, task: Task) -> float:
    """Return the mean loss over the labels that are known; NaN when none is."""
    wanted = torch.from_numpy(labels)
    mass = loss_mass(wanted, task)
    return float(loss_sum(torch.from_numpy(logits), wanted, task)) / mass if mass else float("nan")
