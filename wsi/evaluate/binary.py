"""Labels and scores of a yes-or-no question, checked once for all figures over them."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsi.evaluate.figure import Figure

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Patients = Sequence[Hashable] | NDArray[np.generic] | None
"""Whose each case is; None: each case is a patient of its own."""


@dataclass(frozen=True, slots=True)
class Binary:
    """labels `(n,)` bool and scores `(n,)`; where `reason` isn't empty they allow no figure."""

    labels: Bools
    scores: Floats
    reason: str

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def positives(self) -> int:
        return int(self.labels.sum())

    def no(self, name: str) -> Figure:
        """Return the figure `name` as not estimable."""
        return Figure.not_estimable(name, self.reason, n=self.n, count=self.positives)


def binary(labels: ArrayLike, scores: ArrayLike, *, both: bool = True) -> Binary:
    """Return labels and scores in one form, and why they allow no figure.

    Args:
        labels: `(n,)` of 0 and 1, or bools; NaN: not known.
        scores: `(n,)`, higher means more positive.
        both: whether the figure needs cases of both classes.

    Raises:
        ValueError: shapes don't agree, or a label is something else.
    """
    truth, values = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(f"labels {truth.shape} and scores {values.shape} must be (n,) and agree")
    known = ~np.isnan(truth)
    if wrong := set(np.unique(truth[known])) - {0.0, 1.0}:
        raise ValueError(f"labels must be 0 or 1, found {min(wrong):g}")
    positive = known & (truth == 1)
    return Binary(positive, values, _lack(known, np.isfinite(values), positive, both=both))


def _lack(known: Bools, finite: Bools, positive: Bools, *, both: bool) -> str:
    n = len(known)
    if not n:
        return "there is no case"
    if missing := int((~known).sum()):
        return f"{missing} of {n} labels are missing"
    if wrong := int((~finite).sum()):
        return f"{wrong} of {n} scores are not finite numbers"
    if both and not positive.any():
        return f"no case is positive ({n} negative)"
    if both and positive.all():
        return f"no case is negative ({n} positive)"
    return ""


def patient_index(patients: Patients, n: int) -> Ints:
    """Return the number `(n,)` of each case's patient, from 0 on in order of appearance.

    Raises:
        ValueError: there are not as many as cases.
    """
    if patients is None:
        return np.arange(n)
    if len(patients) != n:
        raise ValueError(f"{len(patients)} patients for {n} cases")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(one, len(numbers)) for one in patients], np.int64)
