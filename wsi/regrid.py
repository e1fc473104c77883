"""Values on another grid of the same world: of a field that was cropped, resized, turned or padded, and back."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from wsi.field import Field

Order = Literal[0, 1]
"""0: the value of the nearest sample; 1: linear between samples, float32."""
SLANT = 1e-5
"""Share of an axis's step that it may lean towards another one: rounding in an affine, not a turn."""
WHOLE = 1e-4
"""Share of a sample by which grids may be shifted and still share their samples: a crop or pad is undone exactly."""


def onto(
    field: Field, shape: Sequence[int], affine: NDArray[np.float64], *, order: Order = 0, beyond: float = 0.0
) -> Field:
    """Return a field's values at the samples of another grid.

    Args:
        field: values `(C, *shape)`.
        shape: samples of the other grid along its axes.
        affine: its `(N + 1, N + 1)` to the same world.
        beyond: value outside of the field; its outer samples hold half a sample further than their middles.
    """
    matrix = np.linalg.inv(field.affine) @ affine  # an index of the other grid to one of the field
    values = np.stack([read_at(plane, matrix, shape, order=order, beyond=beyond) for plane in field.values])
    steps = np.linalg.norm(affine[:-1, :-1], axis=0)
    axes = tuple(replace(axis, step=float(step)) for axis, step in zip(field.axes, steps, strict=True))
    return Field(values, axes, np.asarray(affine, np.float64), field.channels)


def read_at(
    values: NDArray[Any], matrix: NDArray[np.float64], shape: Sequence[int], *, order: Order = 1, beyond: float = 0.0
) -> NDArray[Any]:
    """Return values `(*old shape)` at the samples of another grid, `(*shape)`; see `onto`.

    Args:
        matrix: `(N + 1, N + 1)`, from an index of the other grid to one of the values.
    """
    kind = np.dtype(np.float32) if order else values.dtype
    values, steps, shift = _turned(values.astype(kind, copy=False), matrix)
    if steps.ndim == 1 and (order == 0 or _is_whole(steps, shift)):
        return _picked(values, steps, shift, shape, beyond)
    found: NDArray[Any] = scipy.ndimage.affine_transform(
        values, steps, shift, output_shape=tuple(shape), output=kind, order=order, mode="nearest"
    )
    is_there = np.ones(values.shape, bool)
    inside = scipy.ndimage.affine_transform(
        is_there, steps, shift, output_shape=tuple(shape), order=0, mode="grid-constant"
    )
    found[~inside] = beyond
    return found


def _turned(
    values: NDArray[Any], matrix: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Return the values with axes in the other grid's order, the step along each, and where they begin.

    Where the grids are turned by other than right angles, the values as they are and a matrix in place of the steps.
    """
    count = values.ndim
    linear, shift = matrix[:count, :count], matrix[:count, count]
    for order in itertools.permutations(range(count)):  # order[b]: the axis that the other grid's axis b runs along
        steps = linear[order, range(count)]
        rest = np.abs(linear).sum(axis=1)[list(order)] - np.abs(steps)
        if np.all(rest <= SLANT * np.abs(steps)):
            return values.transpose(order), steps, shift[list(order)]
    return values, linear, shift


def _is_whole(steps: NDArray[np.float64], shift: NDArray[np.float64]) -> bool:
    """Return whether the samples of one grid are samples of the other."""
    return np.allclose(np.abs(steps), 1, atol=1e-6) and np.allclose(shift, np.rint(shift), atol=WHOLE)


def _picked(
    values: NDArray[Any],
    steps: NDArray[np.float64],
    shift: NDArray[np.float64],
    shape: Sequence[int],
    beyond: float,
) -> NDArray[Any]:
    """Return the nearest sample of each place, axis by axis."""
    inside = []
    for axis, (step, start, count) in enumerate(zip(steps, shift, shape, strict=True)):
        place = np.rint(step * np.arange(count) + start).astype(np.int64)
        inside.append((place >= 0) & (place < values.shape[axis]))
        values = values.take(np.clip(place, 0, values.shape[axis] - 1), axis=axis)
    if not all(one.all() for one in inside):
        values[~functools.reduce(np.logical_and.outer, inside)] = beyond
    return np.ascontiguousarray(values)
