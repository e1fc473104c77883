"""Bring labels from one grid to another: of a field that was cropped, resized, turned or padded, and back."""

import functools
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsi.errors import ModelError
from wsi.field import Field

SLANT = 1e-4
"""Share of an axis's step that it may lean towards another one: rounding in a file's affine, not a turn."""


def onto(field: Field, shape: Sequence[int], affine: NDArray[np.float64], *, beyond: float = 0.0) -> Field:
    """Return a field's values at the samples of another grid: those of the nearest sample, `beyond` outside.

    Args:
        field: values `(C, *shape)`.
        shape: samples of the other grid along its axes.
        affine: its `(N + 1, N + 1)` to the same world.

    Raises:
        ModelError: the grids are turned against one another by other than right angles.
    """
    count = len(field.axes)
    matrix = np.linalg.inv(field.affine) @ affine  # an index of the other grid to one of the field
    sources = _sources(matrix[:count, :count])
    places = [
        np.rint(matrix[axis, source] * np.arange(shape[source]) + matrix[axis, count]).astype(np.int64)
        for axis, source in enumerate(sources)
    ]
    inside = [(place >= 0) & (place < length) for place, length in zip(places, field.shape, strict=True)]
    picked = field.values
    for axis, (place, length) in enumerate(zip(places, field.shape, strict=True)):
        picked = picked.take(np.clip(place, 0, length - 1), axis=axis + 1)
    if not all(one.all() for one in inside):
        picked[:, ~_grid(inside)] = beyond
    order = [0, *(1 + sources.index(axis) for axis in range(count))]
    values = picked.transpose(order)
    steps = np.linalg.norm(affine[:count, :count], axis=0)
    axes = tuple(type(axis)(axis.name, axis.unit, float(step)) for axis, step in zip(field.axes, steps, strict=True))
    return Field(np.ascontiguousarray(values), axes, np.asarray(affine, np.float64), field.channels)


def _sources(linear: NDArray[np.float64]) -> list[int]:
    """Return for each axis of the field the axis of the other grid that runs along it."""
    count = len(linear)
    for sources in itertools.permutations(range(count)):
        along = np.zeros_like(linear)
        along[range(count), sources] = linear[range(count), sources]
        if np.all(np.abs(linear - along).sum(axis=1) <= SLANT * np.abs(along).sum(axis=1)):
            return list(sources)
    raise ModelError("a step of the card turned the image by other than right angles, so nothing can be placed on it")


def _grid(inside: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return functools.reduce(np.logical_and.outer, inside)
