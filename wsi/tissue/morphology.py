"""Masks grown, shrunk, opened and closed by a disk, in time that doesn't depend on what they show."""

import math

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Mask = NDArray[np.bool_]

SAMPLE_PX = 1 << 20


def dilated(mask: Mask, radius: int) -> Mask:
    """Return the mask `(h, w)` grown by a disk of `radius` px; nothing lies beyond its edge.

    The disk is a stack of rows, so that a row is widened step by step and then shifted up and down.
    """
    height = mask.shape[0]
    found, row, reach = np.zeros_like(mask), mask.copy(), 0
    for dy in range(radius, -1, -1):
        while reach < math.isqrt(radius * radius - dy * dy):
            reach += 1
            row[:, reach:] |= mask[:, :-reach]
            row[:, :-reach] |= mask[:, reach:]
        found[dy:] |= row[: max(0, height - dy)]
        found[: max(0, height - dy)] |= row[dy:]
    return found


def eroded(mask: Mask, radius: int) -> Mask:
    """Return the mask shrunk by a disk; it is thought to go on beyond its edge."""
    return ~dilated(~mask, radius)


def opened(mask: Mask, radius: int) -> Mask:
    """Return the mask without what is narrower than the disk."""
    return dilated(eroded(mask, radius), radius)


def closed(mask: Mask, radius: int) -> Mask:
    """Return the mask with gaps filled that are narrower than the disk; at the edge it goes on as it is there."""
    padded = np.pad(mask, radius, mode="edge")
    return eroded(dilated(padded, radius), radius)[radius:-radius, radius:-radius]


def large(mask: Mask, least_px: float) -> Mask:
    """Return the connected parts of at least `least_px` px."""
    if not mask.any():
        return mask
    labels, _ = scipy.ndimage.label(mask)
    keep = np.bincount(labels.ravel()) >= least_px
    keep[0] = False
    return np.asarray(keep.take(labels), bool)


def share_around(mask: Mask, radius: int) -> NDArray[np.uint8]:
    """Return how much of the square of ±radius px around each px is in the mask, in 255ths, to a quarter of radius."""
    height, width = mask.shape
    step = max(1, radius // 4)
    picture = Image.fromarray(mask.view(np.uint8) * np.uint8(255)).reduce(step)
    blurred = picture.filter(ImageFilter.BoxBlur(radius / step))
    grown = np.asarray(blurred).repeat(step, axis=0).repeat(step, axis=1)
    return grown[:height, :width]


def sample(mask: Mask) -> NDArray[np.intp]:
    """Return the flat indices of up to about a million px of the mask, evenly spread, for statistics over it."""
    indices = np.flatnonzero(mask)
    return indices[:: 1 + len(indices) // SAMPLE_PX]
