"""Where the tiles of a slide lie, and their pixels at an exact scale."""

from wsi.tile.coords import read_coords, write_coords
from wsi.tile.cut import read_tile
from wsi.tile.plan import Footprint, TilePlan, plan_tiles, tile_footprint

__all__ = [
    "Footprint",
    "TilePlan",
    "plan_tiles",
    "read_coords",
    "read_tile",
    "tile_footprint",
    "write_coords",
]
