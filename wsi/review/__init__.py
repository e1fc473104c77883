"""The review page over OUT: a worklist, slides with heat and outlines, and decisions that are written down for good."""

from wsi.review.app import make_app
from wsi.review.beside import Beside
from wsi.review.desk import Desk
from wsi.review.folder import ReviewFolder
from wsi.review.guard import new_token
from wsi.review.places import slide_places, slides_below
from wsi.review.static import DEFAULT_MPX, write_static
from wsi.review.tiles import Piece, TileKey, Tiles, View, ViewLevel

__all__ = [
    "DEFAULT_MPX",
    "Beside",
    "Desk",
    "Piece",
    "ReviewFolder",
    "TileKey",
    "Tiles",
    "View",
    "ViewLevel",
    "make_app",
    "new_token",
    "slide_places",
    "slides_below",
    "write_static",
]
