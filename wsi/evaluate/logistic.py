"""One-variable logistic regression: what recalibrates log odds, and what tells whether they need it."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from wsi.evaluate.binary import Bools, Floats, Ints

_ROUNDS = 200
_FLAT = 1e-12


@dataclass(frozen=True, slots=True)
class Line:
    """log odds = slope * x + intercept; covariance `(2, 2)` of the two, in this order."""

    slope: float
    intercept: float
    covariance: Floats
    converged: bool


def fit_line(x: Floats, targets: Floats, *, slope: float | None = None, owner: Ints | None = None) -> Line:
    """Return the line of most likelihood, by Newton's steps.

    Args:
        x: `(n,)`.
        targets: `(n,)` 0-1; shares are allowed.
        slope: hold it at this and fit the intercept only.
        owner: `(n,)` number of each case's patient, from 0 on: where one has several cases, the covariance is the
            sandwich of Liang and Zeger (1986) over patients.

    Not converged: x tells the classes apart without error, or is one number.
    """
    design = np.stack([x, np.ones_like(x)], axis=1)  # (n, 2)
    free = np.array([slope is None, True])
    at = np.array([0.0 if slope is None else slope, 0.0])
    for _ in range(_ROUNDS):
        gradient, curvature = _derivatives(design, targets, at)
        block = curvature[np.ix_(free, free)]
        if np.linalg.cond(block) > 1 / _FLAT:
            break
        step = np.zeros(2)
        step[free] = np.linalg.solve(block, gradient[free])
        at = at + _shortened(design, targets, at, step)
        if np.abs(step).max() < 1e-11 * max(1.0, float(np.abs(at).max())):
            covariance = np.zeros((2, 2))
            covariance[np.ix_(free, free)] = _covariance(design, targets, at, free, owner)
            return Line(float(at[0]), float(at[1]), covariance, True)
    return Line(float(at[0]), float(at[1]), np.zeros((2, 2)), False)


def _derivatives(design: Floats, targets: Floats, at: Floats) -> tuple[Floats, Floats]:
    chance = expit(design @ at)
    weight = chance * (1 - chance)
    return design.T @ (targets - chance), (design * weight[:, None]).T @ design


def _covariance(design: Floats, targets: Floats, at: Floats, free: Bools, owner: Ints | None) -> Floats:
    bread = np.linalg.inv(_derivatives(design, targets, at)[1][np.ix_(free, free)])
    held = len(design) if owner is None else int(owner.max()) + 1
    if owner is None or held in (1, len(design)):
        return np.asarray(bread)
    pull = (design * (targets - expit(design @ at))[:, None])[:, free]
    sums = np.stack([np.bincount(owner, column, minlength=held) for column in pull.T])  # (free, patients)
    return np.asarray(bread @ (sums @ sums.T * held / (held - 1)) @ bread)


def _likelihood(design: Floats, targets: Floats, at: Floats) -> float:
    odds = design @ at
    return float(targets @ odds - np.logaddexp(0, odds).sum())


def _shortened(design: Floats, targets: Floats, at: Floats, step: Floats) -> Floats:
    """Return the step, halved until it doesn't lead down."""
    start = _likelihood(design, targets, at)
    for _ in range(40):
        if _likelihood(design, targets, at + step) >= start - 1e-12 * abs(start):
            return step
        step = step / 2
    return step
