"""Samples that aren't finite, made the least one that is."""

import numpy as np
from numpy.typing import NDArray

from wsi.errors import UnreadableError


def made_finite(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[str]]:
    """Return the values, changed in place, and a finding that says how many weren't finite.

    NaN and infinity stand for what wasn't measured (outside the scanned circle, mostly), which is background: the
    least finite value.

    Raises:
        UnreadableError: no sample is finite.
    """
    bad = ~np.isfinite(values)
    count = int(bad.sum())
    if not count:
        return values, []
    if count == values.size:
        raise UnreadableError("none of its samples is a finite number; export it again")
    values[bad] = values[~bad].min()
    return values, [f"{count} samples that aren't finite set to the least one that is"]
