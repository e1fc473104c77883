"""Is an image what a model eats? Asked of what the file says and of what the image shows, before anything is computed."""

from collections.abc import Mapping

import numpy as np

from wsi.card_image import AcceptsField
from wsi.errors import ModalityError, ResolutionError
from wsi.field import Field
from wsi.read.field_info import GRAY, RGB, FieldReading

COLORLESS = 2
"""Gray levels that the channels of a gray picture stored in color may differ by, where a JPEG rounded them."""
BLACK, BRIGHT_PERCENTILE = 16, 99.5
"""Of 255, what the brightest px of 12 bits stay below in a file of 16; hot px aside."""
_SHAPES = {2: "a picture", 3: "a volume"}


def accepted(reading: FieldReading, accepts: AcceptsField, name: str, *, looks: Mapping[str, float]) -> Field:
    """Return the field with the channels that the model eats.

    Args:
        looks: what `wsi.read.looks` measured on it; only what the card names is asked.

    Raises:
        ModalityError: another kind of image; the message says what was found and what is expected.
        ResolutionError: samples that lie too close or too far apart.
    """
    field, info = reading.field, reading.info
    if info.axes != accepts.axes:
        raise ModalityError(f"{name}: {_SHAPES.get(info.axes, 'a field')}, but the model reads {accepts.told}")
    if accepts.modality and info.modality and info.modality not in accepts.modality:
        wanted = " or ".join(accepts.modality)
        raise ModalityError(f"{name}: the file says that its modality is {info.modality}; the model reads {wanted}")
    field = _with_channels(field, accepts, name)
    for look, (low, high) in accepts.looks.items():
        found = looks.get(look)
        if found is None or not low <= found <= high:
            told = "not measured" if found is None else f"{found:.3g}"
            raise ModalityError(
                f"{name}: doesn't look like what the model learned from: {look} is {told}, expected {low:g} to {high:g}"
                f"{_if_black(field)}"
            )
    _check_spacing(info.spacing, accepts, name)
    if accepts.shape and not all(accepts.shape[0] <= side <= accepts.shape[1] for side in field.shape):
        sides = " x ".join(map(str, field.shape))
        raise ResolutionError(
            f"{name}: {sides} samples; the model reads {accepts.shape[0]} to {accepts.shape[1]} along every axis"
        )
    return field


def _if_black(field: Field) -> str:
    """Return what to do about a picture that is almost black, as 12 bits in a file of 16 are; "" of all others."""
    if len(field.axes) != 2 or float(np.percentile(field.values, BRIGHT_PERCENTILE)) >= BLACK:
        return ""
    return (
        "; the picture is almost black: if its values have fewer bits than the file, stretch them to all of the file's "
        "(from 12 to 16 bits: times 16)"
    )


def _with_channels(field: Field, accepts: AcceptsField, name: str) -> Field:
    """Return the field as it is, or a gray picture that was stored in color with its one channel."""
    wanted = tuple(accepts.channels)
    if field.channels == wanted:
        return field
    if (field.channels, wanted) == (RGB, GRAY):
        spread = field.values.max(axis=0).astype(np.int16) - field.values.min(axis=0).astype(np.int16)
        if int(spread.max()) <= COLORLESS:
            return field.with_values(field.values[1:2], channels=GRAY)
        raise ModalityError(f"{name}: a picture in color, but the model reads gray ones")
    raise ModalityError(f"{name}: channels {' '.join(field.channels)}, but the model reads {' '.join(wanted)}")


def _check_spacing(spacing: tuple[float, ...] | None, accepts: AcceptsField, name: str) -> None:
    if accepts.spacing_mm is None or spacing is None:
        return
    low, high = accepts.spacing_mm
    if not all(low <= step <= high for step in spacing):
        steps = " x ".join(f"{step:.3g}" for step in spacing)
        raise ResolutionError(f"{name}: {steps} mm between samples; the model reads {low:g} to {high:g}")
