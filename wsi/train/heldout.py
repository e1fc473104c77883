"""What heads say of cases they never saw, one row a case: the only thing that figures are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from wsi.evaluate import Test, Validation
from wsi.train.crossval import FoldResult
from wsi.train.decisions import Decisions, decide, test_of, validation_of
from wsi.train.study import Study
from wsi.train.tasks import Floats, Task, predict


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows in order of the cohort; where a case was tested several times (repeats), the mean.

    places `(n,)` in the cohort. raw `(n, P)` is what `wsi.train.tasks.predict` makes of the logits as trained:
    comparable between folds; calibrated `(n, P)` by each fold's own calibration; baseline `(n, P)` the linear probe's.
    called `(n,)` is the place of the called class (of several folds, the most frequent), -1 for targets without;
    referred `(n,)` bool: most folds refer it. folds `(n,)`: names of the folds that tested it.
    """

    places: NDArray[np.int64]
    raw: Floats
    calibrated: Floats
    baseline: Floats
    called: NDArray[np.int64]
    referred: NDArray[np.bool_]
    folds: tuple[str, ...]

    def only(self, chosen: NDArray[np.bool_]) -> "HeldOut":
        """Return the chosen rows."""
        return HeldOut(
            places=self.places[chosen],
            raw=self.raw[chosen],
            calibrated=self.calibrated[chosen],
            baseline=self.baseline[chosen],
            called=self.called[chosen],
            referred=self.referred[chosen],
            folds=tuple(name for name, kept in zip(self.folds, chosen.tolist(), strict=True) if kept),
        )


@dataclass(frozen=True, slots=True)
class _Row:
    place: int
    fold: str
    raw: Floats
    calibrated: Floats
    baseline: Floats
    called: int
    referred: bool


def hold_out(study: Study, results: Sequence[FoldResult]) -> HeldOut:
    """Return the held-out predictions of trained folds; each fold's decisions come from its own validation cases."""
    rows: dict[int, list[_Row]] = {}
    for result in results:
        for row in _rows(study, result):
            rows.setdefault(row.place, []).append(row)
    places = sorted(rows)

    def mean(name: str) -> Floats:
        return np.stack([np.mean([getattr(row, name) for row in rows[i]], axis=0) for i in places])

    called = [np.bincount([row.called + 1 for row in rows[i]]).argmax() - 1 for i in places]
    return HeldOut(
        places=np.array(places, np.int64),
        raw=mean("raw"),
        calibrated=mean("calibrated"),
        baseline=mean("baseline"),
        called=np.array(called, np.int64),
        referred=mean("referred") > 0.5,
        folds=tuple(", ".join(row.fold for row in rows[i]) for i in places),
    )


def fold_decisions(study: Study, result: FoldResult) -> Decisions:
    """Return the decisions of a fold, from its validation cases alone."""
    validation = validation_of(study, result.trained.task, result.fold.validation, result.head.validation)
    return decided(study, validation)


def decided(study: Study, validation: Validation | None) -> Decisions:
    """Return the decisions that the study's settings make from validation cases.

    Conditional grades (CORN) stay uncalibrated: a temperature of what is shown isn't one of their logits.
    """
    model = study.config.model
    return decide(validation, rule=model.rule, alpha=model.alpha, calibrate=study.task.link == "cumulative")


def _rows(study: Study, result: FoldResult) -> list[_Row]:
    task, places = result.trained.task, result.fold.test
    raw = _predicted(result.head.test, task)
    calibrated, called, referred = raw, np.full(len(places), -1), np.zeros(len(places), bool)
    test = test_of(study, task, places, result.head.test)
    if test is not None:
        calibrated, called, referred = _decided(test, fold_decisions(study, result))
    baseline = _predicted(result.baseline.test, study.task)
    return [
        _Row(place, result.fold.name, raw[i], calibrated[i], baseline[i], int(called[i]), bool(referred[i]))
        for i, place in enumerate(places)
    ]


def _decided(test: Test, decisions: Decisions) -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]:
    calibrated = decisions.calibrated(test)
    return calibrated.probabilities, decisions.called(calibrated), decisions.referred(calibrated)


def _predicted(logits: Floats, task: Task) -> Floats:
    found: Floats = predict(torch.from_numpy(logits), task).numpy()
    return found
