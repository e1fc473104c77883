"""PNG, JPEG, TIFF, WebP, BMP and JPEG 2000 as fields: two axes in px, values 0 (black) to 255 (white)."""

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from wsi.errors import FormatError, SlideError, UnreadableError
from wsi.field import picture_field
from wsi.read.field_info import GRAY, RGB, FieldInfo, FieldReading, check_room
from wsi.read.pixels import as_channels, deep_values, fold_gray, turned
from wsi.read.sniff import is_tiff
from wsi.read.tiff_picture import read_tiff_picture

BYTES_A_PX = 8
"""Memory that decoding takes a px: four bytes of Pillow's, and a copy."""
DEEP_BYTES_A_PX = 24
"""The same of a PNG of 16 bits: up to eight bytes as stored, and floats of four channels."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "JPEG2000")
FAULTS = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, TypeError, IndexError, KeyError, struct.error)
"""What Pillow and imagecodecs raise on damaged files."""
TAIL_BYTES = 1024
_END_OF_CODE = b"\xff\xd9"
_ORIENTATION = 274
_PLAIN, _GRAY = {"RGB", "L"}, {"1", "L", "LA", "La"}
_DEEP = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
_CLEAR = {"LA", "La", "PA", "RGBA", "RGBa"}
_REFUSED = {"F": "floating-point px", "LAB": "CIELAB px", "HSV": "HSV px"}


def read_picture(path: Path, *, limit: int) -> FieldReading:
    """Return a picture, turned upright as its EXIF tag says; what else the file holds (EXIF, GPS, texts) is dropped.

    The world is (row, column) of the upright picture. Alpha is laid on white; CMYK and palettes become RGB; ICC
    profiles are not applied (networks are trained on px as stored). Three equal channels are one gray channel.

    Raises:
        UnreadableError: damaged or cut off. FormatError: several pages, floating-point or CIELAB px.
        TooLargeError: it claims more than `limit` bytes.
    """
    if is_tiff(path):
        return read_tiff_picture(path, limit=limit)
    try:
        check_room(path.stat().st_size, limit, what="the file")
        stored = io.BytesIO(path.read_bytes())  # a claimed length is then cut to what there is, and takes no memory
        with _any_size(), Image.open(stored, formats=FORMATS) as image:
            each = DEEP_BYTES_A_PX if _is_deep_png(stored.getvalue()) else BYTES_A_PX
            check_room(image.width * image.height * each, limit, what="the picture")
            if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
                raise FormatError("an animation or a stack of several pages; expected one picture: export one page")
            found = list(_noticed(image))
            kind = "jpeg" if image.format == "MPO" else str(image.format).lower()
            values, bits = _values(image, stored.getvalue())
    except FAULTS as error:
        if isinstance(error, SlideError):
            raise
        raise UnreadableError(f"a damaged or cut-off picture ({type(error).__name__}); copy it again") from None
    values, was_gray = fold_gray(values)
    found += ["three equal channels read as gray"] * was_gray
    field = picture_field(values, GRAY if len(values) == 1 else RGB)
    return FieldReading(field, FieldInfo(kind, "", 2, field.channels, bits, None, tuple(found)))


@contextlib.contextmanager
def _any_size() -> Iterator[None]:
    """Leave the check of sizes to `check_room`: Pillow's own limit is a warning."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _noticed(image: Image.Image) -> Iterator[str]:
    turned = image.getexif().get(_ORIENTATION, 1)
    if turned in range(2, 9):
        yield f"turned upright by EXIF orientation {turned}"
    if image.mode in _CLEAR or "transparency" in image.info:
        yield "transparency laid on white"
    if image.mode == "CMYK":
        yield "CMYK turned into RGB without its profile"
    if image.mode in ("P", "PA"):
        yield "palette turned into RGB"
    if "icc_profile" in image.info:
        yield "ICC profile not applied"


def _values(image: Image.Image, stored: bytes) -> tuple[NDArray[Any], int]:
    """Return px `(C, h, w)`, C 1 or 3, and how many bits a sample has in the file."""
    if image.mode in _REFUSED:
        raise FormatError(f"{_REFUSED[image.mode]}; expected gray or RGB: export it as PNG")
    if _is_deep_png(stored):
        orientation = image.getexif().get(_ORIENTATION, 1)
        deep = imagecodecs.png_decode(stored)
        return turned(deep_values(np.atleast_3d(deep)), orientation), 16
    if image.format == "JPEG2000" and _END_OF_CODE not in stored[-TAIL_BYTES:]:
        raise UnreadableError("its end is missing; copy it again")  # OpenJPEG would fill the rest with guesses
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode in _DEEP:
        return deep_values(np.atleast_3d(np.asarray(upright).astype(np.uint16))), 16
    if upright.mode in _CLEAR or "transparency" in upright.info:
        upright = _on_white(upright.convert("RGBA"))
        upright = upright.convert("L") if image.mode in _GRAY else upright
    elif upright.mode not in _PLAIN:
        upright = upright.convert("L" if upright.mode in _GRAY else "RGB")
    return as_channels(np.asarray(upright)), 8


def _is_deep_png(stored: bytes) -> bool:
    return stored.startswith(b"\x89PNG") and stored[24:25] == b"\x10"


def _on_white(clear: Image.Image) -> Image.Image:
    ground = Image.new("RGB", clear.size, (255, 255, 255))
    ground.paste(clear, mask=clear)
    return ground
