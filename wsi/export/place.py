"""Where a file's pixels and polygons start: at the slide's bounds, as QuPath shows it, or at level 0's corner."""

from typing import Literal

from wsi.geometry import Bounds, Point, Size
from wsi.results import Scale

Origin = Literal["qupath", "level0"]


def shown(scale: Scale, origin: Origin = "qupath") -> Bounds:
    """Return the part of level 0 that a file shows; its corner is the file's (0, 0)."""
    if origin == "level0":
        return Bounds(Point(0, 0), Size(scale.width, scale.height))
    x, y, width, height = scale.bounds
    return Bounds(Point(x, y), Size(width, height))
