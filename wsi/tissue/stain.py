"""Colors on a slide: the ground, what light a px takes away, and what in it is no tissue."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from wsi.tissue.morphology import Mask, dilated, large, opened, sample

Plane = NDArray[np.float32]

DARK_LIGHT = 45
"""Brighter color of a px below which it is black: a border, an ink, a hole in the scan."""
CLEAN_GLASS = (242.0, 242.0, 242.0)
GRAY_SPREAD, GRAY_LIGHT = 24, 150
MIN_GROUND = 0.002
GROUND_SIDE = 1024
"""The ground is measured on about this many rows and columns."""
INK_DENSITY, INK_CHROMA = 0.3, 0.15
"""Gray or black ink: denser than this, and its chroma a smaller share of it than any stain's."""
FOLD_RATIO, FOLD_DENSITY, FOLD_ABOVE = 1.9, 0.35, 1.3
"""A fold is nearly twice as dense as the median of the tissue, and well above what nine tenths of it reach."""
FOLD_WIDTH_UM, EDGE_LENGTH_UM = 96.0, 400.0
EDGE_DENSITY, EDGE_CHROMA = 0.12, 0.22
BROWN, BROWN_SHARE, EOSIN_SHARE = 0.18, 0.03, 0.15


@dataclass(frozen=True, slots=True)
class Look:
    """What light the px of a picture take away, each plane `(h, w)`.

    red, green, blue: optical density. density: their mean. chroma: their spread. dark: px that are black.
    """

    red: Plane
    green: Plane
    blue: Plane
    density: Plane
    chroma: Plane
    dark: Mask


def look_at(pixels: NDArray[np.uint8]) -> Look:
    """Return the densities of a picture `(h, w, 3)`, averaged over 3 x 3 px against noise."""
    ground = find_background(pixels)
    smooth = [np.asarray(plane) for plane in Image.fromarray(pixels).filter(ImageFilter.BoxBlur(1)).split()]
    levels = np.arange(256, dtype=np.float32)
    tables = [np.maximum(np.log10((light + 1.0) / (levels + 1.0)), 0.0).astype(np.float32) for light in ground]
    red, green, blue = (table.take(plane) for table, plane in zip(tables, smooth, strict=True))
    highest, lowest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    density = (red + green + blue) * np.float32(1 / 3)
    light = np.maximum(np.maximum(smooth[0], smooth[1]), smooth[2])
    return Look(red, green, blue, density, highest - lowest, light < DARK_LIGHT)


def find_background(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the color of empty glass `(3,)`: the commonest bright gray, or clean glass when there is none."""
    step = max(1, max(pixels.shape[:2]) // GROUND_SIDE)
    # Plane by plane: a reduction over three numbers costs ten times as much.
    red, green, blue = np.ascontiguousarray(pixels[::step, ::step].reshape(-1, 3).T)
    light, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    gray = (light - low <= GRAY_SPREAD) & (low >= GRAY_LIGHT)
    if gray.mean() < MIN_GROUND:
        return np.array(CLEAN_GLASS, np.float32)
    counts = np.bincount(low[gray], minlength=256).astype(float)
    counts = np.convolve(counts, np.ones(5) / 5, mode="same")
    bright = np.arange(256) >= np.flatnonzero(counts > 0.1 * counts.max())[-1] - 12
    mode = int(np.argmax(np.where(bright, counts, 0)))
    near = gray & (low >= mode - 4) & (low <= mode + 4)
    return np.array([_median(plane[near]) for plane in (red, green, blue)], np.float32)


def _median(values: NDArray[np.uint8]) -> float:
    """Return the median of some bytes, by counting them: to sort as many takes ten times as long."""
    below = np.cumsum(np.bincount(values, minlength=256))
    middle = (below[-1] - 1) // 2, below[-1] // 2
    return float(np.searchsorted(below, middle, side="right").mean())


def pen_marks(look: Look) -> Mask:
    """Return px of blue, green, bright red, gray or black ink `(h, w)`.

    Hematoxylin, eosin and DAB all take green light away at least as much as red; blue and green inks don't, and red
    ink takes away nearly all green and blue while it lets all red through, more of it than blood does. The hematoxylin of an IHC slide is bluer,
    but never as dense as blue ink. Black ink is as dense as a nucleus, and has no color.
    """
    red, green, blue = look.red, look.green, look.blue
    pale_blue = (red > 1.7 * green) & (red > 0.18) & (red > blue)
    deep_blue = (red > 1.2 * green) & (red > 0.45) & (red > 1.5 * blue)
    green_ink = (red > 1.2 * green) & (blue > 1.1 * green) & (red > 0.15)
    red_ink = (red < 0.075 * green) & (green > 0.65) & (blue > 0.55)
    black_ink = (look.density > INK_DENSITY) & (look.chroma < INK_CHROMA * look.density) & ~look.dark
    return dilated(opened(pale_blue | deep_blue | green_ink | red_ink | black_ink, 1), 3)


def flaw_masks(look: Look, tissue: Mask, *, px_um: float) -> dict[str, Mask]:
    """Return where tissue is folded (narrow bands of double density) and where long gray edges of bubbles run."""
    usual, high = np.percentile(look.density.take(sample(tissue)), (50, 90))
    dense = opened(look.density > max(FOLD_DENSITY, FOLD_RATIO * usual, FOLD_ABOVE * high), 1)
    wide = opened(dense, max(1, round(FOLD_WIDTH_UM / px_um)))
    edge = (look.density > EDGE_DENSITY) & (look.chroma < EDGE_CHROMA * look.density)
    rims = dilated(opened(edge, 1), 1)
    return {"fold": dense & ~dilated(wide, 3), "bubble": large(rims, 2 * EDGE_LENGTH_UM / px_um)}


def stain_of(look: Look, tissue: Mask) -> Literal["H&E", "IHC", "unknown"]:
    """Return the kind of stain: H&E by its eosin, IHC by the brown of DAB without eosin."""
    places = sample(tissue)
    red, green, blue = (plane.take(places) for plane in (look.red, look.green, look.blue))
    eosin = float(((green > 1.5 * red) & (green > 1.2 * blue) & (green > 0.05)).mean())
    brown = float(((blue > 1.1 * green) & (green > 1.1 * red) & (blue > BROWN)).mean())
    if brown >= BROWN_SHARE and eosin < EOSIN_SHARE:
        return "IHC"
    return "H&E" if eosin >= EOSIN_SHARE else "unknown"
