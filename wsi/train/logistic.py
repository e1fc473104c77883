"""Logistic and linear regression with a ridge, for probes that need no torch."""

from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

Floats = NDArray[np.float64]
Model = Callable[[Floats], Floats]
LEAST_STD = 1e-9


def fit_logistic(rows: Floats, classes: NDArray[np.integer], *, count: int, ridge: float = 1.0) -> Model:
    """Return a function from rows `(n, F)` to probabilities `(n, count)`.

    Minimizes `sum(-log p) + ridge / 2 * |weights|²` over standardized rows; biases are free. With ridge 1 and two
    classes the weights of the difference are those of scikit-learn's `C = 2`.

    Args:
        rows: `(n, F)`, finite.
        classes: `(n,)`, 0 to `count` - 1; a class without a row gets probability near 0.
    """
    scale = _Standard(rows)
    inputs = scale(rows)
    wanted = np.eye(count)[classes]
    shape = (inputs.shape[1] + 1, count)

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(shape)
        logits = inputs @ weights[:-1] + weights[-1]  # (n, count)
        value = -(wanted * log_softmax(logits, axis=1)).sum() + ridge / 2 * (weights[:-1] ** 2).sum()
        error = softmax(logits, axis=1) - wanted
        slope = np.concatenate([inputs.T @ error + ridge * weights[:-1], error.sum(axis=0, keepdims=True)])
        return float(value), slope.ravel()

    found = scipy.optimize.minimize(
        loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 500}
    ).x
    weights = found.reshape(shape)

    def predict(some: Floats) -> Floats:
        probabilities: Floats = softmax(scale(some) @ weights[:-1] + weights[-1], axis=1)
        return probabilities

    return predict


def fit_linear(rows: Floats, values: Floats, *, ridge: float = 1.0) -> Model:
    """Return a function from rows `(n, F)` to what was measured `(n,)`: least squares with a ridge on the weights."""
    scale = _Standard(rows)
    inputs, mean = scale(rows), values.mean()
    weights = np.linalg.solve(inputs.T @ inputs + ridge * np.eye(inputs.shape[1]), inputs.T @ (values - mean))

    def predict(some: Floats) -> Floats:
        found: Floats = scale(some) @ weights + mean
        return found

    return predict


class _Standard:
    """Rows less the mean, over the standard deviation, of those it was made from; constant columns become 0."""

    def __init__(self, rows: Floats) -> None:
        self.mean, std = rows.mean(axis=0), rows.std(axis=0)
        self.factor = np.where(std > LEAST_STD, 1.0 / np.maximum(std, LEAST_STD), 0.0)

    def __call__(self, rows: Floats) -> Floats:
        scaled: Floats = (rows - self.mean) * self.factor
        return scaled
