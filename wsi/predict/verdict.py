"""From what a head reads in a bag to a verdict: probabilities, a grade, and whether a person must look. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wsi.card import ModelCard, Threshold
from wsi.errors import EmptyBagError, UsageError, did_you_mean
from wsi.predict.referral import find_reasons
from wsi.results import ClassScore, Scores

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
    """probabilities `(K,)` of the bag, calibrated; attention `(N,)`, sums to 1; tile_scores `(N,)` of the positive class."""

    probabilities: Floats
    attention: Floats
    tile_scores: Floats


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model says of a slide; see `wsi.results.Result` for the fields.

    confidence is the calibrated probability of the class that `grade` names: where a threshold below one half chose
    it, it is below one half.
    """

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


def judge(
    model: Model,
    coords: NDArray[np.int32],
    features: NDArray[np.float32],
    *,
    threshold: str | None = None,
    quality: Mapping[str, float] | None = None,
) -> Verdict:
    """Return the verdict on a bag.

    Args:
        coords: `(N, 2)` level-0 px.
        features: `(N, D)`.
        threshold: name of the card's threshold to grade by; None takes its first.
        quality: share of the tissue, 0-1, that each flaw takes; None: not measured.

    Raises:
        EmptyBagError: N is 0.
        UsageError: the card has no threshold of that name.
        EncoderMismatchError: the features aren't of the width the model reads.
    """
    if not len(features):
        raise EmptyBagError("no tile of the slide could be read, so there is nothing to grade")
    card, reading = model.card, model.read(features)
    chosen_by = find_threshold(card, threshold)
    positive = card.head.positive_index
    chosen = _chosen(reading.probabilities, positive, chosen_by)
    probability = float(reading.probabilities[positive])
    far = _outside(model, features)
    referral = find_reasons(card, probability, out_of_distribution=far, tiles=len(features), quality=quality or {})
    return Verdict(
        classes=[
            ClassScore(name=one.name, color=list(one.color), probability=float(p))
            for one, p in zip(card.head.classes, reading.probabilities, strict=True)
        ],
        positive=card.head.classes[positive].name,
        grade=card.head.classes[chosen].name,
        confidence=float(reading.probabilities[chosen]),
        refer=bool(referral),
        refer_reason="; ".join(referral.reasons),
        flags=referral.flags,
        threshold=chosen_by.value if chosen_by else None,
        out_of_distribution=far,
        scores=Scores(coords, reading.attention.astype(np.float32), reading.tile_scores.astype(np.float32)),
    )


def find_threshold(card: ModelCard, name: str | None) -> Threshold | None:
    """Return the card's threshold `name`, or its first when `name` is None; None where the card has none at all.

    Raises:
        UsageError: no threshold of that name.
    """
    names = [one.name for one in card.thresholds]
    if name is None:
        return card.thresholds[0] if names else None
    if name not in names:
        known = ", ".join(names) or "none"
        raise UsageError(f"model {card.id} has no threshold {name!r}; known: {known}.{did_you_mean(name, names)}")
    return card.thresholds[names.index(name)]


def _chosen(probabilities: Floats, positive: int, threshold: Threshold | None) -> int:
    """Return the place of the grade: by the threshold on the positive class where there is one, else the likeliest."""
    if threshold is None:
        return int(np.argmax(probabilities))
    return positive if probabilities[positive] >= threshold.value else 1 - positive


def _outside(model: Model, features: NDArray[np.float32]) -> float | None:
    """Return the distance from the training bags over the model's limit; above 1 is outside."""
    rule, distance = model.card.out_of_distribution, model.distance(features)
    return None if rule is None or distance is None else distance / rule.limit
