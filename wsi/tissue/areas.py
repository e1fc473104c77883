"""A drawn area as a value: its outline checked, repaired and told apart from what is not to be looked at."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import shapely

from wsi.tissue.shapes import repaired

EXCLUDED = ("exclu", "ignore", "artifact", "artefact", "negative", "background")
"""Beginnings of class names whose area is taken out of the tissue."""
EXCLUDED_GROUP = "_2"
"""The group of CAMELYON's exclusions."""
MAX_COORDINATE = 1e9
"""No slide is as wide as this many px."""
MAX_POINTS = 2_000_000
"""Points of all outlines of a file; the largest known file of one slide has 47,000."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One drawn area. `area`: px of the file's own frame, valid; `excluded`: it marks what is not to be looked at."""

    area: shapely.MultiPolygon
    name: str
    group: str
    excluded: bool


def annotation(parts: Iterable[shapely.Polygon], name: str, group: str, *, excluded: bool = False) -> Annotation:
    """Return the parts as one area; overlaps and bow-ties are mended, and all that an outline encloses is kept."""
    sound = [repaired(part) for part in parts]
    area = sound[0] if len(sound) == 1 else repaired(shapely.union_all(sound))
    named = any(text.strip().lower().startswith(EXCLUDED) for text in (group, name))
    marked = named or group.strip() == EXCLUDED_GROUP
    return Annotation(area, name, group, excluded or marked)


def polygon(outline: list[tuple[float, float]], holes: Iterable[list[tuple[float, float]]] = ()) -> shapely.Polygon:
    """Return a polygon of rings that may be open; a ring of fewer than three points encloses nothing.

    Raises:
        ValueError: a coordinate is not finite, or far beyond any slide.
    """
    rings = [outline, *holes]
    if not all(abs(value) <= MAX_COORDINATE for ring in rings for point in ring for value in point):
        values = (value for ring in rings for point in ring for value in point)
        odd = next(value for value in values if not abs(value) <= MAX_COORDINATE)
        raise ValueError(f"a coordinate is {odd}, expected a place on a slide in px")
    if len(set(outline)) < 3:
        return shapely.Polygon()
    return shapely.Polygon(outline, [hole for hole in rings[1:] if len(set(hole)) >= 3])


def ellipse(corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the outline of the ellipse in the box around the corners, or through them if they are its extremes."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    cx, cy, rx, ry = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, (max(xs) - min(xs)) / 2, (max(ys) - min(ys)) / 2
    turns = [2 * math.pi * i / 128 for i in range(128)]
    return [(cx + rx * math.cos(t), cy + ry * math.sin(t)) for t in turns]
