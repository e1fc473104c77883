"""Whether probabilities say what happens: Brier score, calibration error, reliability, slope and intercept."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from wsi.evaluate.binary import Binary, Ints, Patients, binary, patient_index
from wsi.evaluate.classes import classified
from wsi.evaluate.figure import Figure
from wsi.evaluate.logistic import Line, fit_line
from wsi.evaluate.predictions import log_odds
from wsi.evaluate.proportion import share

Bins = Literal["width", "count"]


@dataclass(frozen=True, slots=True)
class Bin:
    """Cases of like probability: the mean that was said, and the share that happened."""

    said: float
    happened: Figure


def brier(labels: ArrayLike, probabilities: ArrayLike) -> Figure:
    """Return the mean squared error of probabilities; 0 is best.

    Args:
        labels: `(n,)` 0 and 1, or with `(n, K)` probabilities the place of the true class.
        probabilities: `(n,)` of the positive class, or `(n, K)`: then summed over the classes, 0 to 2.

    Source: Brier 1950; for two classes the usual half of it.
    """
    if np.ndim(probabilities) == 2:
        cases = classified(labels, np.asarray(probabilities))
        if cases.reason:
            return cases.no("Brier score")
        hot = np.eye(cases.classes)[cases.truth]
        return Figure("Brier score", float(((cases.probabilities - hot) ** 2).sum(axis=1).mean()), n=cases.n)
    chances = _chances(labels, probabilities)
    if chances.reason:
        return chances.no("Brier score")
    value = float(((chances.scores - chances.labels) ** 2).mean())
    return Figure("Brier score", value, n=chances.n, count=chances.positives)


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 10, by: Bins = "width"
) -> Figure:
    """Return the mean gap between what was said and what happened, over bins weighted by their cases.

    Args:
        labels, probabilities: as for `brier`; of `(n, K)` only the likeliest class is looked at.
        by: bins of equal width, or of equal count. Few cases make the error look larger than it is.

    Source: Naeini et al. 2015; Guo et al. 2017, eq. 3.
    """
    name = "Calibration error (ECE)"
    if np.ndim(probabilities) == 2:
        several = classified(labels, np.asarray(probabilities))
        if several.reason:
            return several.no(name)
        top = several.probabilities.argmax(axis=1)
        cases = binary(top == several.truth, several.probabilities.max(axis=1), both=False)
    else:
        cases = _chances(labels, probabilities)
    if cases.reason:
        return cases.no(name)
    gap = sum(len(p) * abs(cases.labels[p].mean() - cases.scores[p].mean()) for p in _parts(cases, bins, by))
    why = "no interval: of few cases the error looks larger than it is, and draws of them larger still"
    return Figure(name, float(gap / cases.n), n=cases.n, count=cases.positives, reason=why)


def reliability(
    labels: ArrayLike, probabilities: ArrayLike, *, patients: Patients = None, bins: int = 10, by: Bins = "count"
) -> tuple[Bin, ...]:
    """Return the bins that hold a case, by rising probability, each share with Wilson's interval.

    Nothing where labels are missing or probabilities aren't numbers.
    """
    cases = _chances(labels, probabilities)
    if cases.reason:
        return ()
    owner = np.arange(cases.n) if patients is None else np.asarray(patients)
    return tuple(
        Bin(float(cases.scores[p].mean()), share("happened", cases.labels[p], patients=owner[p]))
        for p in _parts(cases, bins, by)
    )


def calibration_slope(
    labels: ArrayLike, probabilities: ArrayLike, *, patients: Patients = None, level: float = 0.95
) -> tuple[Figure, Figure]:
    """Return the slope of the outcome over the log odds that were said (1 is right, less: too sure), and the intercept
    with that slope held at 1 (0 is right, less: probabilities are too high).

    Intervals are Wald's; where patients have several cases, of the sandwich variance over patients.

    Source: Cox 1958; Steyerberg 2019, section 15.3; Liang and Zeger 1986 for the sandwich.
    """
    names = ("Calibration slope", "Calibration intercept")
    cases = _chances(labels, probabilities, both=True)
    if cases.reason:
        return cases.no(names[0]), cases.no(names[1])
    x, y, owner = log_odds(cases.scores), cases.labels.astype(np.float64), patient_index(patients, cases.n)
    free, held = fit_line(x, y, owner=owner), fit_line(x, y, slope=1.0, owner=owner)
    z = float(ndtri((1 + level) / 2))
    slope = _line_figure(names[0], free, free.slope, z * float(free.covariance[0, 0]) ** 0.5, cases, owner)
    return slope, _line_figure(names[1], held, held.intercept, z * float(held.covariance[1, 1]) ** 0.5, cases, owner)


def _line_figure(name: str, line: Line, value: float, width: float, cases: Binary, owner: Ints) -> Figure:
    figure = Figure(name, value, n=cases.n, count=cases.positives, patients=int(owner.max()) + 1)
    if not line.converged:
        reason = "the probabilities tell the classes apart without error, or are all the same"
        return Figure.not_estimable(name, reason, n=cases.n, count=cases.positives)
    if figure.patients == 1:
        return replace(figure, reason="no interval: all cases are of one patient")
    method = "Wald" if figure.patients == cases.n else "Wald, sandwich over patients"
    return replace(figure, low=value - width, high=value + width, method=method)


def _chances(labels: ArrayLike, probabilities: ArrayLike, *, both: bool = False) -> Binary:
    """Return checked cases whose scores are probabilities.

    Raises:
        ValueError: one lies outside 0-1.
    """
    cases = binary(labels, probabilities, both=both)
    finite = cases.scores[np.isfinite(cases.scores)]
    if len(finite) and (finite.min() < -1e-9 or finite.max() > 1 + 1e-9):
        raise ValueError(f"probabilities lie from 0 to 1, found {finite.min():g} to {finite.max():g}")
    return cases


def _parts(cases: Binary, bins: int, by: Bins) -> list[Ints]:
    """Return the places of the cases of each bin that holds any; equal probabilities stay together."""
    if by == "width":
        number = np.minimum((cases.scores * bins).astype(np.int64), bins - 1)
    else:
        order = np.argsort(np.argsort(cases.scores, kind="stable"), kind="stable")
        _, first = np.unique(cases.scores, return_inverse=True)
        lowest = np.full(first.max() + 1, cases.n)
        np.minimum.at(lowest, first, order)
        number = lowest[first] * bins // cases.n
    return [np.flatnonzero(number == one) for one in np.unique(number)]
