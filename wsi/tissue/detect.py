"""Find the tissue on a thumbnail, whatever its stain, and measure what is wrong with it."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.affinity import affine_transform

from wsi.config import TissueConfig
from wsi.geometry import Mpp
from wsi.tissue.files import Tissue
from wsi.tissue.shapes import mask_polygons, repaired
from wsi.tissue.stain import DARK_LIGHT, find_background, flaw_masks, optical_density, pen_marks, stain_of
from wsi.tissue.thumbnail import Thumbnail

MIN_DENSITY, MIN_CHROMA = 0.035, 0.022
"""Optical density, and its spread over the colors, that a stain has and clean glass has not."""
NOISES = 4.0
"""Above the ground's own noise by this many of its deviations."""
CLOSE_UM, OPEN_UM = 30.0, 12.0
"""Gaps that are closed (fat cells, lumina) and specks that are removed."""
SIMPLIFY_PX = 0.75


@dataclass(frozen=True, slots=True)
class _Look:
    """What the px of a thumbnail say: density and chroma `(h, w)`, and px that are pen or black."""

    od: NDArray[np.float32]
    density: NDArray[np.float32]
    chroma: NDArray[np.float32]
    pen: NDArray[np.bool_]
    dark: NDArray[np.bool_]


def find_tissue(thumbnail: Thumbnail, mpp: Mpp, config: TissueConfig) -> Tissue:
    """Return the tissue on a thumbnail; its `reason` says why when there is none."""
    px_um = thumbnail.downsample * mpp.mean
    look = _look(thumbnail)
    raw = _stained(look, thumbnail.unreadable)
    mask = _cleaned(raw & ~look.pen, look, px_um, config)
    mask |= _hidden(mask, thumbnail.unreadable)
    polygons = _polygons(mask, thumbnail, px_um, config)
    area_mm2 = polygons.area * (mpp.x * mpp.y) * 1e-6
    if polygons.is_empty:
        return Tissue(polygons, 0.0, {}, "unknown", _why_none(look, thumbnail), "detected")
    flaws = flaw_masks(look.density, look.chroma, mask)
    under_pen = look.pen & ndimage.binary_dilation(mask, iterations=4)
    shares = {name: round(float((found & mask).sum() / mask.sum()), 4) for name, found in flaws.items()}
    shares["pen"] = round(float(under_pen.sum() / (mask | under_pen).sum()), 4)
    return Tissue(polygons, round(float(area_mm2), 4), shares, stain_of(look.od, mask), "", "detected")


def _look(thumbnail: Thumbnail) -> _Look:
    ground = find_background(thumbnail.pixels)
    smooth = ndimage.gaussian_filter(thumbnail.pixels.astype(np.float32), (1.0, 1.0, 0))
    od = optical_density(smooth, ground)
    dark = smooth.max(axis=2) < DARK_LIGHT
    return _Look(od, od.mean(axis=2), od.max(axis=2) - od.min(axis=2), pen_marks(od), dark)


def _stained(look: _Look, unreadable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return px that are denser and more colorful than the ground and its noise."""
    clear = (look.density < MIN_DENSITY) & ~unreadable
    noise = [float(_deviation(values[clear])) if clear.any() else 0.0 for values in (look.density, look.chroma)]
    dense = look.density > max(MIN_DENSITY, NOISES * noise[0])
    colored = look.chroma > max(MIN_CHROMA, NOISES * noise[1])
    return dense & colored & ~look.dark & ~unreadable


def _deviation(values: NDArray[np.float32]) -> float:
    """Return a standard deviation that outliers don't move."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _cleaned(mask: NDArray[np.bool_], look: _Look, px_um: float, config: TissueConfig) -> NDArray[np.bool_]:
    """Return the mask with gaps closed, specks and small holes gone."""
    opened = ndimage.binary_opening(mask, _disk(OPEN_UM / px_um / 2))
    closed = _closed(opened, _disk(CLOSE_UM / px_um)) & ~look.pen & ~look.dark
    px_mm2 = (px_um / 1000) ** 2
    kept = _large(closed, config.min_area_mm2 / px_mm2)
    return ~_large(~kept, config.min_hole_mm2 / px_mm2)


def _closed(mask: NDArray[np.bool_], disk: NDArray[np.bool_]) -> NDArray[np.bool_]:
    margin = disk.shape[0]
    grown = ndimage.binary_closing(np.pad(mask, margin, mode="edge"), disk)
    return np.asarray(grown[margin:-margin, margin:-margin], bool)


def _disk(radius: float) -> NDArray[np.bool_]:
    r = max(1, round(radius))
    y, x = np.ogrid[-r : r + 1, -r : r + 1]
    return np.asarray(x * x + y * y <= r * r + 0.5, bool)


def _large(mask: NDArray[np.bool_], least_px: float) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(labels.ravel())
    keep = sizes >= max(1.0, least_px)
    keep[0] = False
    return np.asarray(keep[labels], bool)


def _hidden(mask: NDArray[np.bool_], unreadable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return unreadable patches that lie mostly in tissue: their tiles are wanted, and then counted as lost."""
    labels, count = ndimage.label(unreadable)
    found = np.zeros_like(mask)
    for number, place in enumerate(ndimage.find_objects(labels), start=1) if count else ():
        wide = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in place)
        patch = labels[wide] == number
        rim = ndimage.binary_dilation(patch) & ~patch
        if rim.any() and mask[wide][rim].mean() >= 0.5:
            found[wide] |= patch
    return found


def _polygons(
    mask: NDArray[np.bool_], thumbnail: Thumbnail, px_um: float, config: TissueConfig
) -> shapely.MultiPolygon:
    """Return the mask's outlines in level-0 px, smoothed by less than a px of the thumbnail."""
    outlines = shapely.simplify(mask_polygons(mask), SIMPLIFY_PX, preserve_topology=True)
    scale, at = thumbnail.downsample, thumbnail.location
    polygons = repaired(affine_transform(repaired(outlines), [scale, 0, 0, scale, at.x, at.y]))
    least = config.min_area_mm2 / (px_um / 1000) ** 2 * scale**2
    return shapely.MultiPolygon([part for part in polygons.geoms if part.area >= least])


def _why_none(look: _Look, thumbnail: Thumbnail) -> str:
    if thumbnail.unreadable.mean() > 0.5:
        return "no tissue found: most of the picture could not be decoded"
    if look.dark.mean() > 0.5:
        return "no tissue found: the picture is black"
    if look.pen.any():
        return "no tissue found, only pen marks"
    return "no tissue found: the glass is empty, or the tissue is paler or smaller than can be told from it"
