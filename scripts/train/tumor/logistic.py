"""Logistic regression by Newton's method: a few dozen inputs, weights a row, a fixed part that isn't fitted."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STEPS = 30


def fit_logistic(
    rows: Array, labels: Array, *, weights: Array, ridge: float, offset: Array | None = None
) -> tuple[Array, float]:
    """Return coefficients `(K,)` and intercept of the weighted, ridge-penalized maximum likelihood.

    Args:
        rows: `(N, K)`.
        labels: `(N,)` 0 or 1.
        weights: `(N,)`, how much each row counts.
        ridge: penalty on the squared coefficients; the intercept is free.
        offset: `(N,)`, a part of the logit that stays as it is.
    """
    inputs = np.hstack([rows, np.ones((len(rows), 1))])  # (N, K + 1)
    fixed = np.zeros(len(rows)) if offset is None else offset
    penalty = np.diag([*np.full(rows.shape[1], ridge), 1e-6])
    found = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        likely = sigmoid(inputs @ found + fixed)
        slope = inputs.T @ (weights * (likely - labels)) + penalty @ found
        curvature = (inputs * (weights * likely * (1 - likely))[:, None]).T @ inputs + penalty
        step = np.linalg.solve(curvature, slope)
        found -= step
        if np.abs(step).max() < 1e-7:
            break
    return found[:-1], float(found[-1])


def sigmoid(logits: Array) -> Array:
    """Return 1 / (1 + exp(-logits)) without overflow."""
    return 1 / (1 + np.exp(-np.clip(logits, -40, 40)))
