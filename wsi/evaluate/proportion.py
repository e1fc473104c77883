"""Shares with Wilson's interval; cases of one patient count as less than as many patients."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from wsi.evaluate.binary import Bools, Ints, Patients, binary, patient_index
from wsi.evaluate.figure import Figure


def share(name: str, hits: ArrayLike, *, patients: Patients = None, level: float = 0.95) -> Figure:
    """Return the share of true among `hits` `(n,)` bool with its interval.

    Where patients have several cases, Wilson's interval is taken of as many independent cases as carry the same
    evidence: n over the design effect (Rao and Scott 1992), less what Student's quantile asks for (Korn and Graubard
    1998).
    """
    found = np.asarray(hits, np.bool_)
    n, count = len(found), int(found.sum())
    if not n:
        return Figure.not_estimable(name, "there is no such case")
    owner = patient_index(patients, n)
    held = len(np.unique(owner))
    counted = _effective(found, np.unique(owner, return_inverse=True)[1], level)
    low, high = wilson(count / n, counted, level=level)
    method = "Wilson" if held == n else "Wilson, by patient"
    return Figure(name, count / n, low, high, n=n, count=count, patients=held, method=method)


def wilson(value: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Return the ends of the interval of a share of n. Source: Wilson 1927."""
    z = float(ndtri((1 + level) / 2))
    center, root = value + z**2 / (2 * n), z * np.sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
    low, high = (center - root) / (1 + z**2 / n), (center + root) / (1 + z**2 / n)
    return max(0.0, float(min(low, value))), min(1.0, float(max(high, value)))


def _effective(hits: Bools, owner: Ints, level: float) -> float:
    """Return how many independent cases carry the same evidence as these.

    owner: `(n,)` patients numbered from 0 on without gaps.
    """
    n, value, sizes = len(hits), hits.mean(), np.bincount(owner)
    if len(sizes) in (1, n):
        return float(len(sizes))
    patients = n**2 / float(sizes @ sizes)
    if value in (0.0, 1.0):
        return patients
    residual = np.bincount(owner, hits) - value * sizes
    variance = len(sizes) / (len(sizes) - 1) * float(residual @ residual) / n**2
    found = np.clip(value * (1 - value) / variance, patients, n) if variance > 0 else n
    chance = (1 + level) / 2
    return float(found * (ndtri(chance) / stdtrit(max(patients - 1, 1), chance)) ** 2)


def sensitivity_specificity(
    labels: ArrayLike, called: ArrayLike, *, patients: Patients = None, level: float = 0.95
) -> tuple[Figure, Figure]:
    """Return the share of positive cases that were called positive, and of negative ones that weren't.

    Args:
        labels: `(n,)` of 0 and 1.
        called: `(n,)` bool, as `Threshold.call` gives them: there is no way to hand in scores and try thresholds.
    """
    cases = binary(labels, called, both=False)
    names = ("Sensitivity", "Specificity")
    if cases.reason:
        return cases.no(names[0]), cases.no(names[1])
    owner, right = patient_index(patients, cases.n), cases.labels == (cases.scores > 0)
    sides = (("positive", names[0], cases.labels), ("negative", names[1], ~cases.labels))
    first, second = (
        share(name, right[side], patients=owner[side], level=level)
        if side.any()
        else Figure.not_estimable(name, f"no case is {word} (of {cases.n})", n=0, count=0)
        for word, name, side in sides
    )
    return first, second
