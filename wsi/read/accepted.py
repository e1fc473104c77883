"""Is an image what a model eats? Asked of what the file says and of what the image shows, before anything is computed."""

from collections.abc import Mapping, Sequence

import numpy as np

from wsi.card_image import AcceptsField
from wsi.errors import ModalityError, NoTissueError, ResolutionError
from wsi.field import Field
from wsi.read.field_info import GRAY, RGB, FieldReading
from wsi.read.told_looks import ELSE, told

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
        NoTissueError: all samples are the same.
        ResolutionError: samples that lie too close or too far apart, too many or too few of them, or too large a part.
    """
    field, info = reading.field, reading.info
    if info.axes != accepts.axes:
        raise ModalityError(f"{name}: {_SHAPES.get(info.axes, 'a field')}, but the model reads {accepts.told}; {ELSE}")
    if accepts.modality and info.modality and info.modality not in accepts.modality:
        wanted = " or ".join(accepts.modality)
        raise ModalityError(
            f"{name}: the file says that its modality is {info.modality}; the model reads {wanted}: {ELSE}"
        )
    if accepts.body_part and info.body_part and info.body_part not in accepts.body_part:
        wanted = " or ".join(accepts.body_part)
        raise ModalityError(f"{name}: the file says that it shows {info.body_part}; the model reads {wanted}: {ELSE}")
    field = _with_channels(field, accepts, name)
    if all(plane.min() == plane.max() for plane in field.values):
        raise NoTissueError(f"{name}: all its samples are the same, there is nothing to see; export it again")
    for look, (low, high) in accepts.looks.items():
        found = looks.get(look)
        if found is None:
            raise ModalityError(f"{name}: {look}, which the model asks for, isn't measured on it; {ELSE}")
        if not low <= found <= high:
            what = told(look, found, low, high)
            raise ModalityError(f"{name}: doesn't look like what the model learned from: {what}{_if_black(field)}")
    _check_spacing(info.spacing, accepts, name)
    _check_size(field, info.spacing, accepts, name)
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
        raise ModalityError(f"{name}: a picture in color, but the model reads gray ones; {ELSE}")
    raise ModalityError(f"{name}: channels {' '.join(field.channels)}, but the model reads {' '.join(wanted)}; {ELSE}")


def _check_spacing(spacing: tuple[float, ...] | None, accepts: AcceptsField, name: str) -> None:
    if accepts.spacing_mm is None or spacing is None:
        return
    low, high = accepts.spacing_mm
    if not all(low <= step <= high for step in spacing):
        remedy = f"resample it to at least {low:g} mm" if max(spacing) <= high else "take a finer scan"
        raise ResolutionError(
            f"{name}: {_by(spacing)} mm between samples; the model reads {low:g} to {high:g}: {remedy}"
        )


def _check_size(field: Field, spacing: tuple[float, ...] | None, accepts: AcceptsField, name: str) -> None:
    """Refuse an image of too few or too many samples, or of too small or too large a part."""
    is_volume = len(field.shape) == 3
    if accepts.extent_mm is not None and spacing is not None:
        low, high = accepts.extent_mm
        extent = [size * step for size, step in zip(field.shape, spacing, strict=True)]
        if not all(low <= one <= high for one in extent):
            raise ResolutionError(
                f"{name}: covers {_by(extent)} mm; the model reads {low:g} to {high:g} mm along every axis: cut out "
                f"{'less' if max(extent) > high else 'more'}, around what the model is for"
            )
    if accepts.shape is not None:
        least, most = accepts.shape
        if not all(least <= size <= most for size in field.shape):
            small = "take the original, not a preview" if not is_volume else "cut out more of the original"
            large = f"resize it to at most {most} x {most}" if not is_volume else "cut out what the model is for"
            raise ResolutionError(
                f"{name}: {_by(field.shape)} samples; the model reads {least} to {most} along every axis: "
                f"{large if max(field.shape) > most else small}"
            )


def _by(sizes: Sequence[float]) -> str:
    return " x ".join(f"{round(size, 3):g}" for size in sizes)
