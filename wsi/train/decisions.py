"""What is fitted to validation cases after training: a calibration, a threshold, a rule to refer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch

from wsi.errors import UsageError
from wsi.evaluate import (
    ClassKind,
    ReferralRule,
    Temperature,
    Test,
    Threshold,
    Validation,
    choose_threshold,
    fit_referral,
    fit_temperature,
)
from wsi.train.study import Study
from wsi.train.tasks import Floats, Task, cumulative, is_known

HALF = 0.5


@dataclass(frozen=True, slots=True)
class Decisions:
    """None where the target has no such thing, or the validation cases allow none; `lacking` says why."""

    temperature: Temperature | None = None
    threshold: Threshold | None = None
    referral: ReferralRule | None = None
    lacking: str = ""

    def calibrated(self, test: Test) -> Test:
        """Return the test cases with calibrated logits."""
        return test if self.temperature is None else self.temperature.apply(test)

    def called(self, test: Test) -> np.ndarray:
        """Return the place of the called class of each calibrated case, `(n,)`."""
        if self.threshold is not None:
            return self.threshold.call(test).astype(np.int64)
        return np.asarray(test.probabilities.argmax(axis=1))

    def referred(self, test: Test) -> np.ndarray:
        """Return which calibrated cases a person must see, `(n,)` bool."""
        if self.referral is None:
            return np.zeros(len(test.cases), bool)
        return self.referral.refer(test)


def decide(validation: Validation | None, *, rule: str, alpha: float, calibrate: bool = True) -> Decisions:
    """Return what these validation cases allow.

    Args:
        rule, alpha: see `choose_threshold` and `fit_referral`.
        calibrate: False leaves the logits as they are.

    A target of two classes always has a threshold: where none can be chosen, a half that nobody chose.
    """
    if validation is None:
        return Decisions()
    lacking, stated = "", None
    if validation.kind == "binary":
        stated = Threshold.stated(HALF, by="convention: no validation case chose it")
    try:
        temperature = fit_temperature(validation) if calibrate else None
        calibrated = validation if temperature is None else temperature.apply(validation)
        referral = fit_referral(calibrated, alpha=alpha)
    except UsageError as error:
        return Decisions(threshold=stated, lacking=str(error))
    try:
        threshold = choose_threshold(calibrated, rule=rule) if stated is not None else None
    except UsageError as error:
        threshold, lacking = stated, str(error)
    if threshold is not None:
        referral = referral.with_calls(threshold, calibrated)
    return Decisions(temperature, threshold, referral, lacking)


def validation_of(study: Study, task: Task, places: Sequence[int], logits: Floats) -> Validation | None:
    """Return the labeled ones of these cases as `Validation`; None for targets without single classes, or none."""
    known = is_known(study.labels[list(places)], task)
    kept = [place for place, yes in zip(places, known.tolist(), strict=True) if yes]
    kind = class_kind(task)
    if kind is None or not kept:
        return None
    return Validation(kind, study.labels[kept, 0], _plain(logits[known], task), *_names(study, kept))


def test_of(study: Study, task: Task, places: Sequence[int], logits: Floats) -> Test | None:
    """Return cases, labeled or not, as `Test`; None for targets without single classes."""
    kind = class_kind(task)
    if kind is None:
        return None
    return Test(kind, study.labels[list(places), 0], _plain(logits, task), *_names(study, places))


def class_kind(task: Task) -> ClassKind | None:
    """Return the kind of a target whose cases are of one class each; None for others."""
    return next((kind for kind in get_args(ClassKind) if kind == task.kind), None)


def _plain(logits: Floats, task: Task) -> Floats:
    found: Floats = cumulative(torch.from_numpy(logits), task).numpy()
    return found


def _names(study: Study, places: Sequence[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    cases = [study.cohort.cases[i] for i in places]
    return tuple(case.id for case in cases), tuple(case.patient for case in cases)
