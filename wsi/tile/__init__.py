"""Where the tiles of a slide lie, and their pixels at an exact scale."""

from wsi.tile.coords import read_coords, write_coords
from wsi.tile.cut import Reading, Window, best_reading, find_window, read_tile, read_window
from wsi.tile.plan import Footprint, TilePlan, plan_tiles, tile_footprint, tile_grain

__all__ = [
    "Footprint",
    "Reading",
    "TilePlan",
    "Window",
    "best_reading",
    "find_window",
    "plan_tiles",
    "read_coords",
    "read_tile",
    "read_window",
    "tile_footprint",
    "tile_grain",
    "write_coords",
]
