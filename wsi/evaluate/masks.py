"""How well a mask agrees with a reference: overlap, outline and amount, of one structure of one image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
FAR = 95.0
"""Percentile of the distances that HD95 takes."""


@dataclass(frozen=True, slots=True)
class MaskScores:
    """Agreement of a mask with its reference; None where there is nothing to compare, and `reason` says why.

    dice, surface_dice: 0 to 1. far: HD95, in the unit of the spacing. amount, reference: sizes of both, in that unit to
    the power of the axes (mm³, mm² or px²).
    """

    dice: float | None
    surface_dice: float | None
    far: float | None
    amount: float
    reference: float
    reason: str = ""

    @property
    def error(self) -> float:
        """Amount less the reference's: above 0, too much is marked."""
        return self.amount - self.reference


def mask_scores(
    mask: Mask, reference: Mask, *, spacing: Sequence[float], tolerance: float, counted: Mask | None = None
) -> MaskScores:
    """Compare a mask with a reference of the same shape `(*shape)`.

    Neither marks anything: nothing to compare. One of them: Dice and surface Dice are 0, and there is no distance.

    Args:
        spacing: between two samples along each axis, mm or px.
        tolerance: distance within which outlines agree, in the same unit.
        counted: `(*shape)`, samples that count (a field of view); None: all.

    Raises:
        ValueError: shapes that differ.
    """
    if mask.shape != reference.shape or len(spacing) != mask.ndim:
        raise ValueError(f"a mask {mask.shape} with spacing {tuple(spacing)} can't be compared with {reference.shape}")
    if counted is not None:
        mask, reference = mask & counted, reference & counted
    size = float(np.prod(spacing))
    amount, wanted = float(mask.sum()) * size, float(reference.sum()) * size
    if not amount and not wanted:
        return MaskScores(None, None, None, amount, wanted, "neither the mask nor the reference marks anything")
    if not amount or not wanted:
        missing = "reference" if not wanted else "mask"
        return MaskScores(0.0, 0.0, None, amount, wanted, f"the {missing} marks nothing, so there is no distance")
    to_reference, to_mask = surface_distances(mask, reference, spacing=spacing)
    near = (to_reference <= tolerance).sum() + (to_mask <= tolerance).sum()
    return MaskScores(
        dice=dice(mask, reference),
        surface_dice=float(near / (len(to_reference) + len(to_mask))),
        far=float(max(np.percentile(to_reference, FAR), np.percentile(to_mask, FAR))),
        amount=amount,
        reference=wanted,
    )


def dice(mask: Mask, reference: Mask) -> float:
    """Return `2 |A ∩ B| / (|A| + |B|)`; ValueError when both are empty.

    Source: Dice 1945, the coincidence index.
    """
    either = int(mask.sum()) + int(reference.sum())
    if not either:
        raise ValueError("the Dice of two empty masks isn't defined")
    return 2 * int((mask & reference).sum()) / either


def surface_distances(
    mask: Mask, reference: Mask, *, spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distance of each outline sample of the mask to the reference's outline, and the reverse.

    The outline is the samples of a structure of which a neighbor over a side is outside; the border of the image is.

    Source: Nikolov et al. 2021, surface Dice, and Maier-Hein et al. 2024, with samples as elements of the surface.
    """
    box = scipy.ndimage.find_objects((mask | reference).astype(np.uint8))[0]
    a, b = outline(mask[box]), outline(reference[box])
    return _distance_to(b, spacing)[a], _distance_to(a, spacing)[b]


def outline(mask: Mask) -> Mask:
    """Return the samples of a mask that have a side outside."""
    return np.asarray(mask & ~scipy.ndimage.binary_erosion(mask))


def _distance_to(surface: Mask, spacing: Sequence[float]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = scipy.ndimage.distance_transform_edt(~surface, sampling=spacing)
    return found
