"""Steps that change values one by one, by numbers of the card or of the image itself."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi.card_steps import ClipPercentiles, Invert, Normalize, Scale, Window, ZScore
from wsi.errors import ModelError
from wsi.field import Field


def window(field: Field, step: Window) -> Field:
    """Return values from `low` to `high` on 0-`top`, cut off at both ends."""
    return field.with_values(_ramp(field.values, step.low, step.high, step.top))


def clip_percentiles(field: Field, step: ClipPercentiles) -> Field:
    """Return values between two percentiles of the image's own (all channels together) on 0-`top`; all 0 if it is flat."""
    chosen = _chosen(field.values, step.over)
    low, high = (float(value) for value in np.percentile(chosen, (step.low, step.high)))
    if low >= high:
        return field.with_values(np.zeros(field.values.shape, np.float32))
    return field.with_values(_ramp(field.values, low, high, step.top))


def _ramp(values: NDArray[Any], low: float, high: float, top: float) -> NDArray[np.float32]:
    shown = values.astype(np.float32)
    shown -= np.float32(low)
    shown *= np.float32(top / (high - low))
    return np.clip(shown, 0.0, np.float32(top), out=shown)


def z_score(field: Field, step: ZScore) -> Field:
    """Return each channel less its mean, over its standard deviation; all 0 if it is flat."""
    values = field.values.astype(np.float32)
    for plane in values:
        chosen = _chosen(plane, step.over)
        mean, deviation = float(chosen.mean(dtype=np.float64)), float(chosen.std(dtype=np.float64))
        plane -= np.float32(mean)
        plane *= np.float32(1 / deviation if deviation > 0 else 0.0)
    return field.with_values(values)


def _chosen(values: NDArray[Any], over: str) -> NDArray[Any]:
    """Return the samples that a figure is of: all, or those that aren't 0 where there are any."""
    if over == "all":
        return values.ravel()
    chosen = values[values != 0]
    return chosen if chosen.size else values.ravel()


def normalize(field: Field, step: Normalize) -> Field:
    """Return each channel less the card's mean, over the card's deviation."""
    if not len(step.mean) == len(step.std) == len(field.values):
        raise ModelError(f"{len(step.mean)} means and {len(step.std)} deviations for {len(field.values)} channels")
    around = (-1, *[1] * len(field.axes))
    values = field.values.astype(np.float32)
    values -= np.asarray(step.mean, np.float32).reshape(around)
    values /= np.asarray(step.std, np.float32).reshape(around)
    return field.with_values(values)


def scale(field: Field, step: Scale) -> Field:
    """Return value x factor + offset."""
    return field.with_values(field.values.astype(np.float32) * np.float32(step.factor) + np.float32(step.offset))


def invert(field: Field, step: Invert) -> Field:
    """Return the greatest value less each value."""
    greatest = float(field.values.max()) if step.greatest is None else step.greatest
    return field.with_values(np.float32(greatest) - field.values.astype(np.float32))
