"""The pictures of a cohort as a network sees them: read, checked against what the model eats, preprocessed, kept."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.card import AcceptsField
from wsi.errors import LabelsError, WsiError
from wsi.field import Field, picture_field
from wsi.preprocess import apply
from wsi.read.field_reader import read_field
from wsi.table import SHOWN
from wsi.train.cohort import Cohort
from wsi.windows import as_tile

Pixels = NDArray[np.uint8]


class PictureCases:
    """All pictures of a cohort, one a case, in memory: `(cases, side, side, 3)` uint8.

    Args:
        change: made to each picture `(h, w, 3)` as it is read; None changes nothing.

    Raises:
        LabelsError: files that can't be read, or that don't become a square of the window's side; told together.
    """

    def __init__(
        self, cohort: Cohort, accepts: AcceptsField, *, side_px: int, change: Callable[[Pixels], Pixels] | None = None
    ) -> None:
        found, problems = [], []
        for case in cohort.cases:
            path = cohort.files[case.slides[0]].path
            try:
                found.append(_read(path, accepts, side_px=side_px, change=change))
            except WsiError as error:
                problems.append(f"{case.id}: {error}")
        if problems:
            rest = f"\n  … and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
            raise LabelsError("\n  ".join(problems[:SHOWN]) + rest)
        self._pixels = np.stack(found)

    def __call__(self, places: Sequence[int]) -> Pixels:
        """Return the pictures of these places in the cohort, `(B, side, side, 3)`."""
        return self._pixels[list(places)]


def _read(
    path: Path, accepts: AcceptsField, *, side_px: int, change: Callable[[Pixels], Pixels] | None = None
) -> Pixels:
    field = read_field([path]).field
    if change is not None:
        field = _changed(field, change)
    if list(field.channels) != accepts.channels and field.channels == ("gray",):
        field = field.with_values(np.repeat(field.values, 3, axis=0), channels=("R", "G", "B"))
    pixels = as_tile(apply(field, accepts.preprocess).values)
    if pixels.shape[:2] != (side_px, side_px):
        raise LabelsError(
            f"{path.name}: {pixels.shape[1]} x {pixels.shape[0]} px after preprocessing, expected {side_px} x {side_px}"
        )
    return pixels


def _changed(field: Field, change: Callable[[Pixels], Pixels]) -> Field:
    """Return a picture after a change, with the channels that it had."""
    pixels = np.moveaxis(change(as_tile(field.values)), 2, 0)
    return picture_field(pixels[: len(field.values)], field.channels)
