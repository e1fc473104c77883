"""A whole training of a classifier of pictures: labels and pictures in; figures and a model folder out.

One network a fold, trained on the pictures of the other folds, says what the model is worth on pictures it never saw.
The model is the mean of their weights: one network, that saw them all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from wsi.card import EncoderCard
from wsi.encode.build import Pooled
from wsi.encode.load import load_network
from wsi.errors import ModelError
from wsi.mil import HeadSpec
from wsi.publish import sha256_bytes
from wsi.table import read_table
from wsi.train.briefing import Briefing, brief
from wsi.train.candidate import Candidate, Trained
from wsi.train.checkpoint import Epoch
from wsi.train.cohort import Cohort
from wsi.train.crossval import CHECKPOINT, FoldResult, Outputs
from wsi.train.decisions import Decisions, validation_of
from wsi.train.familiar import fit_familiar
from wsi.train.figures import HELD_OUT, Line, first_figure, make_figures
from wsi.train.gather import Ask, assemble
from wsi.train.heldout import HeldOut, decided, hold_out
from wsi.train.model_size import check_bytes
from wsi.train.picture_cases import PictureCases
from wsi.train.picture_fit import Fitting, Lesson
from wsi.train.picture_network import as_head, classifier_of, mean_weights, start_network
from wsi.train.picture_settings import PictureConfig
from wsi.train.picture_shifts import SHIFTS, Change
from wsi.train.pictures import locate_pictures
from wsi.train.probe import fit_probe
from wsi.train.recipe import Recipe
from wsi.train.run_folder import RunFolder
from wsi.train.seal import Fold, Splits
from wsi.train.splits import make_splits
from wsi.train.study import Study, make_study
from wsi.train.tasks import Floats, Task, fitted
from wsi.train.traits import TraitReader

Watch = Callable[[str, Epoch], None]


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """A training that was checked and not begun: one study a target, all of one cohort and the same folds."""

    config: PictureConfig
    cohort: Cohort
    splits: Splits
    studies: tuple[Study, ...]
    card: EncoderCard
    network: nn.Module
    widths: tuple[int, ...]
    encoder_sha256: str
    briefing: Briefing

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(study.task for study in self.studies)

    def key(self, fold: Fold) -> str:
        """Return a name for all that the network of a fold depends on."""
        config = self.config
        seen = config.input.model_dump_json(include={"channels", "preprocess", "window"})
        parts = [seen, config.fit.model_dump_json(), config.views.model_dump_json(), str(config.seed)]
        weights = [repr((one.weight, one.balanced)) for one in config.asked]
        told = [
            self.encoder_sha256,
            self.card.computed_by(),
            *parts,
            repr((config.turns, config.layers)),
            *weights,
            repr((fold.train, fold.test)),
        ]
        return sha256_bytes("\n".join([*told, *(study.key() for study in self.studies)]).encode())


@dataclass(frozen=True, slots=True)
class FoldNetwork:
    """What the network of a fold came to: its weights, what it says of its test pictures, and how far those lie.

    logits: of each task, `(test, C)`; shifted: those of the changed pictures, by the name of the change. distances
    `(test,)`: by the rule of the pictures it was trained on; () without.
    """

    fold: Fold
    weights: dict[str, Tensor]
    logits: tuple[Floats, ...]
    shifted: Mapping[str, tuple[Floats, ...]]
    distances: Floats
    epochs: tuple[Epoch, ...]


@dataclass(frozen=True, slots=True)
class Learned:
    """One target: what held-out pictures got, the figures of it, and the decisions that the model folder states."""

    study: Study
    held: HeldOut
    lines: tuple[Line, ...]
    decisions: Decisions


@dataclass(frozen=True, slots=True)
class PictureRun:
    """All that a model folder is made of: the network's mean weights, each target, and the familiar distances."""

    plan: PicturePlan
    weights: dict[str, Tensor]
    learned: tuple[Learned, ...]
    distances: Floats
    cases: PictureCases


