"""A small picture of the whole scan, read piece by piece so that no slide is too large for it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.errors import RegionError
from wsi.geometry import Mpp, Point, Region, Size, best_level
from wsi.read import Source

MAX_SIDE = 4096
PIECE_PX = 2048
"""Side of what is read at once, in px of the level."""
SMALLEST_PX = 64
"""A piece that can't be read is halved down to this, so that a damaged frame hides no more than itself."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """The scan at a low scale.

    pixels `(h, w, 3)` uint8 RGB; its top-left is at `location` in level-0 px, and one of its px covers
    `downsample` level-0 px along x and y; unreadable `(h, w)` bool marks px that could not be decoded.
    """

    pixels: NDArray[np.uint8]
    location: Point
    downsample: float
    unreadable: NDArray[np.bool_]


def read_thumbnail(source: Source, mpp: Mpp, *, target_mpp: float, tick: Callable[[], None] | None = None) -> Thumbnail:
    """Return the part of the slide within its bounds, at `target_mpp` µm per px or coarser (4096 px at most).

    Args:
        tick: called after each piece, as a sign of progress.
    """
    bounds = source.bounds
    wanted = max(target_mpp / mpp.mean, max(bounds.size.width, bounds.size.height) / MAX_SIDE, 1.0)
    level = best_level(source.levels, wanted)
    step = source.levels[level].downsample
    size = Size(max(1, math.ceil(bounds.size.width / wanted)), max(1, math.ceil(bounds.size.height / wanted)))
    pixels = np.full((size.height, size.width, 3), 255, np.uint8)
    unreadable = np.zeros((size.height, size.width), bool)
    side = max(1, int(PIECE_PX / (wanted / step)))
    for top in range(0, size.height, side):
        for left in range(0, size.width, side):
            box = (left, top, min(left + side, size.width), min(top + side, size.height))
            _fill(source, level, wanted, box, pixels, unreadable)
            if tick:
                tick()
    return Thumbnail(pixels, bounds.location, wanted, unreadable)


def _fill(
    source: Source,
    level: int,
    downsample: float,
    box: tuple[int, int, int, int],
    pixels: NDArray[np.uint8],
    unreadable: NDArray[np.bool_],
) -> None:
    """Read the px of `box` (left, top, right, bottom of the thumbnail), in quarters where a read fails."""
    left, top, right, bottom = box
    step = source.levels[level].downsample
    origin, scale = source.bounds.location, downsample / step
    x, y = origin.x / step + left * scale, origin.y / step + top * scale
    width, height = (right - left) * scale, (bottom - top) * scale
    first_x, first_y = math.floor(x + 1e-6), math.floor(y + 1e-6)
    size = Size(math.ceil(x + width - 1e-6) - first_x, math.ceil(y + height - 1e-6) - first_y)
    try:
        location = Point(round(first_x * step), round(first_y * step))
        read = source.read_region(Region(location, level, size))
    except RegionError:
        if max(width, height) <= SMALLEST_PX or (right - left <= 1 and bottom - top <= 1):
            unreadable[top:bottom, left:right] = True
            return
        across, down = (left + right + 1) // 2, (top + bottom + 1) // 2
        for l, r in ((left, across), (across, right)):
            for t, b in ((top, down), (down, bottom)):
                if l < r and t < b:
                    _fill(source, level, downsample, (l, t, r, b), pixels, unreadable)
        return
    edge = (x - first_x, y - first_y, min(x - first_x + width, size.width), min(y - first_y + height, size.height))
    small = Image.fromarray(read).resize((right - left, bottom - top), Image.Resampling.BOX, box=edge)
    pixels[top:bottom, left:right] = np.asarray(small)
