"""The worklist: a row a slide, the most suspicious first."""

from typing import Any

from wsi.export.cohort import Entry
from wsi.export.report import order_key
from wsi.export.suspicion import suspicion
from wsi.export.words import beside_grade
from wsi.printable import printable
from wsi.results import AlsoVerdict, Result, Structure
from wsi.review.frame import is_volume
from wsi.review.refusal import without_paths

SLIDE_FLAGS = frozenset({"blur", "pen", "fold", "bubble", "stain", "unreadable-tiles", "few-tiles"})
"""Flags that tell of the slide alone; all others may tell what a model found."""


def order(entry: Entry, *, reviewed: bool) -> tuple[Any, ...]:
    """Return the key that sorts slides: to review, reviewed, stopped; each as in the report, by falling suspicion."""
    return _place(entry.result, reviewed=reviewed), *order_key(entry.result), entry.result.slide


def blind_order(entry: Entry, *, reviewed: bool) -> tuple[Any, ...]:
    """Return the key that sorts slides without a word of the model: to review, reviewed, stopped; each by name."""
    return _place(entry.result, reviewed=reviewed), entry.result.path, entry.result.slide


def _place(result: Result, *, reviewed: bool) -> int:
    return 2 if result.status in ("refused", "failed") else int(reviewed)


def row(entry: Entry, *, viewable: bool, hidden: bool) -> dict[str, Any]:
    """Return a slide's row; `hidden` leaves out all that the model says of it."""
    result = entry.result
    told = {
        "slide": result.slide,
        "name": printable(result.path),
        "status": result.status,
        "code": result.code,
        "reason": without_paths(printable(result.reason)),
        "thumbnail": (entry.folder / "thumbnail.jpg").is_file(),
        "viewable": viewable and not is_volume(result),
        "image": _image(result),
        "quality": dict(result.quality),
        "tissue_mm2": result.tissue_mm2,
        "tiles": result.tiles.model_dump(),
    }
    if hidden:
        flags = [flag for flag in result.flags if flag in SLIDE_FLAGS]
        closed = dict.fromkeys(("refer", "refer_reason", "out_of_distribution", "ai", "suspicion"))
        return {**told, **closed, "flags": flags}
    return {
        **told,
        "refer": result.refer,
        "refer_reason": printable(result.refer_reason),
        "flags": list(result.flags),
        "out_of_distribution": result.out_of_distribution,
        "ai": ai(result),
        "suspicion": suspicion(result),
    }


def _image(result: Result) -> dict[str, Any] | None:
    """Return what was read of an image that isn't a slide; None of a slide."""
    if result.image is None:
        return None
    return {"told": result.image.told, "is_volume": is_volume(result), "windows": result.tiles.read}


def ai(result: Result) -> dict[str, Any] | None:
    """Return what the model says of a slide; None without a verdict."""
    if not result.has_verdict:
        return None
    beside = beside_grade(result)
    return {
        "label": printable(result.grade or ""),
        "probability": beside[1] if beside else None,
        "confidence": result.confidence,
        "probabilities": {printable(c.name): c.probability for c in result.classes},
        "value": result.value.model_dump() if result.value else None,
        "survival": result.survival.model_dump() if result.survival else None,
        "structures": [_structure(one) for one in result.structures],
        "also": [_also(one) for one in result.also],
    }


def _structure(one: Structure) -> dict[str, Any]:
    return {"name": printable(one.name), "color": one.color, "meaning": printable(one.meaning or ""), "told": one.told}


def _also(one: AlsoVerdict) -> dict[str, Any]:
    return {
        "title": printable(one.title),
        "label": printable(one.grade),
        "probabilities": {printable(c.name): c.probability for c in one.classes},
        "colors": {printable(c.name): c.color for c in one.classes},
        "refer": one.refer,
        "refer_reason": printable(one.refer_reason),
    }
