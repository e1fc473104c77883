"""What the heat of a slide's tiles means: a probability of the positive class, or a value between two ends."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi.export.words import quantity_name
from wsi.printable import printable
from wsi.results import Result, Scores

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Heat:
    """name: what a tile's score is; low and high: what is shown as cold and as hot; threshold: of the score, if any."""

    name: str
    low: float
    high: float
    threshold: float | None


def heat_of(result: Result) -> Heat | None:
    """Return what the scores of a slide's tiles mean; None without a verdict."""
    if result.value is not None:
        return Heat(quantity_name(result.value), result.value.low, result.value.high, None)
    if result.grade is None or result.positive is None:
        return None
    threshold = DEFAULT_THRESHOLD if result.threshold is None else result.threshold
    return Heat(f"P({printable(result.positive)})", 0.0, 1.0, threshold)


def heat_share(heat: Heat, scores: Scores) -> NDArray[np.float32]:
    """Return how hot each tile is, `(N,)`, 0-1."""
    if (heat.low, heat.high) == (0.0, 1.0):
        return scores.score
    share = (scores.score.astype(np.float64) - heat.low) / (heat.high - heat.low)
    return np.clip(share, 0.0, 1.0).astype(np.float32)
