"""A TIFF of one page as a field; deeper than 8 bits too, which Pillow would cut."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from wsi.errors import FormatError, SlideError, UnreadableError
from wsi.field import picture_field
from wsi.geometry import Size
from wsi.read.field_info import GRAY, RGB, FieldInfo, FieldReading, check_room
from wsi.read.frames import check_stored
from wsi.read.pixels import as_channels, deep_values, fold_gray, turned
from wsi.read.tiff_frames import ASSOCIATED

BYTES_A_SAMPLE = 12
"""Memory that decoding takes a sample: as stored, its float, and a copy."""
FAULTS = (
    tifffile.TiffFileError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,
    ArithmeticError,
    AttributeError,
    struct.error,
)
"""What tifffile and imagecodecs raise on damaged files."""
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_ORIENTATION, _ICC = 274, 34675


def read_tiff_picture(path: Path, *, limit: int) -> FieldReading:
    """Return a TIFF picture, turned upright; alpha on white, palettes and CMYK as RGB, ICC profiles not applied.

    Raises:
        UnreadableError: damaged or cut off. FormatError: several pages, more than three colors, or px that aren't 1-,
        8- or 16-bit whole numbers. TooLargeError: it claims more than `limit` bytes.
    """
    try:
        check_room(path.stat().st_size, limit, what="the file")
        stored = io.BytesIO(path.read_bytes())  # a claimed length is then cut to what there is, and takes no memory
        with tifffile.TiffFile(stored) as file:
            page: Any = file.pages[0]
            if len(file.pages) > 1:
                raise FormatError(f"{len(file.pages)} pages; expected one picture: export one page as PNG or TIFF")
            check_room(int(np.prod(page.shape, dtype=object)) * BYTES_A_SAMPLE, limit, what="the picture")
            bits = _bits(page)
            _check_frames(page)
            findings = [*_noticed(page)]
            values = turned(_values(page, bits), _orientation(page))
    except FAULTS as error:
        if isinstance(error, SlideError):
            raise
        raise UnreadableError(f"a damaged or cut-off TIFF ({type(error).__name__}); copy it again") from None
    values, was_gray = fold_gray(values)
    findings += ["three equal channels read as gray"] * was_gray
    field = picture_field(values, GRAY if len(values) == 1 else RGB)
    return FieldReading(field, FieldInfo("tiff", "", 2, field.channels, bits, None, tuple(findings)))


def _bits(page: Any) -> int:
    """Return the bits of a sample, all of them the same."""
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    if page.dtype is None or page.dtype.kind not in "bu" or bits not in (1, 8, 16):
        kind = "unknown" if page.dtype is None else page.dtype.name
        raise FormatError(f"px of {bits} bits ({kind}); expected 8- or 16-bit whole numbers: export it as PNG")
    if page.ndim != 2 + (page.samplesperpixel > 1) or page.imagedepth > 1:
        raise FormatError("a stack of planes; expected one picture: export one plane")
    return int(bits)


def _check_frames(page: Any) -> None:
    """Refuse frames that claim more px than they stand for; ValueError. What is no JPEG is cut to its size as it unpacks."""
    size = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.rowsperstrip)
    file = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        file.seek(offset)
        check_stored(file.read(count), Size(*size))


def _noticed(page: Any) -> list[str]:
    found = []
    if _orientation(page) in range(2, 9):
        found.append(f"turned upright by the orientation tag {_orientation(page)}")
    if page.extrasamples:
        found.append("transparency laid on white")
    if page.photometric == _MIN_IS_WHITE:
        found.append("inverted: stored with 0 as white")
    if page.photometric == _PALETTE:
        found.append("palette turned into RGB")
    if page.photometric == _CMYK:
        found.append("CMYK turned into RGB without its profile")
    if _ICC in page.tags:
        found.append("ICC profile not applied")
    return found


def _orientation(page: Any) -> int:
    tag = page.tags.get(_ORIENTATION)
    return int(tag.value) if tag is not None else 1


def _values(page: Any, bits: int) -> NDArray[Any]:
    """Return px `(1 or 3, h, w)` on 0-255: uint8 of 1- and 8-bit px, float32 of deeper ones."""
    samples = np.atleast_3d(page.asarray())
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        samples = np.moveaxis(samples, 0, -1)  # (h, w, C)
    kind, colors = int(page.photometric), samples.shape[2] - len(page.extrasamples)
    if kind == _PALETTE and colors == 1:
        table = (np.asarray(page.colormap) >> 8).astype(np.uint8)  # (3, entries)
        return np.ascontiguousarray(table[:, samples[..., 0]])
    if kind == _CMYK and (colors, bits) == (4, 8):
        ink = samples[..., :4].astype(np.uint16)
        return as_channels(((255 - ink[..., :3]) * (255 - ink[..., 3:]) // 255).astype(np.uint8))
    expected = {_MIN_IS_WHITE: 1, _MIN_IS_BLACK: 1, _RGB: 3, _YCBCR: 3}.get(kind)
    if colors != expected or len(page.extrasamples) > 1:
        raise FormatError(f"{samples.shape[2]} channels of photometric kind {kind}; expected gray or RGB")
    top = {1: 1, 8: 255, 16: 65535}[bits]
    if bits == 1:
        samples = samples.astype(np.uint8)
    if kind == _MIN_IS_WHITE:
        samples = np.concatenate([(top - samples[..., :1]).astype(samples.dtype), samples[..., 1:]], axis=2)
    if bits == 16 or page.extrasamples:
        deep = samples.astype(np.uint16) * np.uint16(65535 // top)
        values = deep_values(deep, is_multiplied=ASSOCIATED in page.extrasamples)
        return values if bits == 16 else np.rint(values).astype(np.uint8)
    return as_channels(samples * np.uint8(255 // top))
