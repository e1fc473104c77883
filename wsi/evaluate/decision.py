"""What a model is worth at the bedside: net benefit over the probabilities at which one would act."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.binary import Floats, binary


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Net benefit `(t,)` per case at each threshold probability; to treat nobody has 0. Empty with a `reason`."""

    thresholds: Floats
    model: Floats
    treat_all: Floats
    n: int
    reason: str = ""


def decision_curve(
    labels: ArrayLike, probabilities: ArrayLike, *, thresholds: ArrayLike | None = None
) -> DecisionCurve:
    """Return TP / n - FP / n * t / (1 - t) at each threshold t, of the model and of calling everyone positive.

    Args:
        thresholds: `(t,)` within 0-1, 1 left out; None: 0.01 to 0.99 by 0.01.

    Source: Vickers and Elkin 2006.
    """
    at = np.linspace(0.01, 0.99, 99) if thresholds is None else np.asarray(thresholds, np.float64)
    if len(at) and not (at.min() >= 0 and at.max() < 1):
        raise ValueError(f"threshold probabilities lie from 0 to below 1, found {at.min():g} to {at.max():g}")
    cases = binary(labels, probabilities)
    if cases.reason:
        empty = np.empty(0)
        return DecisionCurve(empty, empty, empty, cases.n, cases.reason)
    called = cases.scores[None] >= at[:, None]  # (t, n)
    hits, false = (called & cases.labels).mean(axis=1), (called & ~cases.labels).mean(axis=1)
    odds, happens = at / (1 - at), cases.labels.mean()
    return DecisionCurve(at, hits - false * odds, happens - (1 - happens) * odds, cases.n)
