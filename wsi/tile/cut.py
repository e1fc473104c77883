"""Read one tile's pixels at its exact footprint, from the best level, antialiased."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.geometry import Point, Region, Size, best_level, best_shrink
from wsi.read import Shrinking, Source
from wsi.tile.plan import Footprint

MAX_READ_PX = 4096
"""A tile that needs more px than this along a side is cut in quarters, so that memory stays bounded."""


MAX_WINDOW = 2.05
"""Windows to resample elsewhere hold up to this many px per px of a tile's side; where a level or the decoder halves,
none has more."""


@dataclass(frozen=True, slots=True)
class Reading:
    """From which px tiles are made: a level, shrunk as it is decoded, and the level-0 px per px that this gives."""

    level: int
    shrink: int
    step: float


def read_tile(
    source: Source, x: float, y: float, *, footprint: Footprint, tile_px: int, reading: Reading | None = None
) -> NDArray[np.uint8]:
    """Return the tile at level-0 `(x, y)` as `(tile_px, tile_px, 3)` uint8 RGB.

    The best level is the coarsest that is at least as fine as the tile. Its px are returned as they are
    where they fit one to one, else the exact (sub-pixel) footprint is resampled by an antialiased bicubic.
    Beyond the slide is white.

    Args:
        reading: what `best_reading` says of these tiles; None: it is asked.

    Raises:
        RegionError: a part of the tile can't be decoded.
    """
    reading = reading or best_reading(source, footprint, tile_px)
    step = reading.step
    across, down = footprint.x / step, footprint.y / step
    start_x, left, width = _span(x / step, across)
    start_y, top, height = _span(y / step, down)
    if max(width, height) > MAX_READ_PX and tile_px > 1:
        return _quarters(source, x, y, footprint, tile_px, reading)
    at = Point(round(start_x * step), round(start_y * step))
    pixels = source.read_region(Region(at, reading.level, Size(width, height), reading.shrink))
    if left == top == 0 and abs(across - tile_px) < 1e-6 and abs(down - tile_px) < 1e-6:
        return pixels
    box = (left, top, min(left + across, width), min(top + down, height))
    image = Image.fromarray(pixels).resize((tile_px, tile_px), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image)


def best_reading(source: Source, footprint: Footprint, tile_px: int, *, scaled: bool = True) -> Reading:
    """Return the coarsest px that are at least as fine as the tile's.

    Args:
        scaled: take px of a JPEG level at 1/2, 1/4 or 1/8 as they come out of its decoder, where that is at least as
            fine as the tile and no stored level is as near: several times faster, and on average within 2 gray
            levels of the tile that is resampled from all px.
    """
    wanted = min(footprint.x, footprint.y) / tile_px
    level = best_level(source.levels, wanted)
    step = source.levels[level].downsample
    shrink = best_shrink(wanted / step, source.shrinks(level)) if scaled and isinstance(source, Shrinking) else 1
    return Reading(level, shrink, step * shrink)


def _span(start: float, length: float) -> tuple[int, float, int]:
    """Return the first px to read, where in it the span starts, and how many px to read."""
    near = round(start)
    first = near if abs(start - near) < 1e-3 else math.floor(start)
    offset = max(start - first, 0.0)
    offset = 0.0 if offset < 1e-3 else offset
    return first, offset, math.ceil(offset + length - 1e-6)


@dataclass(frozen=True, slots=True)
class Window:
    """The px that each tile of a plan is resampled from, tile and window having one top-left corner.

    `size` in px as they are read; `scale` (x, y): of them per px of the tile, not rounded.
    """

    size: Size
    scale: tuple[float, float]

    @property
    def is_tile(self) -> bool:
        """Whether its px are the tile's own, and there is nothing to resample."""
        return self.scale == (1.0, 1.0)


def find_window(step: float, coords: NDArray[np.int32], *, footprint: Footprint, tile_px: int) -> Window | None:
    """Return the window of tiles at `coords` `(N, 2)` that are read at `step` level-0 px per px.

    None where a tile starts between two px, and where windows would be more than MAX_WINDOW times as wide as tiles or
    wider than MAX_READ_PX. Such tiles are made by `read_tile`.
    """
    scale = (footprint.x / step / tile_px, footprint.y / step / tile_px)
    width, height = (math.ceil(side * tile_px - 1e-6) for side in scale)
    if max(scale) > MAX_WINDOW or max(width, height) > MAX_READ_PX:
        return None
    if all(abs(side - 1) * tile_px < 1e-6 for side in scale):
        scale = (1.0, 1.0)
    if not float(step).is_integer() or (coords % round(step)).any():
        return None
    return Window(Size(width, height), scale)


def read_window(source: Source, x: int, y: int, *, reading: Reading, size: Size) -> NDArray[np.uint8]:
    """Return the px `(height, width, 3)` from level-0 `(x, y)` on that a tile is resampled from. Don't write to them.

    Raises:
        RegionError: a part of them can't be decoded.
    """
    return source.read_region(Region(Point(x, y), reading.level, size, reading.shrink))


def _quarters(
    source: Source, x: float, y: float, footprint: Footprint, tile_px: int, reading: Reading
) -> NDArray[np.uint8]:
    tile = np.empty((tile_px, tile_px, 3), np.uint8)
    half = tile_px // 2
    for rows in (slice(0, half), slice(half, tile_px)):
        for columns in (slice(0, half), slice(half, tile_px)):
            tile[rows, columns] = _part(source, x, y, footprint, tile_px, rows, columns, reading)
    return tile


def _part(
    source: Source,
    x: float,
    y: float,
    footprint: Footprint,
    tile_px: int,
    rows: slice,
    columns: slice,
    reading: Reading,
) -> NDArray[np.uint8]:
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    unit_x, unit_y = footprint.x / tile_px, footprint.y / tile_px
    part = read_tile(
        source,
        x + columns.start * unit_x,
        y + rows.start * unit_y,
        footprint=Footprint(side * unit_x, side * unit_y),
        tile_px=side,
        reading=reading,
    )
    return part[: rows.stop - rows.start, : columns.stop - columns.start]
