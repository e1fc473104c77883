"""From logits to what a card says they mean: probabilities, a quantity, a risk, a survival curve."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wsi.card import Also, Head, ModelCard
from wsi.mil import class_probabilities, cox_curve, cumulative_logits, discrete_curve, risk_within

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shown:
    """What logits `(..., C)` say, each empty where the kind of target has none.

    probabilities `(..., K)` of the classes; values `(...)`: the quantity of a regression, the log hazard of Cox's
    model, the risk within the last time of a discrete-time one; curve `(..., S)`: the share that lives beyond each time.
    """

    probabilities: Floats
    values: Floats
    curve: Floats


def show(logits: Tensor, head: Head) -> Shown:
    """Return what calibrated logits `(..., C)` say by the card's head."""
    probabilities, values, curve = (logits.new_zeros(0) for _ in range(3))
    if head.quantity is not None:
        values = logits[..., 0] * head.quantity.scale + head.quantity.center
    elif head.survival is None:
        if head.link == "corn":
            logits = cumulative_logits(logits)
        probabilities = class_probabilities(logits, head.type)
    elif head.survival.model == "cox":
        values = logits[..., 0]
        curve = cox_curve(values, logits.new_tensor(head.survival.baseline))
    else:
        curve = discrete_curve(logits)[..., :-1]  # the last bin has no end
        values = risk_within(curve)
    return Shown(probabilities.numpy(), values.numpy(), curve.numpy())


def calibrated(logits: Tensor, card: ModelCard | Also) -> Tensor:
    """Return a bag's logits as they are shown, float64."""
    return logits.double() / card.calibration.temperature + card.calibration.bias


def calibrated_tiles(logits: Tensor, card: ModelCard) -> Tensor:
    """Return tiles' logits as they are shown, float64."""
    c = card.calibration
    temperature = c.temperature if c.tile_temperature is None else c.tile_temperature
    return logits.double() / temperature + (c.bias if c.tile_bias is None else c.tile_bias)


def tile_scores(logits: Tensor, card: ModelCard) -> Floats:
    """Return what each tile is by itself, `(N,)`: the positive class's probability, or the value; logits `(N, C)`."""
    shown = show(calibrated_tiles(logits, card), card.head)
    found: Floats = shown.probabilities[:, card.head.positive_index] if card.head.classes else shown.values
    return found


def mean_of(shown: Sequence[Shown]) -> Shown:
    """Return the mean of what several networks say."""
    return Shown(
        np.mean([one.probabilities for one in shown], axis=0),
        np.mean([one.values for one in shown], axis=0),
        np.mean([one.curve for one in shown], axis=0),
    )


def is_finite(shown: Shown) -> bool:
    """Return whether all of it is finite."""
    return all(bool(np.isfinite(part).all()) for part in (shown.probabilities, shown.values, shown.curve))
