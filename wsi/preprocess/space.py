"""Steps that change where samples lie; each keeps the affine right."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from wsi.card_steps import CropBorder, CropSquare, Orient, Pad, Resample, Resize
from wsi.errors import ModelError
from wsi.field import Field
from wsi.preprocess.weights import area_weights, linear_weights, nearest_weights, weighted

_WORLD = ("RL", "AP", "SI")
"""Letters of the directions of a world axis: the positive one first."""


def crop(field: Field, box: Sequence[slice]) -> Field:
    """Return the samples in a box of indices, one slice (start, stop) an axis."""
    values = field.values[(slice(None), *box)]
    return field.moved(values, start=[part.start for part in box], scale=[1.0] * len(box))


def crop_border(field: Field, step: CropBorder) -> Field:
    """Return the field without a share of each side at both ends, rounded down."""
    cuts = [int(length * step.share) for length in field.shape]
    return crop(field, [slice(cut, length - cut) for cut, length in zip(cuts, field.shape, strict=True)])


def crop_square(field: Field, _step: CropSquare) -> Field:
    """Return the middle of the field, every axis as long as the shortest; the odd sample is cut off at the end."""
    side = min(field.shape)
    starts = [(length - side) // 2 for length in field.shape]
    return crop(field, [slice(start, start + side) for start in starts])


def pad(field: Field, step: Pad) -> Field:
    """Return the field in the middle of a larger one; the odd sample goes to the end. Longer axes stay as they are."""
    wanted = [max(field.shape)] * len(field.shape) if step.px is None else _each(step.px, field)
    before, after = [], []
    for length, least in zip(field.shape, wanted, strict=True):
        more = max(0, int(least) - length)
        before.append(more // 2)
        after.append(more - more // 2)
    if not any(after):
        return field
    kind = field.values.dtype
    if not holds(kind, step.value):
        kind = np.dtype(np.float32)
    values = np.full((len(field.values), *np.add(field.shape, np.add(before, after))), step.value, kind)
    values[(slice(None), *(slice(b, b + n) for b, n in zip(before, field.shape, strict=True)))] = field.values
    return field.moved(values, start=[-b for b in before], scale=[1.0] * len(before))


def holds(kind: np.dtype[Any], value: float) -> bool:
    """Return whether samples of a dtype can be this number; of floats they are near enough."""
    if kind.kind not in "iu":
        return True
    limits = np.iinfo(kind)
    return float(value).is_integer() and bool(limits.min <= value <= limits.max)


def resize(field: Field, step: Resize) -> Field:
    """Return the field at a size in samples: means over the samples' areas where it shrinks, linear where it grows.

    Its outer edges stay where they are, so a new sample n lies at the old index (n + 1/2) old / new - 1/2.
    """
    if step.side == "exact":
        sizes = [int(size) for size in _each(step.px, field)]
    else:
        side = max(field.shape) if step.side == "longest" else min(field.shape)
        sizes = [max(1, round(length * step.px[0] / side)) for length in field.shape]
    if tuple(sizes) == field.shape:
        return field
    scales = [old / new for old, new in zip(field.shape, sizes, strict=True)]
    weights = [
        area_weights(old, new) if new < old else linear_weights(old, new, scale, (scale - 1) / 2)
        for old, new, scale in zip(field.shape, sizes, scales, strict=True)
    ]
    values = weighted(field.values, weights)
    return field.moved(values, start=[(scale - 1) / 2 for scale in scales], scale=scales)


def resample(field: Field, step: Resample) -> Field:
    """Return the field with other steps between its samples, its middle where it was.

    Size is old size x old step / new step, rounded. Linear (order 1) is a mean under a triangle as wide as the new
    step where that is the longer, so nothing is skipped; nearest (order 0) is for labels; 2 and 3 are splines.
    """
    wanted = _each(step.step, field)
    scales = [new / old for new, old in zip(wanted, field.steps, strict=True)]
    if np.allclose(scales, 1.0, rtol=1e-6):
        return field
    sizes = [max(1, round(length / scale)) for length, scale in zip(field.shape, scales, strict=True)]
    starts = [
        ((length - 1) - (size - 1) * scale) / 2 for length, size, scale in zip(field.shape, sizes, scales, strict=True)
    ]
    if step.order < 2:
        make = linear_weights if step.order else nearest_weights
        parts = zip(field.shape, sizes, scales, starts, strict=True)
        values = weighted(field.values, [make(old, new, scale, start) for old, new, scale, start in parts])
    else:
        values = np.stack([_spline(plane, step.order, sizes, scales, starts) for plane in field.values])
    if step.order == 0:
        values = values.astype(field.values.dtype)
    return field.moved(values, start=starts, scale=scales)


def _spline(
    plane: NDArray[Any], order: int, sizes: Sequence[int], scales: Sequence[float], starts: Sequence[float]
) -> NDArray[np.float32]:
    found = scipy.ndimage.affine_transform(
        plane.astype(np.float32), scales, starts, output_shape=tuple(sizes), order=order, mode="nearest"
    )
    return np.asarray(found, np.float32)


def orient(field: Field, step: Orient) -> Field:
    """Return a volume with its axes permuted and flipped to run as `to` says, letter by letter; nothing resampled.

    Each array axis is taken for the world axis that it is nearest to.
    """
    if len(field.axes) != 3:
        raise ModelError(f"orientation is for three axes, this image has {len(field.axes)}")
    worlds = [next(w for w, pair in enumerate(_WORLD) if letter in pair) for letter in step.to]
    if sorted(worlds) != [0, 1, 2]:
        raise ModelError(f"to: {step.to} names an axis twice")
    turn = field.affine[:3, :3] / np.linalg.norm(field.affine[:3, :3], axis=0)
    _, nearest = scipy.optimize.linear_sum_assignment(-np.abs(turn))  # the array axis of each world axis
    order = [int(nearest[world]) for world in worlds]
    matrix = field.affine.copy()
    matrix[:, :3] = field.affine[:, order]
    turned = replace(
        field,
        values=field.values.transpose(0, *(1 + axis for axis in order)),
        axes=tuple(replace(field.axes[axis], name=name) for axis, name in zip(order, "ijk", strict=True)),
        affine=matrix,
    )
    back = [
        (turn[world, axis] > 0) != (letter == _WORLD[world][0])
        for world, axis, letter in zip(worlds, order, step.to, strict=True)
    ]
    flips = tuple(slice(None, None, -1 if flip else 1) for flip in back)
    start = [length - 1 if flip else 0 for length, flip in zip(turned.shape, back, strict=True)]
    return turned.moved(
        turned.values[(slice(None), *flips)], start=start, scale=[-1.0 if flip else 1.0 for flip in back]
    )


def _each(numbers: Sequence[float], field: Field) -> list[float]:
    """Return one number an axis; one alone is for all."""
    if len(numbers) == 1:
        return [float(numbers[0])] * len(field.axes)
    if len(numbers) != len(field.axes):
        raise ModelError(f"{len(numbers)} numbers for an image of {len(field.axes)} axes")
    return [float(number) for number in numbers]
