"""Steps for pictures with a round field of view."""

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from wsi.card_steps import CropToFieldOfView, LocalMean
from wsi.errors import ModelError
from wsi.field import Field
from wsi.preprocess.space import crop, holds
from wsi.preprocess.weights import area_weights, linear_weights, weighted
from wsi.read.round_view import coarse_light, lit, on_black
from wsi.tissue.field_of_view import bounds, field_of_view, inside

FINE_SIGMA = 6.0
"""A Gaussian is blurred on a grid on which its sigma is about this many samples: within 0.5 % of the full one."""


def crop_to_field_of_view(field: Field, step: CropToFieldOfView) -> Field:
    """Return the box around the round field of view, as far as it is lit; without one, the box of what is lit.

    A plain ground around the round field of view becomes black, as it is behind most cameras; what lies outside the circle
    becomes `outside`, when that is given.
    """
    _check(field)
    field, view = on_black(field, dark=step.dark)
    light, coarse = coarse_light(field.values)
    seen = lit(light, step.dark)
    box = []
    for axis, length in enumerate(field.shape):
        lines = np.flatnonzero(seen.any(axis=1 - axis))
        last = int(lines[-1] + 1) * coarse
        box.append(slice(int(lines[0]) * coarse, length if last + coarse > length else last))
    if view.is_found:
        if step.outside is not None:
            mask = inside(view, field.shape)
            field = field.with_values(np.where(mask, field.values, _of_kind(step.outside, field.values.dtype)))
        circle = bounds(view, field.shape)
        box = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, circle, strict=True)]
    return crop(field, box)


def _of_kind(value: float, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return a number as one of the field's samples where they can hold it, else as float32."""
    return np.asarray(value, kind if holds(kind, value) else np.float32)


def local_mean(field: Field, step: LocalMean) -> Field:
    """Return gain x (value - local mean) + offset, cut off to 0-`top`; `offset` outside of the field of view.

    The local mean is a Gaussian of the samples inside the field of view only, so no bright ring is left at its edge.

    Source: Graham 2015 (winner's report, Kaggle diabetic retinopathy detection).
    """
    _check(field)
    mask = field_of_view(field)
    seen = mask.astype(np.float32)
    planes = np.concatenate([field.values.astype(np.float32) * seen, seen[None]])
    blurred = _blurred(planes, step.sigma * max(field.shape))
    mean = blurred[:-1] / np.maximum(blurred[-1:], np.float32(1e-3))
    values = (field.values.astype(np.float32) - mean) * np.float32(step.gain) + np.float32(step.offset)
    np.clip(values, 0.0, np.float32(step.top), out=values)
    values[:, ~mask] = step.offset
    return field.with_values(values)


def _blurred(planes: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return planes `(C, h, w)` under a Gaussian of `sigma` samples, wide ones by way of a coarser grid."""
    shape = planes.shape[1:]
    coarse = [max(1, round(length / max(1.0, sigma / FINE_SIGMA))) for length in shape]
    scales = [old / new for old, new in zip(shape, coarse, strict=True)]
    small = weighted(planes, [area_weights(old, new) for old, new in zip(shape, coarse, strict=True)])
    small = scipy.ndimage.gaussian_filter(small, (0.0, *(sigma / scale for scale in scales)), mode="nearest")
    back = [
        linear_weights(new, old, 1 / scale, (1 / scale - 1) / 2)
        for old, new, scale in zip(shape, coarse, scales, strict=True)
    ]
    return weighted(small, back)


def _check(field: Field) -> None:
    if len(field.axes) != 2:
        raise ModelError(f"expected a picture of two axes, found {len(field.axes)}")
