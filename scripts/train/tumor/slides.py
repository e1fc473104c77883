"""Tiles of whole slides, read as a run of the tool reads them: the picture that a model draws."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cohort import TILE_PX, Tiles
from numpy.typing import NDArray

from wsi.config import ReadConfig, TissueConfig
from wsi.read import Source, open_slide, resolve_mpp
from wsi.tile import plan_tiles, read_tile, tile_footprint
from wsi.tissue import find_tissue, read_thumbnail

MODEL_MPP = 1.0
"""µm per px of the model's tiles."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A slide's tiles and where they lie.

    tiles `(N, 224, 224, 3)`; across `(N,)`, 0 at the left edge of the slide and 1 at its right, tiles' centers.
    """

    tiles: Tiles
    across: NDArray[np.float64]


def read_whole(path: Path, *, mpp: float | None = None) -> Whole:
    """Return all tissue tiles of a slide at 1.0 µm per px.

    Args:
        mpp: µm per px of level 0, where the file doesn't say it.
    """
    file = next(iter(sorted(path.glob("*.dcm"), key=lambda p: -p.stat().st_size))) if path.is_dir() else path
    source = open_slide(file)
    try:
        return _tiles(source, path.name, mpp)
    finally:
        source.close()


def _tiles(source: Source, name: str, mpp: float | None) -> Whole:
    config = TissueConfig()
    scale = resolve_mpp(source, name, ReadConfig(), row=None if mpp is None else (mpp, mpp))
    tissue = find_tissue(read_thumbnail(source, scale, target_mpp=config.mpp), scale, config)
    steps = tuple(level.downsample for level in source.levels)
    footprint = tile_footprint(TILE_PX, MODEL_MPP, scale, downsamples=steps)
    plan = plan_tiles(tissue.polygons, source.bounds, tile_px=TILE_PX, mpp=MODEL_MPP, footprint=footprint)
    tiles = [read_tile(source, int(x), int(y), footprint=footprint, tile_px=TILE_PX) for x, y in plan.coords]
    return Whole(np.stack(tiles), (plan.coords[:, 0] + footprint.x / 2) / source.levels[0].size.width)
