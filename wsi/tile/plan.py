"""Lay a grid of tiles over the tissue at an exact scale."""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi.errors import ResolutionError
from wsi.geometry import SLACK, Bounds, Mpp, best_shrink

SNAP = 0.0025
"""A scale within 0.25 % of a stored level is read without resampling: sharper, and inside the 0.5 % allowed."""
MAX_UPSAMPLE = 1.3
"""A slide may be this much coarser than the model asks for; beyond it the detail isn't there."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one tile covers, in level-0 px along x and y. Exact, not rounded."""

    x: float
    y: float

    def __post_init__(self) -> None:
        if not (self.x > 0 and self.y > 0):
            raise ValueError(f"a footprint must be positive, found {self.x} x {self.y}")


@dataclass(frozen=True, slots=True)
class TilePlan:
    """The tiles of one slide, in rows from the top, each from the left.

    coords `(N, 2)` int32, level-0 px of the top-left corners; tissue `(N,)` float32, share of each
    tile that is tissue; footprint and stride in level-0 px.
    """

    tile_px: int
    mpp: float
    footprint: Footprint
    stride: Footprint
    coords: NDArray[np.int32]
    tissue: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.coords)


def tile_footprint(tile_px: int, mpp: float, slide_mpp: Mpp, *, downsamples: tuple[float, ...] = ()) -> Footprint:
    """Return the level-0 px that a tile of `tile_px` at `mpp` covers on this slide.

    224 px at 0.5 µm/px is 112 µm on every scanner, to within 0.5 %: where a stored level (given by its
    downsample) is within 0.25 % of the scale wanted, the footprint is taken to be exactly that level's.

    Raises:
        ResolutionError: the slide is more than 1.3 times coarser than `mpp`.
    """
    scale_x, scale_y = mpp / slide_mpp.x, mpp / slide_mpp.y
    if min(scale_x, scale_y) * MAX_UPSAMPLE < 1:
        raise ResolutionError(
            f"the slide has {slide_mpp.mean:.4g} µm per px, but tiles of {mpp:.4g} µm per px are wanted: "
            "the detail isn't there; use a model made for this scale, or the slide at a higher magnification"
        )
    return Footprint(tile_px * _snap(scale_x, downsamples), tile_px * _snap(scale_y, downsamples))


def _snap(scale: float, downsamples: tuple[float, ...]) -> float:
    near = min((1.0, *downsamples), key=lambda d: abs(d / scale - 1))
    return near if abs(near / scale - 1) <= SNAP else scale


def tile_grain(footprint: Footprint, tile_px: int, downsamples: tuple[float, ...]) -> int:
    """Return the level-0 px of which corners of tiles are multiples, so that they fall on px of what is read.

    A tile that starts between two px of its level has to be resampled, even where level and tile have one scale. By
    this grain a corner moves by at most half a px of the tile.
    """
    wanted = min(footprint.x, footprint.y) / tile_px
    step = max((d for d in downsamples if d <= wanted * SLACK), default=1.0)
    return round(step) * best_shrink(wanted / step) if step.is_integer() else 1


def plan_tiles(
    polygons: shapely.MultiPolygon,
    bounds: Bounds,
    *,
    tile_px: int,
    mpp: float,
    footprint: Footprint,
    grain: int = 1,
    overlap: float = 0.0,
    min_tissue: float = 0.35,
) -> TilePlan:
    """Return the tiles of a grid over `bounds` of which at least `min_tissue` lies in `polygons`.

    Args:
        polygons: tissue in level-0 px.
        bounds: the scan; the grid starts at its corner, and its last tiles may reach beyond it.
        grain: corners are multiples of this many level-0 px; see `tile_grain`.
        overlap: share of a tile's side that the next one repeats, 0 <= overlap < 1.
        min_tissue: least share of a tile's area inside the polygons, above 0 at any rate.
    """
    stride = Footprint(footprint.x * (1 - overlap), footprint.y * (1 - overlap))
    columns = _starts(bounds.location.x, bounds.size.width, stride.x, grain)
    rows = _starts(bounds.location.y, bounds.size.height, stride.y, grain)
    shapely.prepare(polygons)
    kept, shares = [], []
    for y in rows:
        share = _row_share(polygons, columns, float(y), footprint)
        chosen = (share >= min_tissue) & (share > 0)
        kept.append(np.stack([columns[chosen], np.full(chosen.sum(), y)], axis=1))
        shares.append(share[chosen])
    coords = np.concatenate(kept).astype(np.int32) if kept else np.zeros((0, 2), np.int32)
    tissue = np.concatenate(shares).astype(np.float32) if shares else np.zeros(0, np.float32)
    return TilePlan(tile_px, mpp, footprint, stride, coords, tissue)


def _starts(start: int, length: int, step: float, grain: int) -> NDArray[np.int64]:
    """Return multiples of `grain` every `step` px from `start` on, none of them beyond `length`."""
    exact = start + np.arange(math.ceil(length / step)) * step
    starts: NDArray[np.int64] = np.rint(exact / grain).astype(np.int64) * grain
    inside: NDArray[np.int64] = np.unique(starts[(starts < start + length) | (starts == starts[0])])
    return inside  # rounding may have pushed the last one out


def _row_share(
    polygons: shapely.MultiPolygon, columns: NDArray[np.int64], y: float, footprint: Footprint
) -> NDArray[np.float64]:
    """Return the exact share of each tile of one row inside `polygons`, `(len(columns),)`."""
    share = np.zeros(len(columns))
    rows = np.full(len(columns), y)
    boxes = shapely.box(columns, rows, columns + footprint.x, rows + footprint.y)
    touched = shapely.intersects(polygons, boxes)
    if not touched.any():
        return share
    band = shapely.make_valid(
        shapely.clip_by_rect(polygons, columns[0] - 1, y, columns[-1] + footprint.x + 1, y + footprint.y)
    )
    shapely.prepare(band)
    inside = touched & shapely.covers(band, boxes)
    share[inside] = 1.0
    edge = touched & ~inside
    share[edge] = shapely.area(shapely.intersection(band, boxes[edge])) / (footprint.x * footprint.y)
    return np.clip(share, 0.0, 1.0)
