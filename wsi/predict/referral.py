"""Which slides a person must look at, and why, in plain words. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from wsi.card import Accepts, ModelCard

FEW_TILES = 8
"""A slide with fewer tiles than this is graded, but a person is asked to look: so few say little of a tumor's edge."""
FLAWED = 0.5
"""A slide with more than this share of its tissue under one flaw is graded, but a person is asked to look."""
FLAWS = {
    "blur": "out of focus",
    "pen": "under pen marks",
    "fold": "folded",
    "bubble": "under air bubbles",
    "stain": "stained unlike H&E",
}


@dataclass(frozen=True, slots=True)
class Referral:
    """Reasons for a person to look, in words, and the flags that go with them; both empty when there is none."""

    reasons: tuple[str, ...]
    flags: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.reasons)


def find_reasons(
    card: ModelCard,
    probability: float | None,
    *,
    out_of_distribution: float | None,
    tiles: int,
    quality: Mapping[str, float],
) -> Referral:
    """Return why a person must look at a slide.

    Args:
        probability: of the positive class, calibrated; None for targets without classes.
        out_of_distribution: distance from the training bags over the model's limit; None: not measured.
        quality: share of the tissue, 0-1, that each flaw takes.
    """
    found: list[tuple[str, str | None]] = []
    if out_of_distribution is not None and out_of_distribution > 1:
        what = "slide" if isinstance(card.input, Accepts) else "image"
        found.append((f"the {what} is unlike those the model learned from", "out-of-distribution"))
    band = card.referral
    if band is not None and probability is not None and band.low <= probability <= band.high:
        found.append((band.reason, None))
    if isinstance(card.input, Accepts) and tiles < FEW_TILES:
        found.append((f"only {tiles} tile{'' if tiles == 1 else 's'} of tissue", "few-tiles"))
    for flaw, share in quality.items():
        if share > FLAWED:
            found.append((f"{share:.0%} of the tissue is {FLAWS.get(flaw, flaw)}", flaw))
    return Referral(tuple(reason for reason, _ in found), tuple(flag for _, flag in found if flag))
