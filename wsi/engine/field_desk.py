"""The decoder process's side of images that are read whole: read, check against the card, prepare, look for the foreground."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.card_image import AcceptsField
from wsi.engine.field_facts import FieldFacts, Grid
from wsi.errors import ModelError
from wsi.field import Field
from wsi.preprocess import apply
from wsi.read.accepted import accepted
from wsi.read.field_reader import read_field
from wsi.read.looks import look_at
from wsi.read.round_view import round_view
from wsi.read.whole_slide import refuse_slide
from wsi.regrid import onto
from wsi.tissue.view import view

QUALITY = 88
STEP_OFF = 0.005
"""Share by which a step may differ from the card's: 0.5 %, as for slides."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An image ready for a network: its field after the card's steps, where its foreground is, and what was found."""

    field: Field
    foreground: NDArray[np.bool_] | None
    facts: FieldFacts
    thumbnail: bytes
    """JPEG."""


def prepare(files: list[Path], accepts: AcceptsField, name: str) -> Prepared:
    """Read an image and make of it what the network sees.

    Raises:
        SlideError: it can't be read, or isn't what the card accepts.
        ModelError: the card's steps don't give what the card says.
    """
    refuse_slide(files[0], name)
    reading = read_field(files, name=name)
    looks = look_at(reading.field) if accepts.looks else {}
    field = accepted(reading, accepts, name, looks=looks)
    found = _foreground(field, accepts)
    prepared = apply(field, accepts.preprocess)
    _check_step(prepared, accepts)
    info, circle = reading.info, round_view(field)
    facts = FieldFacts(
        reader=info.format,
        modality=info.modality,
        bits=info.bits,
        spacing=list(info.spacing) if info.spacing else None,
        findings=list(info.findings),
        looks=looks,
        read=Grid.of(field),
        prepared=Grid.of(prepared),
        round_view=None if circle is None else [circle.row, circle.column, circle.radius],
        foreground=1.0 if found is None else float(found.mean()),
    )
    mask = (
        None
        if found is None
        else onto(field.with_values(found[None], channels=("is",)), prepared.shape, prepared.affine)
    )
    return Prepared(_plain(prepared), None if mask is None else mask.values[0], facts, _jpeg(field))


def _foreground(field: Field, accepts: AcceptsField) -> NDArray[np.bool_] | None:
    """Return where the card lets windows lie, `(*shape)` of the field as it was read; None: everywhere."""
    match accepts.foreground:
        case "field-of-view":
            from wsi.tissue.field_of_view import field_of_view

            return field_of_view(field)
        case "body":
            from wsi.tissue.body import body

            return body(field)
        case _:
            return None


def _check_step(field: Field, accepts: AcceptsField) -> None:
    if accepts.step is None:
        return
    if not np.allclose(field.steps, accepts.step, rtol=STEP_OFF):
        raise ModelError(f"the card's steps give samples every {field.steps}, but it says {tuple(accepts.step)}")


def _plain(field: Field) -> Field:
    """Return a field of bytes or of float32: what crosses to the network's process."""
    if field.values.dtype == np.uint8:
        return field
    return field.with_values(np.ascontiguousarray(field.values, np.float32))


def _jpeg(field: Field) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(view(field)).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
