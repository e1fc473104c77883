"""From what a head reads in a bag to a verdict: probabilities, a grade, and whether a person must look. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wsi.card import Also, Head, ModelCard, Threshold
from wsi.errors import EmptyBagError, UsageError, did_you_mean
from wsi.predict.referral import find_reasons
from wsi.results import AlsoVerdict, ClassScore, Scores, Survival, Value

Floats = NDArray[np.float64]
LIKELY = 0.5
"""A label at or above this probability is given to the slide."""
USUAL = 2.0
"""Tiles are shown as cold and hot this many standard deviations from the middle; a log hazard, this far from 0."""
NO_LABEL = "none"
"""The grade of a slide that gets no label."""


class Model(Protocol):
    """A loaded model folder, as far as a verdict needs it."""

    @property
    def card(self) -> ModelCard: ...

    def read(self, features: NDArray[np.float32]) -> "BagReading":
        """Return what the network says of a bag `(N, D)`, N >= 1."""
        ...

    def read_also(self, features: NDArray[np.float32]) -> list[Floats]:
        """Return the probabilities `(K,)` of each head that the card names under `also`."""
        ...

    def distance(self, features: NDArray[np.float32]) -> float | None:
        """Return the bag's distance from the training bags; None where the model doesn't measure it."""
        ...


@dataclass(frozen=True, slots=True)
class BagReading:
    """What is shown of a bag, calibrated; empty or None where the kind of target has none.

    probabilities `(K,)` of the classes; attention `(N,)`, sums to 1; tile_scores `(N,)`: the positive class's
    probability, or the value, of each tile alone; value: a quantity, a log hazard or a risk; curve `(S,)`: the share
    that lives beyond each time of the card.
    """

    probabilities: Floats
    attention: Floats
    tile_scores: Floats
    value: float | None = None
    curve: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model says of a slide; see `wsi.results.Result` for the fields.

    confidence is the calibrated probability of the class that `grade` names: where a threshold below one half chose
    it, it is below one half. Of several labels it is that of the least sure one being right.
    """

    classes: list[ClassScore]
    positive: str | None
    grade: str | None
    labels: tuple[str, ...]
    confidence: float | None
    value: Value | None
    survival: Survival | None
    refer: bool
    refer_reason: str
    flags: tuple[str, ...]
    threshold: float | None
    out_of_distribution: float | None
    scores: Scores
    also: tuple[AlsoVerdict, ...] = ()


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
    grade = _grade(card.head, reading.probabilities, chosen_by)
    far = _outside(model, features)
    probability = float(reading.probabilities[card.head.positive_index]) if card.head.classes else None
    referral = find_reasons(card, probability, out_of_distribution=far, tiles=len(features), quality=quality or {})
    also = (
        tuple(
            _also(one, probabilities) for one, probabilities in zip(card.also, model.read_also(features), strict=True)
        )
        if card.also
        else ()
    )
    reasons = [*referral.reasons, *(f"{one.title}: {one.refer_reason}" for one in also if one.refer)]
    return Verdict(
        classes=_scores(card.head, reading.probabilities),
        positive=card.head.classes[card.head.positive_index].name if card.head.classes else None,
        grade=grade.name,
        labels=grade.labels,
        confidence=grade.confidence,
        value=_value(card, reading),
        survival=_survival(card, reading),
        refer=bool(reasons),
        refer_reason="; ".join(reasons),
        flags=referral.flags,
        threshold=chosen_by.value if chosen_by else None,
        out_of_distribution=far,
        scores=Scores(coords, reading.attention.astype(np.float32), reading.tile_scores.astype(np.float32)),
        also=also,
    )


def _scores(head: Head, probabilities: Floats) -> list[ClassScore]:
    return [
        ClassScore(name=one.name, color=list(one.color), probability=float(p))
        for one, p in zip(head.classes, probabilities, strict=True)
    ]


def _also(one: Also, probabilities: Floats) -> AlsoVerdict:
    """Return what a further head of the card says."""
    chosen_by = one.thresholds[0] if one.thresholds else None
    grade = _grade(one.head, probabilities, chosen_by)
    positive = one.head.classes[one.head.positive_index].name
    band, hot = one.referral, float(probabilities[one.head.positive_index])
    refer = band is not None and band.low <= hot <= band.high
    assert grade.name is not None
    assert grade.confidence is not None
    return AlsoVerdict(
        name=one.name,
        title=one.title,
        classes=_scores(one.head, probabilities),
        positive=positive,
        grade=grade.name,
        labels=list(grade.labels),
        confidence=grade.confidence,
        threshold=chosen_by.value if chosen_by else None,
        refer=refer,
        refer_reason=band.reason if band is not None and refer else "",
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


@dataclass(frozen=True, slots=True)
class _Grade:
    """What a slide is called; all of it empty for targets without classes."""

    name: str | None = None
    confidence: float | None = None
    labels: tuple[str, ...] = ()


def _grade(head: Head, probabilities: Floats, threshold: Threshold | None) -> _Grade:
    """Return the grade: by the threshold on the positive class where there is one, else the likeliest or all likely."""
    names = [one.name for one in head.classes]
    if not names:
        return _Grade()
    if head.type == "multilabel":
        labels = tuple(name for name, p in zip(names, probabilities, strict=True) if p >= LIKELY)
        return _Grade(" + ".join(labels) or NO_LABEL, float(np.maximum(probabilities, 1 - probabilities).min()), labels)
    chosen, positive = int(np.argmax(probabilities)), head.positive_index
    if threshold is not None:
        chosen = positive if probabilities[positive] >= threshold.value else 1 - positive
    return _Grade(names[chosen], float(probabilities[chosen]))


def _value(card: ModelCard, reading: BagReading) -> Value | None:
    """Return the value as people read it; None for targets with classes."""
    if reading.value is None:
        return None
    if card.head.quantity is not None:
        q = card.head.quantity
        ends = {"low": q.center - USUAL * q.scale, "high": q.center + USUAL * q.scale}
        return Value(name=q.name, value=reading.value, unit=q.unit, **ends)
    assert card.head.survival is not None
    told = card.head.survival
    if told.model == "cox":
        return Value(name=f"log hazard of {told.event}", value=reading.value, low=-USUAL, high=USUAL)
    return Value(name=f"risk of {told.event} within {told.times[-1]:g} {told.unit}", value=reading.value)


def _survival(card: ModelCard, reading: BagReading) -> Survival | None:
    """Return the survival curve; None where the model gives none."""
    told = card.head.survival
    if told is None or not len(reading.curve):
        return None
    return Survival(event=told.event, unit=told.unit, times=told.times, shares=reading.curve.tolist())


def _outside(model: Model, features: NDArray[np.float32]) -> float | None:
    """Return the distance from the training bags over the model's limit; above 1 is outside."""
    rule, distance = model.card.out_of_distribution, model.distance(features)
    return None if rule is None or distance is None else distance / rule.limit
