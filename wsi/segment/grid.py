"""Masks between two grids of one world: of an image as it was read, and of what the network sees of it."""

import numpy as np
import scipy
from numpy.typing import NDArray

from wsi.field import Field
from wsi.regrid import read_at
from wsi.segment.loss import IGNORED

Floats = NDArray[np.float32]
COARSE = 1.5
"""Where a grid is coarser than this many samples of the other, labels are averaged before they are looked up."""


def labels_on(found: Field, original: Field, *, threshold: float | None = None) -> NDArray[np.uint8]:
    """Return the class of each sample of the field as it was read, `(*shape)` of `original`.

    Probabilities are interpolated linearly between the samples of the preprocessed field, then the likeliest class is
    taken: an outline lies where the probability crosses, not at a border of coarse samples. Beyond the preprocessed
    field is background.

    Args:
        found: probabilities `(K, *other shape)` as values, with the affine of the preprocessed field.
        original: the field as it was read.
        threshold: of two classes, the probability from which a sample is class 1; None: the likeliest.
    """
    matrix = np.linalg.inv(found.affine) @ original.affine  # an index of the original to one of `found`
    cut_off = 0.5 if threshold is None else threshold
    if len(found.values) == 2:
        return (read_at(found.values[1], matrix, original.shape) >= cut_off).astype(np.uint8)
    labels = np.zeros(original.shape, np.uint8)
    best = read_at(found.values[0] - 1.0, matrix, original.shape) + 1.0
    for label in range(1, len(found.values)):
        one = read_at(found.values[label], matrix, original.shape)
        np.copyto(labels, np.uint8(label), where=one > best)
        np.maximum(best, one, out=best)
    return labels


def labels_under(labels: NDArray[np.uint8], original: Field, prepared: Field, *, classes: int) -> NDArray[np.uint8]:
    """Return the labels `(*shape)` of the preprocessed field's samples; IGNORED beyond the image.

    Args:
        labels: `(*shape)` of `original`, 0 to classes - 1 or IGNORED.
    """
    matrix = np.linalg.inv(original.affine) @ prepared.affine  # an index of `prepared` to one of the original
    best = np.full(prepared.shape, -1.0, np.float32)
    found = np.zeros(prepared.shape, np.uint8)
    kept = np.zeros(prepared.shape, np.float32)
    for label in range(classes):
        share = _averaged((labels == label).astype(np.float32), matrix)
        one = read_at(share, matrix, prepared.shape)
        kept += one
        np.copyto(found, np.uint8(label), where=one > best)
        np.maximum(best, one, out=best)
    found[kept < 0.5] = IGNORED
    return found


def _averaged(share: Floats, matrix: NDArray[np.float64]) -> Floats:
    """Return the mean over as many samples as the other grid's step takes, where that is coarser."""
    steps = np.linalg.norm(matrix[: share.ndim, : share.ndim], axis=1)
    if (steps <= COARSE).all():
        return share
    averaged: Floats = scipy.ndimage.uniform_filter(share, size=[max(1, round(s)) for s in steps], mode="constant")
    return averaged
