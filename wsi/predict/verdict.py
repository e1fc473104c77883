"""From a head's logits to a verdict: calibrated, with a threshold, and with the cases that a person must see. No torch."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wsi.card import ModelCard
from wsi.errors import EmptyBagError
from wsi.results import ClassScore, Scores

FEW_TILES = 8
"""A slide with fewer tiles than this is graded, but a person is asked to look: no training bag was so small."""
Floats = NDArray[np.float64]


class Model(Protocol):
    """A loaded model folder, as far as a verdict needs it."""

    @property
    def card(self) -> ModelCard: ...

    def read(self, features: NDArray[np.float32]) -> "BagReading":
        """Return what the network says of a bag `(N, D)`, N >= 1."""
        ...

    def distance(self, features: NDArray[np.float32]) -> float | None:
        """Return the bag's distance from the training bags; None where the model doesn't measure it."""
        ...


@dataclass(frozen=True, slots=True)
class BagReading:
    """probabilities `(K,)` of the bag; attention `(N,)`, sums to 1; tile_scores `(N,)` of the positive class."""

    probabilities: Floats
    attention: Floats
    tile_scores: Floats


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model says of a slide; see `wsi.results.Result` for the fields."""

    classes: list[ClassScore]
    positive: str
    grade: str
    confidence: float
    refer: bool
    refer_reason: str
    flags: tuple[str, ...]
    threshold: float | None
    out_of_distribution: float | None
    scores: Scores


def judge(model: Model, coords: NDArray[np.int32], features: NDArray[np.float32]) -> Verdict:
    """Return the verdict on a bag.

    Args:
        coords: `(N, 2)` level-0 px.
        features: `(N, D)`.

    Raises:
        EmptyBagError: N is 0.
    """
    if not len(features):
        raise EmptyBagError("no tile of the slide could be read, so there is nothing to grade")
    card, reading = model.card, model.read(features)
    names = [one.name for one in card.head.classes]
    positive = card.head.positive or names[-1]
    probability = float(reading.probabilities[names.index(positive)])
    threshold = card.thresholds[0].value if card.thresholds and card.head.type == "binary" else None
    chosen = _chosen(reading.probabilities, names, positive, threshold)
    far = _outside(model, features)
    reasons, flags = _reasons(card, probability, far, len(features))
    return Verdict(
        classes=[
            ClassScore(name=one.name, color=list(one.color), probability=float(p))
            for one, p in zip(card.head.classes, reading.probabilities, strict=True)
        ],
        positive=positive,
        grade=names[chosen],
        confidence=float(reading.probabilities[chosen]),
        refer=bool(reasons),
        refer_reason="; ".join(reasons),
        flags=flags,
        threshold=threshold,
        out_of_distribution=far,
        scores=Scores(coords, reading.attention.astype(np.float32), reading.tile_scores.astype(np.float32)),
    )


def _chosen(probabilities: Floats, names: list[str], positive: str, threshold: float | None) -> int:
    """Return the class: by the threshold on the positive one where there is one, else the likeliest."""
    if threshold is None:
        return int(np.argmax(probabilities))
    at = names.index(positive)
    return at if probabilities[at] >= threshold else 1 - at


def _outside(model: Model, features: NDArray[np.float32]) -> float | None:
    """Return the distance from the training bags over the model's limit; above 1 is outside."""
    rule, distance = model.card.out_of_distribution, model.distance(features)
    return None if rule is None or distance is None else distance / rule.limit


def _reasons(card: ModelCard, probability: float, far: float | None, tiles: int) -> tuple[list[str], tuple[str, ...]]:
    """Return why a person must look, in words, and the flags that go with it."""
    reasons, flags = [], []
    if far is not None and far > 1:
        reasons.append("the slide is unlike those the model learned from")
        flags.append("out-of-distribution")
    band = card.referral
    if band is not None and band.low <= probability <= band.high:
        reasons.append(band.reason)
    if tiles < FEW_TILES:
        reasons.append(f"only {tiles} tile{'s' if tiles > 1 else ''} of tissue")
        flags.append("few-tiles")
    return reasons, tuple(flags)
