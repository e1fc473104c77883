"""Colors on a slide: the ground, what light a px takes away, and what in it is no tissue."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

DARK_LIGHT = 45.0
"""Brighter color of a px below which it is black: a border, an ink, a hole in the scan."""
CLEAN_GLASS = (242.0, 242.0, 242.0)
GRAY_SPREAD, GRAY_LIGHT = 24, 150
MIN_GROUND = 0.002
FOLD_RATIO, FOLD_DENSITY = 1.9, 0.35
FOLD_WIDTH_PX = 12
EDGE_DENSITY, EDGE_CHROMA = 0.12, 0.22
BROWN, BROWN_SHARE, EOSIN_SHARE = 0.18, 0.03, 0.15


def find_background(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the color of empty glass `(3,)`: the commonest bright gray, or clean glass when there is none."""
    light, low = pixels.max(axis=2), pixels.min(axis=2)
    gray = (light.astype(int) - low <= GRAY_SPREAD) & (low >= GRAY_LIGHT)
    if gray.mean() < MIN_GROUND:
        return np.array(CLEAN_GLASS, np.float32)
    counts = np.bincount(low[gray], minlength=256).astype(float)
    counts = np.convolve(counts, np.ones(5) / 5, mode="same")
    bright = np.arange(256) >= np.flatnonzero(counts > 0.1 * counts.max())[-1] - 12
    mode = int(np.argmax(np.where(bright, counts, 0)))
    near = gray & (np.abs(low.astype(int) - mode) <= 4)
    return np.asarray(np.median(pixels[near], axis=0), np.float32)


def optical_density(pixels: NDArray[np.float32], ground: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log10(ground / px) of each color, `(h, w, 3)`, 0 where it is brighter than the ground."""
    ratio = (ground + 1.0) / (np.clip(pixels, 0, 255) + 1.0)
    return np.maximum(np.log10(ratio), 0.0).astype(np.float32)


def pen_marks(od: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return px of blue, green or bright red ink `(h, w)`.

    Hematoxylin, eosin and DAB all take green light away at least as much as red; blue and green inks don't, and red
    ink takes away nearly all green and blue while it lets all red through.
    """
    red, green, blue = od[..., 0], od[..., 1], od[..., 2]
    blue_ink = (red > 1.5 * green) & (red > 0.18) & (red > blue)
    green_ink = (red > 1.2 * green) & (blue > 1.1 * green) & (red > 0.15)
    red_ink = (red < 0.1) & (green > 0.75) & (blue > 0.75)
    ink = ndimage.binary_opening(blue_ink | green_ink | red_ink, iterations=1)
    return np.asarray(ndimage.binary_dilation(ink, iterations=3), bool)


def flaw_masks(
    density: NDArray[np.float32], chroma: NDArray[np.float32], tissue: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """Return where tissue is folded (narrow bands about twice as dense) and where gray edges of bubbles run."""
    usual = float(np.median(density[tissue]))
    dense = ndimage.gaussian_filter(density, 1.0) > max(FOLD_DENSITY, FOLD_RATIO * usual)
    dense = ndimage.binary_opening(dense)
    wide = ndimage.binary_opening(dense, iterations=FOLD_WIDTH_PX)
    edge = (density > EDGE_DENSITY) & (chroma < EDGE_CHROMA * density)
    return {
        "fold": np.asarray(dense & ~ndimage.binary_dilation(wide, iterations=3), bool),
        "bubble": np.asarray(ndimage.binary_dilation(ndimage.binary_opening(edge)), bool),
    }


def stain_of(od: NDArray[np.float32], tissue: NDArray[np.bool_]) -> Literal["H&E", "IHC", "unknown"]:
    """Return the kind of stain: H&E by its eosin, IHC by the brown of DAB without eosin."""
    red, green, blue = (od[..., i][tissue] for i in range(3))
    eosin = float(((green > 1.5 * red) & (green > 1.2 * blue) & (green > 0.05)).mean())
    brown = float(((blue > 1.1 * green) & (green > 1.1 * red) & (blue > BROWN)).mean())
    if brown >= BROWN_SHARE and eosin < EOSIN_SHARE:
        return "IHC"
    return "H&E" if eosin >= EOSIN_SHARE else "unknown"
