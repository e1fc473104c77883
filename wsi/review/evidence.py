"""What the verdict rests on: its words, and the tiles that speak for it and against it."""

from typing import Any

import numpy as np

from wsi.card import Card, Evaluation
from wsi.export.cohort import Entry
from wsi.export.words import next_step, referral, verdict
from wsi.results import Case, Result
from wsi.review import heat
from wsi.review.folder import ReviewFolder
from wsi.review.frame import frame
from wsi.review.refusal import Refused

SHOWN = 24
"""Tiles of each kind at most."""


def told(folder: ReviewFolder, entry: Entry, *, hidden: bool) -> dict[str, Any]:
    """Return what a run's results say of a slide: words, tiles, heat and what to do; nothing of the model while hidden.

    The words say what is wrong where one of its files is damaged.
    """
    result = entry.result
    nothing = {
        "hidden": hidden,
        "next_step": next_step(result.code) if result.code else "",
        "words": "",
        "top": [],
        "bottom": [],
        "heat": None,
        "outlines": (entry.folder / "tissue.geojson").is_file() or (bool(result.structures) and not hidden),
    }
    if hidden or not result.has_verdict:
        return nothing
    try:
        case = folder.case(entry.record.slide)
        grid = heat.describe(case)
    except Refused as error:
        return {**nothing, "words": f"{error} {error.next}"}
    top, bottom = tiles(case)
    said = words(result, folder.card(result.provenance))
    return {**nothing, "words": said, "top": top, "bottom": bottom, "heat": grid}


def words(result: Result, card: Card | None) -> str:
    """Return the verdict in words, why a person must look, and how good the model was found, with its interval."""
    if not result.has_verdict:
        return ""
    said = [verdict(result), referral(result), measured(card.evaluation) if card else ""]
    return " ".join(f"{part.rstrip('.')}." for part in said if part)


def measured(evaluation: list[Evaluation]) -> str:
    """Return the first figure of a card that has an interval, in words; empty when none has."""
    found = next((one for one in evaluation if one.low is not None and one.high is not None), None)
    if found is None:
        return ""
    cases = f", {found.n} cases" if found.n else ""
    return (
        f"The model's {found.metric} was {found.value:.2f} (95 % interval {found.low:.2f} to {found.high:.2f}{cases}; "
        f"{found.name})"
    )


def tiles(case: Case) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the tiles that score highest and lowest, the extreme ones first, none of them in both.

    Each has x, y, size_x, size_y in level-0 px, its score and its attention (which sums to 1 over all tiles).
    """
    scores, scale = case.scores, frame(case.result)
    if scores is None or scale is None or len(scores.coords) < (2 if case.result.image else 1):
        return [], []
    order = np.lexsort((-scores.attention, -scores.score))
    count = min(SHOWN, max(1, len(order) // 2))

    def told(i: int) -> dict[str, Any]:
        x, y = scores.coords[i].tolist()
        return {
            "x": x,
            "y": y,
            "size_x": scale.tile_px0_x,
            "size_y": scale.tile_px0_y,
            "score": float(scores.score[i]),
            "attention": float(scores.attention[i]),
        }

    top, bottom = order[:count], order[::-1][: min(count, len(order) - count)]
    return [told(int(i)) for i in top], [told(int(i)) for i in bottom]
