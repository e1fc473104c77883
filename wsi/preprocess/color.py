"""Steps over the channels of a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi.card_steps import Clahe, Gray, Select, ShadesOfGray
from wsi.errors import ModelError
from wsi.field import Field

BINS = 256
_BT601 = np.array([0.299, 0.587, 0.114], np.float32)


def select(field: Field, step: Select) -> Field:
    """Return the named channels, in the order named."""
    missing = [name for name in step.channels if name not in field.channels]
    if missing:
        raise ModelError(f"no channel {', '.join(missing)}; the image has {', '.join(field.channels)}")
    picked = [field.channels.index(name) for name in step.channels]
    return field.with_values(field.values[picked], channels=tuple(step.channels))


def gray(field: Field, _: Gray) -> Field:
    """Return R, G and B as one channel `gray` (ITU-R BT.601, 2.5.1); one channel as it is."""
    if len(field.values) == 1:
        return field.with_values(field.values, channels=("gray",))
    if len(field.values) != 3:
        raise ModelError(f"expected R, G, B, found {', '.join(field.channels)}")
    return field.with_values(np.tensordot(_BT601, field.values, axes=1)[None].astype(np.float32), channels=("gray",))


def shades_of_gray(field: Field, step: ShadesOfGray) -> Field:
    """Return the picture under white light: each channel times |e| / (sqrt(C) e), e its Minkowski mean, cut off at `top`.

    e = (mean of value^p)^(1/p). A picture whose channels have the same mean stays as it is.

    Source: Finlayson and Trezzi 2004, eq. 5 and 9.
    """
    light = np.array([_minkowski(plane, step.p, step.top) for plane in field.values])
    if not (light > 0).all():
        return field.with_values(field.values.astype(np.float32))
    gains = np.linalg.norm(light) / (np.sqrt(len(light)) * light)
    values = field.values * gains.astype(np.float32).reshape(-1, *[1] * len(field.axes))
    return field.with_values(np.clip(values, 0.0, step.top, out=values.astype(np.float32, copy=False)))


def _minkowski(plane: NDArray[Any], p: float, top: float) -> float:
    """Return (mean of (value / top)^p)^(1/p); of bytes by their histogram, which is exact and quick."""
    if plane.dtype == np.uint8:
        counts = np.bincount(plane.ravel(), minlength=BINS)
        mean = float((counts * (np.arange(BINS) / top) ** p).sum() / plane.size)
    else:
        mean = float(((np.maximum(plane, 0) / np.float32(top)).astype(np.float64) ** p).mean())
    return float(mean ** (1 / p))


def clahe(field: Field, step: Clahe) -> Field:
    """Return each channel with its histogram made even in tiles x tiles parts, a bin at most `clip` times the mean.

    What is clipped is dealt evenly over all bins; between the middles of four parts their curves are mixed linearly.
    Values are taken as 0-`top` in 256 bins.

    Source: Zuiderveld 1994, Graphics Gems IV, VIII.5.
    """
    if len(field.axes) != 2:
        raise ModelError(f"expected a picture of two axes, found {len(field.axes)}")
    return field.with_values(np.stack([_equalized(plane, step) for plane in field.values]))


def _equalized(plane: NDArray[Any], step: Clahe) -> NDArray[np.float32]:
    bins = np.clip(np.rint(plane.astype(np.float32) * np.float32((BINS - 1) / step.top)), 0, BINS - 1).astype(np.intp)
    counts = [min(step.tiles, length) for length in plane.shape]
    ends = [
        np.linspace(0, side, count + 1).round().astype(int) for side, count in zip(plane.shape, counts, strict=True)
    ]
    curves = np.empty((*counts, BINS), np.float32)
    for i in range(counts[0]):
        for j in range(counts[1]):
            part = bins[ends[0][i] : ends[0][i + 1], ends[1][j] : ends[1][j + 1]]
            curves[i, j] = _curve(part, step.clip) * step.top
    above, below, down = (part[:, None] for part in _between(ends[0]))
    left, right, across = (part[None] for part in _between(ends[1]))
    upper = curves[above, left, bins] * (1 - across) + curves[above, right, bins] * across
    lower = curves[below, left, bins] * (1 - across) + curves[below, right, bins] * across
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def _curve(part: NDArray[np.intp], clip: float) -> NDArray[np.float64]:
    """Return the share of samples at or below each bin, after clipping, on 0-1."""
    counts = np.bincount(part.ravel(), minlength=BINS).astype(float)
    most = max(clip * part.size / BINS, 1.0)
    kept = np.minimum(counts, most)
    kept += (part.size - kept.sum()) / BINS
    return np.asarray(np.cumsum(kept) / part.size)


def _between(edges: NDArray[np.int_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return for each sample the parts whose middles it lies between, and its share of the second."""
    middles = (edges[:-1] + edges[1:] - 1) / 2
    place = np.arange(edges[-1])
    second = np.clip(np.searchsorted(middles, place, side="right"), 0, len(middles) - 1)
    first = np.clip(second - (place < middles[-1]), 0, len(middles) - 1)
    width = np.where(second > first, middles[second] - middles[first], 1.0)
    share = np.where(second > first, (place - middles[first]) / width, 0.0)
    return first, second, np.clip(share, 0.0, 1.0).astype(np.float32)
