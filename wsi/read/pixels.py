"""Arrays of px brought into a field's form: channels first, upright, 0 (black) to 255 (white)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

WHITE, DEEP = 255.0, 65535.0


def as_channels(samples: NDArray[Any]) -> NDArray[Any]:
    """Return `(h, w)` or `(h, w, C)` as `(C, h, w)`, in one piece of memory."""
    return np.ascontiguousarray(np.moveaxis(np.atleast_3d(samples), -1, 0))  # (C, h, w)


def deep_values(samples: NDArray[np.uint16], *, is_multiplied: bool = False) -> NDArray[np.float32]:
    """Return 16-bit px `(h, w, C)`, C 1-4 with alpha at 2 and 4, as `(1 or 3, h, w)` float32 on 0-255.

    Args:
        is_multiplied: the colors hold their share of alpha already.
    """
    values = as_channels(samples).astype(np.float32) * np.float32(WHITE / DEEP)
    if len(values) in (2, 4):
        share = values[-1:] / np.float32(WHITE)
        colors = values[:-1] if is_multiplied else values[:-1] * share
        values = np.minimum(colors + np.float32(WHITE) * (1 - share), np.float32(WHITE))
    return values


def turned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return px `(C, h, w)` upright by an EXIF orientation 1-8; any other leaves them as they are."""
    if orientation in (5, 6, 7, 8):
        values = values.transpose(0, 2, 1)
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(values[:, :: -1 if rows else 1, :: -1 if columns else 1])


def fold_gray(values: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """Return px `(C, h, w)` as one channel where three are the same everywhere, and whether they were."""
    if len(values) != 3 or not all(np.array_equal(values[0], values[i]) for i in (1, 2)):
        return values, False
    return np.ascontiguousarray(values[:1]), True
