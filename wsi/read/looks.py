"""Numbers that an image shows of itself, by which a card can tell its own kind of image from others.

None names a kind: a card says between which limits each lies on the images its model was made with.
"""

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from wsi.field import Field
from wsi.read.field_info import MEASURED
from wsi.read.round_view import coarse, on_black

SIDE = 96
"""Pictures are looked at on about this many rows or columns, so that size and JPEG noise hardly count."""
COLORED = 12.0
"""Difference between a px's channels, of 255, from which it has a color."""
BLACK, BRIGHT = 0.06, 0.78
"""Shares of 255 below which a px is black, and from which a colorless one is bright ground."""
FINE = 1 / 32
"""Share of the shorter side below which detail is fine (sigma of the Gaussian that takes it away)."""
STAINED = 0.3
"""Sum of the three optical densities from which a px counts as stained."""
AIR = -300.0
"""Of what was measured, a value below this is air on Hounsfield's scale, and rare on all others."""
FAT = (-150.0, -30.0)
"""Values between which fat lies on Hounsfield's scale, and hardly anything on others."""
BLOCK = 128
"""What was measured is looked at, but for its air, in a block of at most this many samples along each axis."""
_HEMATOXYLIN, _EOSIN = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11)
_NORMAL = np.cross(_HEMATOXYLIN, _EOSIN) / np.linalg.norm(np.cross(_HEMATOXYLIN, _EOSIN))
"""Of the plane of all mixtures of the two stains (Ruifrok and Johnston 2001, table 1) among optical densities."""
LOOKS = (
    *("gray", "colorful", "red", "pale", "warm", "blue", "bright_ground", "off_stain", "round", "surround", "column"),
    *("contrast", "fine", "stained", "wide"),
)
LOOKS_OF_MEASURED = ("air", "fat", "levels", "smooth")
"""The names that a card may set limits for."""


def look_at(field: Field) -> dict[str, float]:
    """Return what a picture shows, by the names of LOOKS; of what a scanner measured, those of LOOKS_OF_MEASURED.

    air: share of samples below AIR. fat: share of samples within FAT. levels: how many different values there are, few
    in a mask. smooth: correlation of neighboring samples, the mean of all axes: 0 of noise, 1 of a ramp. The last three are
    those of the middle BLOCK.

    gray: share of px without color. colorful: M of Hasler and Suesstrunk 2003, over 100. red: median share of R in
    R + G + B, of px that aren't black. pale: the same of B, which skin gives back and the retina takes. warm: share of colored px with R > G > B. blue: share of colored px with B at
    least R. bright_ground: share of bright px without color. off_stain: median sine of the angle between a px's
    optical density and the plane of hematoxylin and eosin; 1 where nothing is dense. round: how much of a circle the
    edge of its surround shows, 0 without one. surround: share of the picture that is surround; a plain one that isn't dark
    is taken as black for all looks.
    column: mean of the middle column less that of the two beside it, of 255. contrast: standard deviation of the
    light, of 255. fine: share of its variance that is finer than a 32nd of the picture. stained: fine less off_stain, high
    for stained tissue and low for photographs. wide: width over height.
    """
    if field.channels == MEASURED:
        return _of_measured(field.values)
    if len(field.axes) != 2 or len(field.values) not in (1, 3):
        return {}
    field, view = on_black(field)
    planes, _ = coarse(field.values, side=SIDE)  # (C, h, w) on 0-255
    rgb = np.repeat(planes, 3, axis=0) if len(planes) == 1 else planes
    light = np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), rgb, axes=1)  # (h, w)
    found = _colors(rgb) | {
        "off_stain": _off_stain(rgb),
        "round": view.roundness * view.arc if view.is_found else 0.0,
        "surround": view.surround,
        "column": _column(light),
        "contrast": float(light.std()) / 255,
        "fine": _fine(light),
        "wide": field.shape[1] / field.shape[0],
    }
    found["stained"] = found["fine"] - found["off_stain"]
    return {name: found[name] for name in LOOKS}


def _of_measured(values: NDArray[Any]) -> dict[str, float]:
    """Return the LOOKS_OF_MEASURED of samples `(1, *shape)`."""
    block = values[0].astype(np.float32, copy=False)
    for axis, size in enumerate(block.shape):
        block = block.take(range(max(0, (size - BLOCK) // 2), min(size, (size + BLOCK) // 2)), axis)
    return {
        "air": float((values < AIR).mean()),
        "fat": float(((block > FAT[0]) & (block < FAT[1])).mean()),
        "levels": float(len(np.unique(block))),
        "smooth": _smooth(block),
    }


def _smooth(block: NDArray[np.float32]) -> float:
    off = block - block.mean(dtype=np.float64)
    power = float((off**2).mean())
    if power <= 0:
        return 1.0
    turned = [np.moveaxis(off, axis, 0) for axis in range(off.ndim) if off.shape[axis] > 1]
    return float(np.mean([(one[1:] * one[:-1]).mean() for one in turned])) / power


def _colors(rgb: NDArray[np.float32]) -> dict[str, float]:
    red, green, blue = rgb
    greatest, least = rgb.max(axis=0), rgb.min(axis=0)
    colored, seen = greatest - least >= COLORED, greatest >= BLACK * 255
    count, shares = max(1, int(colored.sum())), rgb / np.maximum(rgb.sum(axis=0), 1)
    across, along = red - green, (red + green) / 2 - blue
    spread = np.hypot(across.std(), along.std()) + 0.3 * np.hypot(across.mean(), along.mean())
    return {
        "gray": float(1 - colored.mean()),
        "colorful": float(spread) / 100,
        "red": float(np.median(shares[0][seen])) if seen.any() else 1 / 3,
        "pale": float(np.median(shares[2][seen])) if seen.any() else 1 / 3,
        "warm": float((colored & (red > green) & (green > blue)).sum() / count),
        "blue": float((colored & (blue >= red)).sum() / count),
        "bright_ground": float((~colored & (least > BRIGHT * 255)).mean()),
    }


def _off_stain(rgb: NDArray[np.float32]) -> float:
    density = -np.log10(np.clip(rgb, 1, 255) / np.float32(255))  # (3, h, w)
    dense = density.sum(axis=0) > STAINED
    if not dense.any():
        return 1.0
    length = np.linalg.norm(density, axis=0)[dense]
    return float(np.median(np.abs(np.tensordot(_NORMAL, density[:, dense], axes=1)) / length))


def _column(light: NDArray[np.float32]) -> float:
    height, width = light.shape
    rows = light[height // 4 : height - height // 4]

    def mean(start: float, end: float) -> float:
        return float(rows[:, int(start * width) : max(int(end * width), int(start * width) + 1)].mean())

    return (mean(0.44, 0.56) - (mean(0.2, 0.38) + mean(0.62, 0.8)) / 2) / 255


def _fine(light: NDArray[np.float32]) -> float:
    power = float(light.var())
    if power <= 0:
        return 0.0
    smooth = scipy.ndimage.gaussian_filter(light, min(light.shape) * FINE, mode="nearest")
    return float((light - smooth).var()) / power
