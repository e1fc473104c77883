"""Cut a field of one to three axes into windows of one size, and stitch what a network says of them together again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi.errors import ModelError, TooLargeError

FALLOFF = 0.125
"""Standard deviation of a window's weights over its length: little is trusted at borders that saw little around them."""
FAINTEST = 1e-3
"""Least weight over the greatest, so that a sample covered by corners of windows only still has a value."""

MAX_WINDOWS = 1 << 20
"""Of one image: their corners take 24 MB, and no network reads as many in a day."""


def starts(length: int, window: int, stride: int) -> tuple[int, ...]:
    """Return where windows begin along an axis: every `stride`, and the last one flush with the end.

    All samples are covered. An axis no longer than the window has one start, 0.

    Raises:
        ValueError: a length, window or stride below 1, or a stride that leaves gaps.
    """
    if min(length, window, stride) < 1 or stride > window:
        raise ValueError(f"no windows of {window} every {stride} over {length}")
    last = max(0, length - window)
    return (*range(0, last, stride), last)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Where the windows of a field lie.

    shape: samples along each axis; padded: the same, but at least a window; corners `(N, ndim)` int64: first index of
    each window, the last axis fastest. A window passes the end of `shape` only where `padded` does.
    """

    shape: tuple[int, ...]
    padded: tuple[int, ...]
    window: tuple[int, ...]
    corners: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.corners)


def plan_windows(
    shape: Sequence[int], window: Sequence[int] | None, overlap: float = 0.0, *, multiple: int | None = None
) -> Windows:
    """Return windows that cover `shape`; neighbors share at least `overlap` (0 to below 1) of their length.

    Args:
        shape: samples along each axis.
        window: samples of a window along each axis; None: the whole field is one window.
        overlap: share of a window's length.
        multiple: of networks that halve their windows: no longer than the field, then rounded up to multiples of this.
            None: a window is as long as it says, and an image smaller than that is padded.

    Raises:
        ValueError: axes that differ in number, or an overlap outside 0-1.
        TooLargeError: more than MAX_WINDOWS.
    """
    size = tuple(shape) if window is None else tuple(window)
    if multiple is not None:
        size = tuple(-(-min(pair) // multiple) * multiple for pair in zip(size, shape, strict=True))
    if len(size) != len(shape) or not 0.0 <= overlap < 1.0:
        raise ValueError(f"no windows of {size} with overlap {overlap} over {tuple(shape)}")
    strides = [max(1, int(side * (1.0 - overlap))) for side in size]
    grid = [starts(length, side, stride) for length, side, stride in zip(shape, size, strides, strict=True)]
    count = math.prod(len(axis) for axis in grid)
    if count > MAX_WINDOWS:
        raise TooLargeError(
            f"{count} windows of {' x '.join(map(str, size))} over {' x '.join(map(str, shape))} samples, at most "
            f"{MAX_WINDOWS} are read; use a model of larger windows or of less overlap, or a smaller image"
        )
    corners = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, len(size)).astype(np.int64)
    padded = tuple(max(pair) for pair in zip(shape, size, strict=True))
    return Windows(shape=tuple(shape), padded=padded, window=size, corners=corners)


def cut(
    values: NDArray[Any], corner: Sequence[int] | NDArray[np.int64], window: Sequence[int], *, pad: float | None = 0.0
) -> NDArray[Any]:
    """Return one window `(C, *window)` of `values` `(C, *shape)`; a copy only where it passes the end.

    Args:
        values: `(C, *shape)`.
        corner: the first index along each axis, inside of the field.
        window: samples along each axis.
        pad: value beyond the end; None repeats the last sample.
    """
    inside = values[(slice(None), *(slice(int(c), int(c) + w) for c, w in zip(corner, window, strict=True)))]
    missing = [(0, 0), *((0, w - have) for w, have in zip(window, inside.shape[1:], strict=True))]
    if not any(after for _, after in missing):
        return inside
    return np.pad(inside, missing, mode="edge") if pad is None else np.pad(inside, missing, constant_values=pad)


def as_tile(window: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return a window `(C, *size)`, with two sides longer than 1, as an encoder sees it: `(h, w, 3)`, 0 to 255 rounded.

    One channel becomes three.

    Raises:
        ModelError: it has neither 1 nor 3 channels.
    """
    flat = window.reshape(len(window), *two_sides(window.shape[1:]))
    picture = np.repeat(flat, 3, axis=0) if len(flat) == 1 else flat
    if len(picture) != 3:
        raise ModelError(f"an encoder sees 1 or 3 channels, the card's steps give {len(picture)}")
    rounded = np.clip(np.rint(picture.astype(np.float32)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(rounded.transpose(1, 2, 0))


def two_sides(window: tuple[int, ...]) -> tuple[int, ...]:
    """Return the two sides of a window; of one with three axes, those that aren't 1."""
    return window if len(window) == 2 else tuple(side for side in window if side != 1)


def window_weights(window: Sequence[int]) -> NDArray[np.float32]:
    """Return how much each sample of a window `(*window)` is trusted: a Gaussian with 1 at the middle.

    Source: Isensee et al. 2021 (nnU-Net), methods, "inference": sigma 1/8 of the window.
    """
    weights = np.ones((), np.float64)
    for side in window:
        place = (np.arange(side) - (side - 1) / 2) / max(FALLOFF * side, 1e-9)
        weights = np.multiply.outer(weights, np.exp(-0.5 * place**2))
    floored: NDArray[np.float32] = np.maximum(weights / weights.max(), FAINTEST).astype(np.float32)
    return floored


class Stitch:
    """The weighted mean of windows over a field: what they say of each sample, the middle of a window most.

    Holds `(channels + 1)` float32 a sample, however many windows come.
    """

    def __init__(self, shape: Sequence[int], window: Sequence[int], channels: int) -> None:
        self._shape = tuple(shape)
        self._window = tuple(window)
        self._weights = window_weights(window)
        self._sum = np.zeros((channels, *shape), np.float32)
        self._weight = np.zeros(self._shape, np.float32)

    def add(self, corner: Sequence[int] | NDArray[np.int64], values: NDArray[Any]) -> None:
        """Add one window's values `(channels, *window)`; what lies beyond the field is left out.

        Raises:
            ValueError: values of another shape.
        """
        if values.shape != (len(self._sum), *self._window):
            raise ValueError(f"a window {(len(self._sum), *self._window)} wanted, found {values.shape}")
        place = tuple(
            slice(int(c), min(int(c) + w, n)) for c, w, n in zip(corner, self._window, self._shape, strict=True)
        )
        here = tuple(slice(0, one.stop - one.start) for one in place)
        weights = self._weights[here]
        self._sum[(slice(None), *place)] += values[(slice(None), *here)] * weights
        self._weight[place] += weights

    def result(self) -> NDArray[np.float32]:
        """Return the mean `(channels, *shape)`; NaN where no window was added. Nothing can be added afterwards."""
        bare = self._weight == 0
        self._weight[bare] = 1.0
        self._sum /= self._weight
        self._sum[:, bare] = np.nan
        self._weight.fill(1.0)
        return self._sum
