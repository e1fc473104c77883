"""Apply a card's steps to a field."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wsi.card_steps import Step
from wsi.errors import ModelError
from wsi.field import Field
from wsi.preprocess import color, contrast, space, view

_STEPS: Mapping[str, Callable[[Field, Any], Field]] = {
    "crop-to-field-of-view@1": view.crop_to_field_of_view,
    "crop-border@1": space.crop_border,
    "crop-square@1": space.crop_square,
    "select@1": color.select,
    "gray@1": color.gray,
    "invert@1": contrast.invert,
    "shades-of-gray@1": color.shades_of_gray,
    "local-mean@1": view.local_mean,
    "clahe@1": color.clahe,
    "window@1": contrast.window,
    "clip-percentiles@1": contrast.clip_percentiles,
    "z-score@1": contrast.z_score,
    "normalize@1": contrast.normalize,
    "scale@1": contrast.scale,
    "orient@1": space.orient,
    "resample@1": space.resample,
    "resize@1": space.resize,
    "pad@1": space.pad,
}


def apply(field: Field, steps: Sequence[Step]) -> Field:
    """Return the field after all steps, float32, its affine still leading from its samples to the world.

    Raises:
        ModelError: a step doesn't fit the field (three colors wanted, another number of axes).
    """
    for step in steps:
        try:
            field = _STEPS[step.op](field, step)
        except ModelError as error:
            raise ModelError(f"preprocess {step.op}: {error}") from None
    return field.with_values(np.ascontiguousarray(field.values, np.float32))
