"""Thumbnails with known tissue: what a slide of each kind looks like at 8 µm per px."""

from collections.abc import Iterable, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial import KDTree

from wsi.geometry import Mpp, Point
from wsi.tissue import Thumbnail

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Color = tuple[int, int, int]

SIDE = 400
MPP = Mpp(0.5, 0.5, "metadata")
DOWNSAMPLE = 16.0
"""One px of a thumbnail is 8 µm, 16 px of level 0."""
GLASS, PINK, PURPLE = (243, 242, 244), (226, 160, 196), (150, 95, 165)


def glass(color: Color = GLASS, *, side: int = SIDE, noise: int = 2, seed: int = 0) -> Pixels:
    """Return empty glass with a little noise."""
    grain = np.random.default_rng(seed).integers(-noise, noise + 1, (side, side, 3))
    return np.clip(np.array(color) + grain, 0, 255).astype(np.uint8)


def disc(x: float, y: float, radius: float, *, side: int = SIDE) -> Mask:
    """Return a disc as a mask."""
    rows, columns = np.ogrid[:side, :side]
    return np.asarray((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= radius**2)


def stroke(points: Sequence[tuple[float, float]], width: int, *, side: int = SIDE) -> Mask:
    """Return a line as a pen draws it, as a mask."""
    picture = Image.new("1", (side, side))
    ImageDraw.Draw(picture).line(list(points), fill=1, width=width, joint="curve")
    return np.asarray(picture)


def paint(pixels: Pixels, mask: Mask, color: Color, *, vary: int = 8, seed: int = 1) -> None:
    """Fill the mask with a color that varies by `vary` from px to px, all channels alike."""
    shade = np.random.default_rng(seed).integers(-vary, vary + 1, (int(mask.sum()), 1))
    pixels[mask] = np.clip(np.array(color) + shade, 0, 255)


def speckle(pixels: Pixels, mask: Mask, color: Color, share: float, *, seed: int = 2) -> None:
    """Color a share of the mask's px: nuclei."""
    chosen = mask & (np.random.default_rng(seed).random(mask.shape) < share)
    paint(pixels, chosen, color, seed=seed)


def thumbnail(pixels: Pixels, *, unreadable: Mask | None = None, location: Point | None = None) -> Thumbnail:
    """Return the picture as the thumbnail of a slide at MPP."""
    nothing = np.zeros(pixels.shape[:2], bool)
    return Thumbnail(pixels, location or Point(0, 0), DOWNSAMPLE, nothing if unreadable is None else unreadable)


def fat(side: int = SIDE, *, cell_px: float = 9.0, seed: int = 0) -> tuple[Mask, Mask]:
    """Return thin walls of fat cells about 70 µm wide within a disc, and the disc."""
    random = np.random.default_rng(seed)
    whole = disc(side / 2, side / 2, side * 0.36, side=side)
    centers = np.argwhere(np.ones((int(side / cell_px),) * 2)) * cell_px + random.uniform(0, cell_px / 2, (1, 2))
    centers += random.uniform(-cell_px / 4, cell_px / 4, centers.shape)
    places = np.indices((side, side)).reshape(2, -1).T
    nearest, second = KDTree(centers).query(places, k=2)[0].T.reshape(2, side, side)
    return whole & (second - nearest < 1.2), whole


def covered(polygons: Iterable[shapely.Geometry], side: int = SIDE) -> Mask:
    """Return which px of a thumbnail lie in the polygons, by their centers, as shapely says."""
    rows, columns = np.mgrid[:side, :side]
    x, y = (columns.ravel() + 0.5) * DOWNSAMPLE, (rows.ravel() + 0.5) * DOWNSAMPLE
    inside = np.zeros(side * side, bool)
    for polygon in polygons:
        inside |= shapely.contains_xy(polygon, x, y)
    return inside.reshape(side, side)
