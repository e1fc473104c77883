"""A small picture of any field for people: the picture itself, or the middle slices of a volume, upright."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.field import Field

SIDE_PX = 1024
"""Longest side of a picture's view."""
SLICE_PX = 384
"""Height of a volume's slices."""
PERCENTILES = (1.0, 99.0)
"""Values shown as black and as white, of what was measured."""
MOST = 1 << 20
"""Samples that percentiles are taken of."""

Pixels = NDArray[np.uint8]
Place = tuple[int, int, int]


def view(field: Field) -> Pixels:
    """Return a picture `(h, w, 3)` of a field: of a volume the middle slices seen from below, the left and the front."""
    if len(field.axes) == 2:
        return shrunk(colors(field))
    return slices(field.values[0], field, middle(field))


def colors(field: Field) -> Pixels:
    """Return a picture's own px, `(h, w, 3)`; values are 0 to 255."""
    values = field.values if len(field.values) == 3 else np.repeat(field.values[:1], 3, axis=0)
    return np.ascontiguousarray(np.clip(np.rint(values), 0, 255).astype(np.uint8).transpose(1, 2, 0))


def shrunk(pixels: Pixels, *, side_px: int = SIDE_PX) -> Pixels:
    """Return px at most `side_px` long."""
    image = Image.fromarray(pixels)
    image.thumbnail((side_px, side_px), Image.Resampling.BOX)
    return np.asarray(image)


def middle(field: Field) -> Place:
    """Return the middle sample of a volume."""
    i, j, k = (length // 2 for length in field.shape)
    return i, j, k


def slices(values: NDArray[np.generic], field: Field, place: Place) -> Pixels:
    """Return three slices through a sample side by side, `(h, w, 3)`: the patient's right at the left, the head up.

    Args:
        values: `(i, j, k)` of any numbers, shown from the 1st to the 99th percentile; or `(i, j, k, 3)` uint8 colors.
        field: says how the axes lie.
        place: the sample.
    """
    shades = values if values.ndim == 4 else _shades(values)
    order, signs = upright(field.affine)
    turned = shades.transpose(*order, *range(3, shades.ndim))  # axes now run along right, front, up
    here = [place[axis] for axis in order]
    for axis, sign in enumerate(signs):
        if sign < 0:
            turned = np.flip(turned, axis)
            here[axis] = turned.shape[axis] - 1 - here[axis]
    steps = [field.steps[axis] for axis in order]
    parts = []
    for across, up, along in ((0, 1, 2), (1, 2, 0), (0, 2, 1)):
        cut = turned.take(here[along], axis=along)  # (across, up): the axes that are left keep their order
        picture = np.flip(np.swapaxes(cut, 0, 1), (0, 1))  # right to the left, front or up to the top
        parts.append(_scaled(picture, steps[across], steps[up]))
    return np.concatenate(parts, axis=1)


def upright(affine: NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """Return the axes of the array that run along right, front and up, and whether they run that way (1) or back (-1)."""
    linear = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    order: list[int] = []
    for row in np.abs(linear):
        row[order] = -1.0
        order.append(int(np.argmax(row)))
    return order, [1 if linear[world, axis] > 0 else -1 for world, axis in enumerate(order)]


def _shades(values: NDArray[np.generic]) -> Pixels:
    few = values.reshape(-1)[:: max(1, values.size // MOST)].astype(np.float64)
    low, high = np.percentile(few[np.isfinite(few)] if np.isfinite(few).any() else np.zeros(1), PERCENTILES)
    shades = (np.nan_to_num(values.astype(np.float32)) - low) / max(high - low, 1e-9) * 255
    return np.repeat(np.clip(shades, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def _scaled(picture: Pixels, across: float, up: float) -> Pixels:
    """Return a slice at the height of all slices, its sides as they are in mm."""
    height, width = picture.shape[0] * up, picture.shape[1] * across
    size = (max(1, min(2 * SLICE_PX, round(SLICE_PX * width / height))), SLICE_PX)
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BILINEAR))
