"""Read one tile's pixels at its exact footprint, from the best level, antialiased."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.geometry import SLACK, Point, Region, Size, best_level
from wsi.read import Shrinking, Source
from wsi.tile.plan import Footprint

MAX_READ_PX = 4096
"""A tile that needs more px than this along a side is cut in quarters, so that memory stays bounded."""


def read_tile(
    source: Source, x: float, y: float, *, footprint: Footprint, tile_px: int, scaled: bool = True
) -> NDArray[np.uint8]:
    """Return the tile at level-0 `(x, y)` as `(tile_px, tile_px, 3)` uint8 RGB.

    The best level is the coarsest that is at least as fine as the tile. Its px are returned as they are
    where they fit one to one, else the exact (sub-pixel) footprint is resampled by an antialiased bicubic.
    Beyond the slide is white.

    Args:
        scaled: take px of a JPEG level at 1/2, 1/4 or 1/8 as they come out of its decoder, where that is at least as
            fine as the tile and no stored level is as near: several times faster, and on average within 2 gray
            levels of the tile that is resampled from all px.

    Raises:
        RegionError: a part of the tile can't be decoded.
    """
    wanted = min(footprint.x, footprint.y) / tile_px
    level = best_level(source.levels, wanted)
    shrink = _best_shrink(source, level, wanted) if scaled else 1
    step = source.levels[level].downsample * shrink
    start_x, left, width = _span(x / step, footprint.x / step)
    start_y, top, height = _span(y / step, footprint.y / step)
    if max(width, height) > MAX_READ_PX and tile_px > 1:
        return _quarters(source, x, y, footprint, tile_px, scaled)
    at = Point(round(start_x * step), round(start_y * step))
    pixels = source.read_region(Region(at, level, Size(width, height), shrink))
    box = (left, top, min(left + footprint.x / step, width), min(top + footprint.y / step, height))
    if all(abs(edge - whole) < 1e-6 for edge, whole in zip(box, (0, 0, tile_px, tile_px), strict=True)):
        return pixels
    image = Image.fromarray(pixels).resize((tile_px, tile_px), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image)


def _best_shrink(source: Source, level: int, wanted: float) -> int:
    """Return the most that the level may be shrunk by and still give what a resample of all its px would.

    By 2 where that is as fine as the `wanted` level-0 px per px. By more only to twice as fine: the rest is left to
    the resample, whose filter keeps more of the detail than the mean of 4 x 4 or 8 x 8 px.
    """
    ratio = wanted * SLACK / source.levels[level].downsample
    if ratio < 2 or not isinstance(source, Shrinking):
        return 1
    return max(shrink for shrink in source.shrinks(level) if shrink == 1 or ratio >= (2 if shrink == 2 else 2 * shrink))


def _span(start: float, length: float) -> tuple[int, float, int]:
    """Return the first px to read, where in it the span starts, and how many px to read."""
    near = round(start)
    first = near if abs(start - near) < 1e-3 else math.floor(start)
    offset = max(start - first, 0.0)
    offset = 0.0 if offset < 1e-3 else offset
    return first, offset, math.ceil(offset + length - 1e-6)


def _quarters(
    source: Source, x: float, y: float, footprint: Footprint, tile_px: int, scaled: bool
) -> NDArray[np.uint8]:
    tile = np.empty((tile_px, tile_px, 3), np.uint8)
    half = tile_px // 2
    for rows in (slice(0, half), slice(half, tile_px)):
        for columns in (slice(0, half), slice(half, tile_px)):
            tile[rows, columns] = _part(source, x, y, footprint, tile_px, rows, columns, scaled)
    return tile


def _part(
    source: Source, x: float, y: float, footprint: Footprint, tile_px: int, rows: slice, columns: slice, scaled: bool
) -> NDArray[np.uint8]:
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    unit_x, unit_y = footprint.x / tile_px, footprint.y / tile_px
    part = read_tile(
        source,
        x + columns.start * unit_x,
        y + rows.start * unit_y,
        footprint=Footprint(side * unit_x, side * unit_y),
        tile_px=side,
        scaled=scaled,
    )
    return part[: rows.stop - rows.start, : columns.stop - columns.start]