def plan_pictures(
    labels: Path, folder: Path, config: PictureConfig, *, weights: Path | None = None, with_model: bool = True
) -> PicturePlan:
    """Read and check everything; nothing is trained or written.

    Pictures that are copies of one another are taken as one patient's, whatever the labels say.

    Raises:
        UsageError: (`with_model`) hidden layers that no model folder can have.
        LabelsError: the labels don't fit the pictures or themselves. ModelError, WeightsError: see `load_network`.
    """
    columns = config.data
    ask = Ask(
        tuple(one.wanted for one in config.asked),
        columns.patient,
        columns.slide,
        columns.site,
        absent=columns.absent,
        duplicates=columns.duplicates,
    )
    cohort = assemble(read_table(labels), locate_pictures(folder), ask, look=TraitReader())
    splits = make_splits(cohort, folds=config.folds, seed=config.seed, validation=0)
    studies = [make_study(cohort, splits, config.study(one), target=one.column) for one in config.asked]
    card, network, digest, _ = load_network(config.encoder, weights)
    widths: tuple[int, ...] = (card.dim,)
    if config.layers:
        network = _of_layers(card, network)
        with torch.inference_mode():
            widths = network.layer_widths(torch.zeros(1, 3, config.side_px, config.side_px))
        card = card.model_copy(update={"pooling": network.pooling, "dim": sum(widths)})
    if with_model and config.fit.hidden:
        _check_hidden(studies, card.dim, hidden=config.fit.hidden * len(splits.folds))
    return PicturePlan(config, cohort, splits, tuple(studies), card, network, widths, digest, brief(cohort, splits))


def _check_hidden(studies: Sequence[Study], dim: int, *, hidden: int) -> None:
    """Refuse hidden layers of all folds side by side that no model folder can have."""
    specs = [HeadSpec("mean", one.task.kind, len(one.task.classes), hidden=hidden) for one in studies]
    check_bytes(specs, dim, instead="lower fit.hidden, or make fewer folds")


def _of_layers(card: EncoderCard, network: nn.Module) -> Pooled:
    """Return an encoder that says what each of its layers comes to."""
    if not isinstance(network, Pooled):
        raise ModelError(f"{card.id} is no network of timm, which tell of their layers; set layers: false")
    return Pooled(network.network, "layers", prefix_tokens=card.prefix_tokens)


def train_pictures(plan: PicturePlan, folder: Path, *, watch: Watch | None = None) -> PictureRun:
    """Train what was planned, or go on with it; the holder of the folder's lock calls it.

    Args:
        folder: of the run: settings, folds and briefing; checkpoints; then figures and predictions of each target.
    """
    runs = [RunFolder(folder / one.slug) for one in plan.config.asked]
    for run, study in zip(runs, plan.studies, strict=True):
        run.begin(study.config, plan.cohort, plan.splits, plan.briefing)
    cases = _cases(plan)
    before = _fitting(plan, cases, Fold("", tuple(range(len(plan.cohort))), (), ())).embeddings(range(len(plan.cohort)))
    changed = {name: _cases(plan, change) for name, change in SHIFTS.items()} if plan.config.shifts else {}
    made = []
    for k, fold in enumerate(plan.splits.folds):
        told = None if watch is None else partial(watch, fold.name)
        fitting = _fitting(plan, cases, fold)
        fitting.known = before if plan.config.fit.train == "classifier" else None
        made.append(_train_fold(plan, fitting, changed, fold, folder / "folds" / str(k + 1) / CHECKPOINT, told))
    learned = [_learn(plan, at, made, before) for at in range(len(plan.studies))]
    for run, (one, results) in zip(runs, learned, strict=True):
        run.finish(one.study, results, one.held, one.lines)
    distances = np.concatenate([one.distances for one in made])
    weights = mean_weights([one.weights for one in made])
    return PictureRun(plan, weights, tuple(one for one, _ in learned), distances, cases)


def final_fitting(run: PictureRun) -> Fitting:
    """Return the model's own network, ready to read pictures."""
    folds = run.plan.splits.folds
    fitting = _fitting(run.plan, run.cases, folds[0], side_by_side=len(folds))
    fitting.network.load_state_dict(run.weights)
    return fitting


