"""A sampled field: channels over one to three axes, and where each sample lies in the world.

A picture, a stack of slices and a signal are the same thing with two, three and one axes. What is done to a field
(crop, resize, pad) keeps its affine right, so that what a model says of an index is said of a place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_AXES = 3


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a field: its name, the unit of its world and how many units lie between two samples."""

    name: str
    unit: str
    step: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step) and self.step > 0):
            raise ValueError(f"the step of axis {self.name!r} must be finite and positive, found {self.step}")


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Samples `(C, *shape)` and their place.

    values `(C, *shape)` of any real dtype; axes in the array's order; affine `(N + 1, N + 1)` float64 from an index (in
    the array's order, 0 the center of the first sample) to the world; channels: one name a channel.

    The world of a picture (axes y, x in px) is (row, column) of the original picture's px, whose centers are whole
    numbers. The world of a volume (axes i, j, k in mm) is NIfTI's: mm to the right, to the front and up (RAS+).

    Raises:
        ValueError: the parts don't fit one another.
    """

    values: NDArray[Any]
    axes: tuple[Axis, ...]
    affine: NDArray[np.float64]
    channels: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.axes)
        if not 1 <= count <= MAX_AXES or self.values.ndim != count + 1:
            raise ValueError(f"{count} axes need an array of {count + 1}, found {self.values.ndim}")
        if len(self.channels) != len(self.values) or not self.channels:
            raise ValueError(f"{len(self.values)} channels, but {len(self.channels)} names")
        if min(self.values.shape) < 1:
            raise ValueError(f"a field has at least one sample, found {self.values.shape}")
        if self.affine.shape != (count + 1, count + 1) or self.affine.dtype != np.float64:
            raise ValueError(f"affine must be {count + 1} x {count + 1} float64, found {self.affine.shape}")
        if not np.array_equal(self.affine[-1], np.eye(count + 1)[-1]):
            raise ValueError("the last row of the affine must be 0 ... 0 1")
        if not np.isfinite(self.affine).all() or abs(np.linalg.det(self.affine)) < 1e-12:
            raise ValueError("the affine can't be inverted")

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples along each axis, in the array's order."""
        return tuple(self.values.shape[1:])

    @property
    def steps(self) -> tuple[float, ...]:
        """Units of the world between two samples, along each axis."""
        return tuple(axis.step for axis in self.axes)

    def to_world(self, index: NDArray[np.float64] | Sequence[float]) -> NDArray[np.float64]:
        """Return where in the world the indices `(..., N)` lie, `(..., N)`."""
        world: NDArray[np.float64] = np.asarray(index, np.float64) @ self.affine[:-1, :-1].T + self.affine[:-1, -1]
        return world

    def to_index(self, world: NDArray[np.float64] | Sequence[float]) -> NDArray[np.float64]:
        """Return the indices, with fractions, of places `(..., N)` in the world: `to_world` undone."""
        inverse = np.linalg.inv(self.affine)
        index: NDArray[np.float64] = np.asarray(world, np.float64) @ inverse[:-1, :-1].T + inverse[:-1, -1]
        return index

    def with_values(self, values: NDArray[Any], *, channels: tuple[str, ...] | None = None) -> "Field":
        """Return other values of the same places: the same shape, maybe other channels."""
        if values.shape[1:] != self.values.shape[1:]:
            raise ValueError(f"values for {self.shape} samples wanted, found {values.shape[1:]}")
        return replace(self, values=values, channels=self.channels if channels is None else channels)

    def moved(self, values: NDArray[Any], *, start: Sequence[float], scale: Sequence[float]) -> "Field":
        """Return a field resampled along its axes: index n of the new one is index `start + n x scale` of this one.

        A crop has a scale of 1 and its corner as start; a pad has a negative start; to halve a picture by means of
        2 x 2 samples is scale 2 and start 0.5.

        Args:
            values: `(C, *new shape)`, the channels of this field.
            start: an index, with fractions, for each axis.
            scale: samples of this field between two of the new one, for each axis.
        """
        count = len(self.axes)
        step = np.eye(count + 1)
        step[:count, :count] = np.diag(np.asarray(scale, np.float64))
        step[:count, count] = start
        axes = tuple(replace(axis, step=axis.step * abs(s)) for axis, s in zip(self.axes, scale, strict=True))
        return Field(values=values, axes=axes, affine=self.affine @ step, channels=self.channels)


def picture_field(values: NDArray[Any], channels: tuple[str, ...]) -> Field:
    """Return the field of a whole picture `(C, height, width)`: axes y and x in px, the world its own px."""
    return Field(values, (Axis("y", "px", 1.0), Axis("x", "px", 1.0)), np.eye(3), channels)


def volume_field(values: NDArray[Any], affine: NDArray[np.float64], channels: tuple[str, ...]) -> Field:
    """Return the field of a volume `(C, I, J, K)` by its affine `(4, 4)` to mm; the steps are the columns' lengths."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    axes = tuple(Axis(name, "mm", float(step)) for name, step in zip("ijk", steps, strict=True))
    return Field(values, axes, np.asarray(affine, np.float64), channels)
