"""A training run before its first step: cases, task, head, folds, and a name for all that its result depends on."""

import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from wsi.errors import LabelsError, UsageError, did_you_mean
from wsi.mil import HeadSpec, make_head
from wsi.publish import sha256_bytes, sha256_file
from wsi.train.background import Background, find_background
from wsi.train.bags import Bags
from wsi.train.cohort import Cohort
from wsi.train.labels import Target
from wsi.train.linear_head import LINEAR, linear_spec
from wsi.train.loop import Cases
from wsi.train.seal import Splits
from wsi.train.settings import TrainConfig, head_spec
from wsi.train.splits import make_splits
from wsi.train.tasks import Floats, Task


@dataclass(frozen=True)
class Study:
    """What is trained on what. labels `(cases, W)`, see `wsi.train.tasks`."""

    cohort: Cohort
    target: Target
    splits: Splits
    config: TrainConfig
    task: Task
    bags: Bags
    background: Background = field(default_factory=Background)

    @property
    def spec(self) -> HeadSpec:
        """The head that the settings tell for this task."""
        if self.config.head.aggregate == LINEAR:
            return linear_spec(self.task)
        return head_spec(
            self.config.head,
            self.task.kind,
            classes=len(self.task.classes) or 2,
            cuts=self.task.outputs if self.task.edges else 0,
        )

    @cached_property
    def labels(self) -> Floats:
        return self.cohort.labels(self.target.name)

    @property
    def cases(self) -> Cases:
        return Cases(self.bags.__getitem__, self.labels)

    @cached_property
    def data_digest(self) -> str:
        """A sha256 over ids, patients, labels and the bytes of the features."""
        paths = {file.path for file in (*self.cohort.files.values(), *self.background.bags)}
        files = {path: sha256_file(path) for path in sorted(paths)}
        lines = [
            [
                case.id,
                case.patient,
                *(f"{files[self.cohort.files[s].path]} {self.cohort.files[s].bag}" for s in case.slides),
            ]
            for case in self.cohort.cases
        ]
        told = {
            "target": asdict(self.target),
            "cases": lines,
            "labels": [list(map(repr, row)) for row in self.labels.tolist()],
        }
        if self.background.bags:
            told["background"] = [f"{files[bag.path]} {bag.bag}" for bag in self.background.bags]
        return sha256_bytes(json.dumps(told, sort_keys=True).encode())

    def key(self, *more: object) -> str:
        """Return a name for a fit: another one where its data, folds, settings or `more` differ."""
        told = [self.data_digest, self.splits.digest, self.config.seed, repr(self.task), *map(repr, more)]
        return sha256_bytes(json.dumps(told).encode())

    def seed(self, *place: int) -> int:
        """Return a seed for a place (a fold, a trial), drawn from that of the settings."""
        return int(np.random.SeedSequence([self.config.seed, *place]).generate_state(1)[0])


def plan_splits(cohort: Cohort, config: TrainConfig) -> Splits:
    """Return the folds that the settings ask for.

    Raises:
        UsageError: repeats of a scheme that has none, or folds of a file that wasn't given. And see `make_splits`.
    """
    chosen = config.splits
    if chosen.scheme == "file":
        raise UsageError("splits.scheme: file needs the file; give it with --splits FILE")
    if chosen.repeats > 1 and chosen.scheme != "repeated-k-fold":
        raise UsageError(
            f"splits.repeats: {chosen.repeats} is for repeated-k-fold, found {chosen.scheme}; give --scheme"
        )
    return make_splits(
        cohort,
        scheme=chosen.scheme,
        folds=chosen.folds,
        repeats=chosen.repeats,
        seed=config.seed,
        site=chosen.keep_sites,
        validation=chosen.validation,
        holdout=chosen.holdout,
        inner=chosen.inner,
    )


def make_study(cohort: Cohort, splits: Splits, config: TrainConfig, *, target: str) -> Study:
    """Return the study of one target of a cohort.

    Raises:
        UsageError: a head, background, codes, link or time bins that this target can't have.
        LabelsError: no features where the background should be, no event, or a fold that trains on no label.
    """
    asked = cohort.target(target)
    labels = cohort.labels(target)
    for name in config.model.codes:
        if name not in asked.classes:
            known = ", ".join(asked.classes) or "none"
            near = did_you_mean(name, asked.classes)
            raise UsageError(f"model.codes: target {target!r} has no class {name!r}; its classes: {known}.{near}")
    task = Task(asked.kind, asked.classes, link=config.target.link, ties=config.target.ties)
    _refuse_untaught(asked, labels, splits)
    if asked.kind == "survival":
        task = replace(task, edges=time_edges(labels, config))
    elif asked.kind == "regression":
        center, scale = _unit(labels)
        task = replace(task, center=center, scale=scale)
    if asked.kind != "survival" and (config.target.edges or config.target.bins):
        raise UsageError(f"target {target!r} is {asked.kind}: time bins are for survival")
    if asked.kind != "ordinal" and config.target.link != "cumulative":
        raise UsageError(f"target {target!r} is {asked.kind}: target.link {config.target.link} is for ordered grades")
    at = config.linear.background
    if at is not None and config.head.aggregate != LINEAR:
        raise UsageError(
            f"a background is for the head {LINEAR!r}, found {config.head.aggregate!r}; give --head {LINEAR}"
        )
    background = find_background(None if at is None else Path(at), cohort)
    study = Study(cohort, asked, splits, config, task, Bags(cohort), background)
    with torch.device("meta"):
        make_head(study.spec, 1)  # refuses what no head can be
    return study


def _refuse_untaught(target: Target, labels: Floats, splits: Splits) -> None:
    """Raise LabelsError where no case has the event, or a fold trains on no case with a label."""
    if target.kind == "survival" and not (labels[:, 1] > 0).any():
        raise LabelsError(
            f"target {target.name!r}: no case has an event, column {target.columns[1]!r} says 0 or nothing of all; "
            "expected 1 where it happened"
        )
    known = np.asarray(np.isfinite(labels).any(axis=1))
    for fold in splits.folds:
        if not known[list(fold.train)].any():
            raise LabelsError(
                f"{fold.name}: none of its {len(fold.train)} training cases has a label of {target.name!r}; "
                "give other splits, or fill in the labels"
            )


def _unit(labels: Floats) -> tuple[float, float]:
    """Return center and scale of a regression's values, to two digits: the unit it is learned in, the same for all folds."""
    known = labels[np.isfinite(labels)]
    return float(f"{known.mean():.2g}"), float(f"{known.std():.2g}") or 1.0


def time_edges(labels: Floats, config: TrainConfig) -> tuple[float, ...]:
    """Return the ends of the time bins: those given, else quantiles of the event times, to two digits.

    They say how time is asked about, not what is answered, so those of all cases are taken, and the folds share them.
    """
    given = config.target.edges
    if given:
        return tuple(sorted(set(given)))
    times = labels[labels[:, 1] > 0, 0]
    if config.target.bins < 2 or not len(times):
        return ()
    shares = np.arange(1, config.target.bins) / config.target.bins
    return tuple(sorted({float(f"{edge:.2g}") for edge in np.quantile(times, shares)} - {0.0}))
