"""The colors of the heat: from blue (0) over gray to yellow (1), told apart by every kind of color vision.

Luminance rises all the way, and blue against yellow is the one contrast that red-green blindness keeps.
"""

import numpy as np
from numpy.typing import NDArray

_ANCHORS = ((16, 42, 110), (64, 88, 142), (124, 130, 134), (188, 170, 88), (238, 206, 56), (255, 238, 110))
_NOTHING = (255, 255, 255)


def _table() -> NDArray[np.uint8]:
    place = np.linspace(0, len(_ANCHORS) - 1, 256)
    channels = [np.interp(place, range(len(_ANCHORS)), channel) for channel in zip(*_ANCHORS, strict=True)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


HEAT = _table()
"""`(256, 3)` uint8 RGB."""


def heat_index(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the row of HEAT for values 0-1; NaN gives 0."""
    return (np.clip(np.nan_to_num(values), 0, 1) * 255).round().astype(np.uint8)


def paint(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return `(h, w, 3)` RGB of values 0-1 `(h, w)`; white where there is none (NaN)."""
    rgb = HEAT[heat_index(values)]
    rgb[np.isnan(values)] = _NOTHING
    return rgb
