"""Where a picture with a round field of view shows anything: its circle, less what was cut off."""

import numpy as np
from numpy.typing import NDArray

from wsi.field import Field
from wsi.geometry import Circle
from wsi.read.round_view import DARK, find_round_view


def field_of_view(field: Field, *, dark: float = DARK) -> NDArray[np.bool_]:
    """Return `(h, w)`, True inside of the round field of view; all True where there is none.

    Args:
        field: two axes.
        dark: share of the greatest value below which a px is surround.
    """
    view = find_round_view(field, dark=dark)
    return inside(view, field.shape) if view.is_found else np.ones(field.shape, bool)


def inside(view: Circle, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which px centers of a picture `(h, w)` lie in the circle."""
    rows = (np.arange(shape[0]) - view.row)[:, None]
    columns = (np.arange(shape[1]) - view.column)[None]
    return np.asarray(rows**2 + columns**2 <= view.radius**2, bool)


def bounds(view: Circle, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns that hold the whole circle, as far as the picture goes."""
    return _span(view.row, view.radius, shape[0]), _span(view.column, view.radius, shape[1])


def _span(center: float, radius: float, length: int) -> slice:
    first, last = round(center - radius), round(center + radius)
    return slice(max(0, min(first, length - 1)), max(1, min(last + 1, length)))
