"""Where a volume shows a body rather than the air around it, whatever its unit."""

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from wsi.field import Field

BINS = 256
ENDS = (0.5, 99.5)
"""Percentiles between which the histogram is taken: metal and padding would stretch it."""


def body(field: Field) -> NDArray[np.bool_]:
    """Return where the body is, `shape` bool: the largest piece brighter than Otsu's threshold, its holes filled.

    Holes are filled slice by slice along the last axis, so that lungs and bowel belong to the body though they are as
    dark as the air outside. All True where nothing stands out.

    Source: Otsu 1979.
    """
    values = field.values.max(axis=0)
    threshold = _otsu(values)
    if threshold is None:
        return np.ones(field.shape, bool)
    labels, count = scipy.ndimage.label(values > threshold)
    if not count:
        return np.ones(field.shape, bool)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    if values.ndim < 3:
        return np.asarray(scipy.ndimage.binary_fill_holes(largest), bool)
    for k in range(values.shape[-1]):
        largest[..., k] = scipy.ndimage.binary_fill_holes(largest[..., k])
    return np.asarray(largest, bool)


def _otsu(values: NDArray[Any]) -> float | None:
    """Return the value that parts the samples into two classes of least variance; None when they are all one."""
    low, high = (float(value) for value in np.percentile(values, ENDS))
    if low >= high:
        return None
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = counts.sum() - below
    sums = np.cumsum(counts * centers)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    if np.isnan(between).all():  # all that lies between the ends is in one bin
        return float(edges[1])
    return float(edges[int(np.nanargmax(between)) + 1])
