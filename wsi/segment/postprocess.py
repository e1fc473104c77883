"""What is done to a mask after the network: the steps of a card, in its order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy
from numpy.typing import NDArray

from wsi.card_image import Fill, InsideRoundView, LargestComponent, LeastSize, Postprocess
from wsi.geometry import Circle
from wsi.tissue.field_of_view import inside

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def postprocessed(
    labels: Labels, steps: Sequence[Postprocess], names: Sequence[str], *, view: Circle | None = None
) -> Labels:
    """Return labels `(*shape)` after the steps; the first of `names` is label 1. What is dropped is background, 0.

    Args:
        view: the picture's round field of view; None: it has none.
    """
    found = labels.copy()
    for step in steps:
        for label, name in enumerate(names, 1):
            if not step.structures or name in step.structures:
                _apply(found, label, step, view)
    return found


def _apply(labels: Labels, label: int, step: Postprocess, view: Circle | None) -> None:
    mask = labels == label
    match step:
        case LargestComponent():
            labels[mask & ~largest_component(mask)] = 0
        case LeastSize(samples=least):
            labels[mask & ~without_small(mask, least)] = 0
        case Fill():
            labels[filled(mask) & (labels == 0)] = label
        case InsideRoundView(margin=margin):
            if view is not None:
                labels[mask & ~inside_round_view(mask, view, margin)] = 0


def largest_component(mask: Mask) -> Mask:
    """Return the largest piece of a mask; of two as large, the one met first. Px are joined by corners, too."""
    pieces, sizes = _pieces(mask)
    if len(sizes) < 2:
        return mask
    return np.asarray(pieces == 1 + int(np.argmax(sizes)))


def without_small(mask: Mask, least: int) -> Mask:
    """Return a mask without its pieces of fewer than `least` samples."""
    pieces, sizes = _pieces(mask)
    keep = np.concatenate([[False], sizes >= least])
    return np.asarray(keep[pieces])


def inside_round_view(mask: Mask, view: Circle, margin: float) -> Mask:
    """Return what of a mask `(h, w)` lies in a circle, of pieces that reach in by more than `margin` of its radius."""
    pieces, sizes = _pieces(mask)
    core = inside(replace(view, radius=view.radius * (1 - margin)), mask.shape)
    keep = np.zeros(len(sizes) + 1, bool)
    keep[pieces[core & mask]] = True
    return np.asarray(keep[pieces] & inside(view, mask.shape))


def filled(mask: Mask) -> Mask:
    """Return a mask with its holes: what can't be reached from the border of the image over sides of samples."""
    return np.asarray(scipy.ndimage.binary_fill_holes(mask), bool)


def _pieces(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the number of each sample's piece, 0 for none, and the size of each piece."""
    pieces, count = scipy.ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return pieces, np.bincount(pieces.ravel(), minlength=count + 1)[1:]
