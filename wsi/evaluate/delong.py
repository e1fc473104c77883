"""The interval of an AUC from the placements of its cases, with several cases of one patient told apart.

Source: DeLong et al. 1988; Obuchowski 1997 where patients have several cases, which is the same where each has one.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtri, stdtrit

from wsi.evaluate.binary import Bools, Floats, Ints, Patients, binary, patient_index
from wsi.evaluate.figure import Figure
from wsi.evaluate.ranks import mean_ranks

Scale = Literal["logit", "linear"]
_TINY = 1e-9
"""A standard error below this is 0 but for rounding."""


@dataclass(frozen=True, slots=True)
class Areas:
    """AUCs `(m,)` of m models on the same cases, their covariance `(m, m)` and how well that is known.

    freedom `(m,)`: degrees of freedom of each variance, by Welch and Satterthwaite from the patients of either class.
    """

    values: Floats
    covariance: Floats
    freedom: Floats


def auc_interval(
    labels: ArrayLike, scores: ArrayLike, *, patients: Patients = None, level: float = 0.95, scale: Scale = "logit"
) -> Figure:
    """Return the AUC with its interval.

    Args:
        labels: `(n,)` of 0 and 1.
        scores: `(n,)`, higher means more positive.
        patients: `(n,)`; cases of one patient are no independent evidence.
        scale: "logit" makes the interval of log(A / (1 - A)), which stays within 0-1 and covers better near 1;
            "linear" is DeLong's own. Both take Student's quantile: with few patients the variance is a guess, too.

    An AUC whose estimated variance is 0 (every pair in order) gets the interval of Newcombe 2006, method 5.
    """
    cases = binary(labels, scores)
    if cases.reason:
        return cases.no("AUC")
    owner = patient_index(patients, cases.n)
    positive, negative = (len(np.unique(owner[one])) for one in (cases.labels, ~cases.labels))
    areas = area_covariance(cases.labels, cases.scores[None], owner)
    value, deviation = float(areas.values[0]), float(np.sqrt(max(areas.covariance[0, 0], 0.0)))
    figure = Figure("AUC", value, n=cases.n, count=cases.positives, patients=len(np.unique(owner)))
    if min(positive, negative) < 2:
        lone = "positive" if positive < 2 else "negative"
        return replace(figure, reason=f"no interval: all {lone} cases are of one patient")
    if deviation < _TINY:
        low, high = _newcombe(value, positive, negative, level)
        return replace(figure, low=low, high=high, method="Newcombe 2006")
    low, high = _ends(value, deviation, float(stdtrit(areas.freedom[0], (1 + level) / 2)), scale)
    kind = "DeLong" if figure.patients == cases.n else "Obuchowski, by patient"
    return replace(figure, low=low, high=high, method=f"{kind}, {scale} scale")


def area_covariance(labels: Bools, scores: Floats, owner: Ints) -> Areas:
    """Return the AUCs of several models on the same cases and their covariance.

    Args:
        labels: `(n,)`, both classes in it.
        scores: `(m, n)`, a row a model.
        owner: `(n,)` number of each case's patient.

    With one patient behind a class, the covariance is 0 and means nothing.

    Source: Obuchowski 1997, eq. 4-8: S10 / m + S01 / n + 2 S11 / mn over the sums of the placements of a patient.
    """
    placed = [_placements(labels, row) for row in scores]
    values = np.array([above[labels].mean() for above in placed])
    centered = np.stack(placed) - values[:, None]  # (m, n)
    centered /= np.where(labels, labels.sum(), (~labels).sum())
    sums = [_by_patient(centered * (labels == side), owner) for side in (True, False)]
    sizes = [np.bincount(owner[labels == side]) for side in (True, False)]
    first, second = (
        part @ part.T * _unbiased(int(np.count_nonzero(held))) for part, held in zip(sums, sizes, strict=True)
    )
    across = sums[0] @ sums[1].T * _unbiased(len(np.unique(owner)))
    freedom = _freedom([np.diag(first), np.diag(second)], [held.sum() ** 2 / (held @ held) for held in sizes])
    return Areas(values, first + second + across + across.T, freedom)


def _freedom(variances: list[Floats], patients: list[float]) -> Floats:
    """Return Welch's degrees of freedom `(m,)` of the sum; patients are Kish's effective number behind each class."""
    total = variances[0] + variances[1]
    spread = sum(v**2 / max(count - 1, 0.5) for v, count in zip(variances, patients, strict=True))
    return np.divide(total**2, spread, out=np.full_like(total, np.inf), where=np.asarray(spread) > 0)


def _placements(labels: Bools, scores: Floats) -> Floats:
    """Return for each case `(n,)` the share of the other class that it is on the right side of, ties one half."""
    positive, negative = scores[labels], scores[~labels]
    ranks = mean_ranks(scores)
    found = np.empty(len(scores))
    found[labels] = (ranks[labels] - mean_ranks(positive)) / len(negative)
    found[~labels] = 1 - (ranks[~labels] - mean_ranks(negative)) / len(positive)
    return found


def _by_patient(values: Floats, owner: Ints) -> Floats:
    """Return the sums `(m, patients)` of values `(m, n)` over each patient's cases."""
    return np.stack([np.bincount(owner, row, minlength=int(owner.max()) + 1) for row in values])


def _unbiased(count: int) -> float:
    return count / (count - 1) if count > 1 else 0.0


def _ends(value: float, deviation: float, quantile: float, scale: Scale) -> tuple[float, float]:
    if scale == "linear":
        return max(0.0, value - quantile * deviation), min(1.0, value + quantile * deviation)
    center, width = logit(value), quantile * deviation / (value * (1 - value))
    return float(expit(center - width)), float(expit(center + width))


def _newcombe(value: float, positive: int, negative: int, level: float) -> tuple[float, float]:
    """Return the ends at which |value - end| is z standard errors of the end, by Hanley and McNeil's variance."""
    z, more = float(ndtri((1 + level) / 2)), (positive + negative) / 2 - 1

    def excess(end: float) -> float:
        spread = 1 + more * (1 - end) / (2 - end) + more * end / (1 + end)
        return float((value - end) ** 2 - z**2 * end * (1 - end) * spread / (positive * negative))

    root = scipy.optimize.brentq
    low = 0.0 if value <= 0 else float(root(excess, 0.0, value if value < 1 else 1 - 1e-12))
    high = 1.0 if value >= 1 else float(root(excess, max(value, 1e-12), 1.0))
    return low, high