def _fitting(plan: PicturePlan, cases: PictureCases, fold: Fold, *, side_by_side: int = 1) -> Fitting:
    config, fit = plan.config, plan.config.fit
    tasks = [
        fitted(study.task, study.labels[list(fold.train)], balanced=asked.balanced)
        for study, asked in zip(plan.studies, config.asked, strict=True)
    ]
    lesson = Lesson(
        cases,
        tuple(tasks),
        tuple(study.labels for study in plan.studies),
        tuple(one.weight for one in config.asked),
        plan.card.transform.model_copy(update={"resize_px": None, "crop_px": None}),
    )
    network = start_network(
        deepcopy(plan.network),
        plan.card.dim,
        tasks,
        turns=config.turns,
        share=fit.dropout,
        seed=config.seed,
        hidden=fit.hidden * side_by_side,
    )
    return Fitting(network, lesson, config.fit, config.views, config.seed, plan.widths)


def _cases(plan: PicturePlan, change: Change | None = None) -> PictureCases:
    return PictureCases(plan.cohort, plan.config.input, side_px=plan.config.side_px, change=change)


def _train_fold(
    plan: PicturePlan,
    fitting: Fitting,
    changed: Mapping[str, PictureCases],
    fold: Fold,
    checkpoint: Path,
    watch: Callable[[Epoch], None] | None,
) -> FoldNetwork:
    epochs = fitting.run(fold.train, checkpoint, key=plan.key(fold), watch=watch)
    tested = fitting.embeddings(fold.test)
    distances = np.zeros(0)
    if (
        plan.config.model.familiar
        and (rule := fit_familiar(fitting.embeddings(fold.train), method="residual")) is not None
    ):
        distances = rule.distances(tested)
    shifted = {name: tuple(fitting.logits(fitting.embeddings(fold.test, read=read))) for name, read in changed.items()}
    return FoldNetwork(fold, dict(fitting.weights()), tuple(fitting.logits(tested)), shifted, distances, epochs)


def _learn(plan: PicturePlan, at: int, made: Sequence[FoldNetwork], before: Floats) -> tuple[Learned, list[FoldResult]]:
    """Return what one target came to, and its folds.

    Calibration, threshold and referral of a fold are fitted on the held-out pictures of the other folds, each of which
    was read by a network that never saw it; those of the model on all of them.
    """
    study = plan.studies[at]
    results = [_result(study, at, one, made, before) for one in made]
    held = hold_out(study, results)
    places = [place for one in made for place in one.fold.test]
    logits = np.concatenate([one.logits[at] for one in made])
    decisions = decided(study, validation_of(study, study.task, places, logits))
    lines = [*make_figures(study, held), *_shifted(study, at, made, before)]
    return Learned(study, held, tuple(lines), decisions), results


def _shifted(study: Study, at: int, made: Sequence[FoldNetwork], before: Floats) -> Iterator[Line]:
    """Yield the first figure of the held-out pictures after each change; nothing was fitted to changed ones."""
    for name in made[0].shifted:
        changed = []
        for one in made:
            own = _result(study, at, one, made, before)
            changed.append(replace(own, head=replace(own.head, test=one.shifted[name][at])))
        yield Line(f"{HELD_OUT}, {name}", first_figure(study, hold_out(study, changed)))


def _result(study: Study, at: int, own: FoldNetwork, made: Sequence[FoldNetwork], before: Floats) -> FoldResult:
    others = [one for one in made if one is not own]
    elsewhere = tuple(place for one in others for place in one.fold.test)
    fold = replace(own.fold, validation=elsewhere)
    heard = Outputs(np.concatenate([one.logits[at] for one in others]), own.logits[at])
    probe = fit_probe(before, study.labels, study.task, train=own.fold.train, validation=())
    baseline = Outputs(probe(before[list(elsewhere)]), probe(before[list(fold.test)]))
    head = as_head(classifier_of(own.weights, at, study.task, before.shape[1]), study.task, before.shape[1])
    candidate = Candidate(head.spec, Recipe(epochs=len(own.epochs)))
    return FoldResult(fold, candidate, Trained(head, study.task, own.epochs), heard, baseline)
