"""Make logits say what happens: one temperature and one bias, fitted on validation cases."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from wsi.evaluate.binary import Floats
from wsi.evaluate.logistic import fit_line
from wsi.evaluate.predictions import Predictions, Validation, need_validation, refuse_shared

Some = TypeVar("Some", bound=Predictions)
LEAST_SLOPE = 0.05
"""Logits that rank validation cases no better than chance are flattened to this, never turned around."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """logits / temperature + bias are the log odds that are shown; multiclass has no bias.

    The order of binary and ordinal cases and the likeliest class stay as they are: `temperature` is above 0.
    """

    temperature: float
    bias: float
    reason: str = ""
    """Why it isn't the fit of most likelihood; empty when it is."""
    chosen_on: frozenset[str] = frozenset()

    def apply(self, predictions: Some) -> Some:
        """Return the same cases with calibrated logits.

        Raises:
            UsageError: test cases of patients that the temperature was fitted on.
        """
        refuse_shared(self.chosen_on, predictions, "the calibration")
        return predictions.with_logits(predictions.logits / self.temperature + self.bias)


def fit_temperature(validation: Validation) -> Temperature:
    """Return the temperature and bias that make validation cases likeliest.

    Each class's count is smoothed, so that perfectly separated cases don't ask for certainty. Ordinal logits are
    fitted as the K - 1 questions "above this grade?" together.

    Raises:
        UsageError: not validation cases, or labels or outputs are missing.

    Source: Platt 1999, section 2.2; Guo et al. 2017, section 4.2.
    """
    cases = need_validation(validation, "a calibration")
    seen = frozenset(cases.owners)
    truth, logits = cases.truth.astype(np.int64), cases.logits
    if cases.kind == "multiclass":
        slope, bias = _fit_softmax(logits, _smoothed(truth, cases.classes)), 0.0
    else:
        above = truth[:, None] > np.arange(logits.shape[1])  # (n, C)
        targets = np.concatenate([_platt(column) for column in above.T])
        line = fit_line(logits.T.ravel(), targets)
        slope, bias = line.slope, line.intercept
        if slope < LEAST_SLOPE or not line.converged:
            bias = fit_line(logits.T.ravel(), targets, slope=LEAST_SLOPE).intercept
    if slope < LEAST_SLOPE:
        return Temperature(1 / LEAST_SLOPE, bias, "the logits tell validation cases apart no better than chance", seen)
    return Temperature(1 / slope, bias, chosen_on=seen)


def _platt(above: NDArray[np.bool_]) -> Floats:
    """Return smoothed targets `(n,)` of a yes-or-no question."""
    positives, negatives = int(above.sum()), int((~above).sum())
    return np.where(above, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _smoothed(truth: NDArray[np.int64], classes: int) -> Floats:
    """Return targets `(n, K)`: as Platt's for the true class, the rest shared by the others."""
    counts = np.bincount(truth, minlength=classes)[truth]
    targets = np.tile((1 / (counts + 2) / (classes - 1))[:, None], (1, classes))
    targets[np.arange(len(truth)), truth] = (counts + 1) / (counts + 2)
    return targets


def _fit_softmax(logits: Floats, targets: Floats) -> float:
    """Return the slope of most likelihood, by bisection of the derivative, which falls all the way."""

    def rises(slope: float) -> bool:
        chance = softmax(slope * logits, axis=1)
        return float(((targets - chance) * logits).sum()) > 0

    low, high = 0.0, 1.0
    while rises(high) and high < 1e6:
        low, high = high, high * 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) else (low, middle)
    return (low + high) / 2
