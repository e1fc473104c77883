"""Find the tissue on a thumbnail, whatever its stain, and measure what is wrong with it."""

import numpy as np
import scipy
import shapely
from numpy.typing import NDArray
from shapely.affinity import affine_transform

from wsi.config import TissueConfig
from wsi.geometry import Mpp
from wsi.tissue.files import Tissue
from wsi.tissue.morphology import Mask, closed, dilated, large, opened, sample, share_around
from wsi.tissue.shapes import mask_polygons, repaired
from wsi.tissue.stain import Look, flaw_masks, look_at, pen_marks, stain_of
from wsi.tissue.thumbnail import Thumbnail

MIN_DENSITY, MIN_CHROMA = 0.02, 0.018
"""Optical density, and its spread over the colors, that a stain has and clean glass has not."""
NOISES = 4.0
"""Above the ground's own noise by this many of its deviations."""
CLOSE_UM, OPEN_UM = 30.0, 12.0
"""Gaps that are closed (lumina) and specks that are removed."""
FAT_WALL_UM, FAT_CELL_UM = 40.0, 60.0
FAT_AROUND_UM, FAT_SHARE = 75.0, 0.15
"""Fat is a net of thin walls: gaps of two radii are closed where the walls take this share of their surroundings."""
PEN_REACH_UM = 100.0
"""Ink this near to tissue lies over tissue."""
NOISE_CONTRAST, NOISE_LIKENESS = 25.0, 0.2
"""Px that differ this much (gray levels) with colors and neighbors no more alike than this are no picture."""
SIMPLIFY_PX = 0.75


def find_tissue(thumbnail: Thumbnail, mpp: Mpp, config: TissueConfig) -> Tissue:
    """Return the tissue on a thumbnail; its `reason` says why when there is none."""
    px_um = thumbnail.downsample * mpp.mean
    look = look_at(thumbnail.pixels)
    pen = pen_marks(look)
    mask = _cleaned(_stained(look, thumbnail.unreadable) & ~pen, pen | look.dark, px_um, config)
    mask |= _hidden(mask, thumbnail.unreadable)
    noise = _is_noise(thumbnail.pixels, mask)
    polygons = shapely.MultiPolygon() if noise else _polygons(mask, thumbnail, px_um, config)
    if polygons.is_empty:
        return Tissue(polygons, 0.0, {}, "unknown", _why_none(look, pen, thumbnail, noise=noise), "detected")
    area_mm2 = polygons.area * (mpp.x * mpp.y) * 1e-6
    shares = {name: _share(found & mask, mask) for name, found in flaw_masks(look, mask, px_um=px_um).items()}
    inked = pen & dilated(mask, max(1, round(PEN_REACH_UM / px_um)))
    shares["pen"] = _share(inked, mask | inked)
    return Tissue(polygons, round(float(area_mm2), 4), shares, stain_of(look, mask), "", "detected")


def _share(part: Mask, whole: Mask) -> float:
    return round(float(np.count_nonzero(part) / np.count_nonzero(whole)), 4)


def _stained(look: Look, unreadable: Mask) -> Mask:
    """Return px that are denser and more colorful than the ground and its noise."""
    clear = sample((look.density < MIN_DENSITY) & ~unreadable)
    least_density = max(MIN_DENSITY, NOISES * _deviation(look.density.take(clear)))
    least_chroma = max(MIN_CHROMA, NOISES * _deviation(look.chroma.take(clear)))
    return (look.density > least_density) & (look.chroma > least_chroma) & ~look.dark & ~unreadable


def _deviation(values: NDArray[np.float32]) -> float:
    """Return a standard deviation that outliers don't move; 0 of no values."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values)))) if values.size else 0.0


def _cleaned(stained: Mask, covered: Mask, px_um: float, config: TissueConfig) -> Mask:
    """Return the stained px with gaps closed, specks and small holes gone, and nothing that is covered."""
    solid = opened(stained, max(1, round(OPEN_UM / px_um / 2)))
    found = closed(solid, max(1, round(CLOSE_UM / px_um))) | _fat(stained, px_um)
    px_mm2 = (px_um / 1000) ** 2
    kept = large(found & ~covered, config.min_area_mm2 / px_mm2)
    return ~large(~kept, config.min_hole_mm2 / px_mm2)


def _fat(stained: Mask, px_um: float) -> Mask:
    """Return where thin walls stand as close as those of fat cells do, with what is between them."""
    thin = stained & ~opened(stained, max(1, round(FAT_WALL_UM / px_um / 2)))
    net = share_around(thin, max(1, round(FAT_AROUND_UM / px_um))) >= round(255 * FAT_SHARE)
    return closed(stained & net, max(1, round(FAT_CELL_UM / px_um))) & net


def _hidden(mask: Mask, unreadable: Mask) -> Mask:
    """Return unreadable patches that lie mostly in tissue: their tiles are wanted, and then counted as lost."""
    found = np.zeros_like(mask)
    if not unreadable.any():
        return found
    labels, _ = scipy.ndimage.label(unreadable)
    for number, place in enumerate(scipy.ndimage.find_objects(labels), start=1):
        wide = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in place)
        patch = labels[wide] == number
        rim = scipy.ndimage.binary_dilation(patch) & ~patch
        if rim.any() and mask[wide][rim].mean() >= 0.5:
            found[wide] |= patch
    return found


def _is_noise(pixels: NDArray[np.uint8], mask: Mask) -> bool:
    """Return whether what was taken for tissue is only noise: no px is like its neighbor, no color like another."""
    both = sample(mask[:, :-1] & mask[:, 1:])
    if not both.size:
        return False
    rows, columns = np.divmod(both, mask.shape[1] - 1)
    green, beside, red = (
        pixels[rows, columns + right, channel].astype(np.float32) for right, channel in ((0, 1), (1, 1), (0, 0))
    )
    if min(green.std(), beside.std(), red.std()) < NOISE_CONTRAST:
        return False
    return float(np.corrcoef([green, beside, red])[0, 1:].max()) < NOISE_LIKENESS


def _polygons(mask: Mask, thumbnail: Thumbnail, px_um: float, config: TissueConfig) -> shapely.MultiPolygon:
    """Return the mask's outlines in level-0 px, smoothed by less than a px of the thumbnail."""
    outlines = shapely.simplify(mask_polygons(mask), SIMPLIFY_PX, preserve_topology=True)
    scale, at = thumbnail.downsample, thumbnail.location
    polygons = repaired(affine_transform(outlines, [scale, 0, 0, scale, at.x, at.y]))
    least = config.min_area_mm2 / (px_um / 1000) ** 2 * scale**2
    return shapely.MultiPolygon([part for part in polygons.geoms if part.area >= least])


def _why_none(look: Look, pen: Mask, thumbnail: Thumbnail, *, noise: bool) -> str:
    if thumbnail.unreadable.mean() > 0.5:
        return "no tissue found: most of the picture could not be decoded"
    if noise:
        return "no tissue found: the picture is noise"
    if look.dark.mean() > 0.5:
        return "no tissue found: the picture is black"
    if pen.any():
        return "no tissue found, only pen marks"
    return "no tissue found: the glass is empty, or the tissue is paler or smaller than can be told from it"
