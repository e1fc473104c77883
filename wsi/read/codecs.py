"""Frames of DICOM files to samples: native of any byte order, RLE, and the JPEG family by imagecodecs."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import get_frame

from wsi.errors import FormatError, UnreadableError
from wsi.read.dicom_file import DEFLATED, is_image_class, number
from wsi.read.field_info import check_room

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_NATIVE = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED)
_RLE = "1.2.840.10008.1.2.5"
_JPEG = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
"""Baseline, extended (8 and 12 bits), lossless."""
_CONVERTED = _JPEG[:2]
"""JPEGs whose decoder makes RGB of YBR; a lossless one keeps the samples as they are."""
_JPEG_LS = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (80, 81))
_JPEG_2000 = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
_FILMS = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (*range(100, 109), "100.1", "101.1", "102.1"))
COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
STORED_YBR = ("YBR_FULL", "YBR_FULL_422")
KINDS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", *COLORS)
MAX_SIDE = 1 << 16
BYTES_A_SAMPLE = 12
"""Memory a sample takes while a frame is decoded: as stored, as a whole number and as a float."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file's px are stored, checked: sizes in samples, bits, and what they stand for."""

    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    high: int
    is_signed: bool
    is_planar: bool
    kind: str
    syntax: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and samples of one frame."""
        return self.rows, self.columns, self.samples


def layout_of(header: pydicom.Dataset, *, limit: int) -> Layout:
    """Return how px are stored.

    Raises:
        UnreadableError: a header that contradicts itself. FormatError: px that can't be decoded here, by name.
        TooLargeError: they claim more than `limit` bytes.
    """
    kind = str(header.get("PhotometricInterpretation", "")).strip().upper()
    if "Rows" not in header:
        if is_image_class(header):
            raise UnreadableError("it holds no image, though its class is one of images: it is cut off; copy it again")
        raise FormatError("it holds no image (a report, a plan or a curve); expected px")
    samples, allocated = int(number(header, "SamplesPerPixel", 1)), int(number(header, "BitsAllocated"))
    stored = int(number(header, "BitsStored", allocated))
    found = Layout(
        int(number(header, "Rows")),
        int(number(header, "Columns")),
        samples,
        int(number(header, "NumberOfFrames", 1)) or 1,
        allocated,
        stored,
        int(number(header, "HighBit", stored - 1)),
        bool(number(header, "PixelRepresentation", 0)),
        bool(number(header, "PlanarConfiguration", 0)) and samples > 1,
        kind,
        str(header.file_meta.TransferSyntaxUID),
    )
    _check(found, kind)
    check_room(found.rows * found.columns * samples * BYTES_A_SAMPLE, limit, what="one frame")
    return found


def _check(found: Layout, kind: str) -> None:
    if kind not in KINDS:
        said = kind if kind in ("ARGB", "CMYK", "HSV", "YBR_PARTIAL_420", "YBR_PARTIAL_422") else "an unknown kind"
        raise FormatError(f"px stored as {said}; expected one of {', '.join(KINDS)}: export it as RGB or MONOCHROME2")
    if found.samples != (3 if kind in COLORS else 1):
        raise UnreadableError(f"{found.samples} samples a px of kind {kind}; the header is damaged")
    if not (0 < found.rows < MAX_SIDE and 0 < found.columns < MAX_SIDE and 0 < found.frames < MAX_SIDE):
        raise UnreadableError(f"claims {found.frames} frames of {found.columns} x {found.rows} px; it is damaged")
    if found.allocated not in (1, 8, 16, 32) or not 0 < found.stored <= found.allocated:
        raise UnreadableError(f"claims {found.stored} bits in {found.allocated}; the header is damaged")
    if not found.stored - 1 <= found.high < found.allocated:
        raise UnreadableError(f"claims {found.stored} bits below bit {found.high}; the header is damaged")
    if found.samples > 1 and found.allocated not in (8, 16):
        raise FormatError(f"colors of {found.allocated} bits; expected 8 or 16: export it as 8-bit RGB")
    if found.syntax in _FILMS:
        raise FormatError("a film (MPEG or HEVC); export the frame that matters as one image")
    if found.syntax not in (*_NATIVE, _RLE, *_JPEG, *_JPEG_LS, *_JPEG_2000):
        raise FormatError("px in a compression unknown here; write it uncompressed, as `dcmconv` or `gdcmconv` do")


def frame(found: pydicom.Dataset, layout: Layout, index: int) -> NDArray[Any]:
    """Return frame `index` as stored values `(rows, columns, samples)`: uint8 of 8-bit colors, else int32 or int64.

    Colors are RGB. Bits above and below those stored are cut off, signs are made out.

    Raises:
        UnreadableError: it is missing, cut off or damaged.
    """
    if "PixelData" not in found:
        raise FormatError(
            "no px are stored in it (cut off before them, or floating-point numbers); copy it again, or export it as an image"
        )
    if layout.syntax in _NATIVE:
        samples = _native(found, layout, index)
    else:
        stored = _encapsulated(found, layout, index)
        samples = _rle(stored, layout) if layout.syntax == _RLE else _jpeg_family(stored, layout)
    return samples


def _native(found: pydicom.Dataset, layout: Layout, index: int) -> NDArray[Any]:
    """Return a frame stored as it is, in either byte order."""
    values = found.PixelData
    is_halved = layout.kind == "YBR_FULL_422"
    count = layout.rows * layout.columns * (2 if is_halved else layout.samples)
    if is_halved and (layout.columns % 2 or layout.allocated != 8):
        raise FormatError("YBR_FULL_422 of an odd width or of 16 bits; export it as RGB")
    bits = count * layout.allocated
    if len(values) * 8 < bits * (index + 1):
        raise UnreadableError(
            f"cut off: {len(values):,} bytes of px, expected {-(-bits * layout.frames // 8):,}; copy it again"
        )
    is_big = layout.syntax == BIG_ENDIAN
    if layout.allocated == 1:
        packed = np.frombuffer(values, np.uint8, offset=index * bits // 8, count=-(-(index * bits % 8 + bits) // 8))
        if is_big and found["PixelData"].VR == "OW":
            raise FormatError("single bits in big-endian words; write it little-endian")
        plain: NDArray[Any] = np.unpackbits(packed, bitorder="little")[index * bits % 8 :][:count]
    elif layout.allocated == 8 and is_big and found["PixelData"].VR == "OW":
        swapped = np.frombuffer(values[: len(values) // 2 * 2], np.uint16).byteswap().view(np.uint8)
        plain = swapped[index * count : (index + 1) * count]
    else:
        kind = np.dtype(f"{'>' if is_big else '<'}u{layout.allocated // 8}")
        plain = np.frombuffer(values, kind, count=count, offset=index * count * kind.itemsize)
    if is_halved:
        return rgb_of(_spread(plain.reshape(layout.rows, layout.columns // 2, 4)))
    shape = (layout.samples, layout.rows, layout.columns) if layout.is_planar else layout.shape
    samples = np.moveaxis(plain.reshape(shape), 0, -1) if layout.is_planar else plain.reshape(shape)
    values_found = whole_numbers(samples, layout)
    return rgb_of(values_found) if layout.kind == "YBR_FULL" else values_found


def _spread(pairs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return Y1 Y2 Cb Cr of each pair of px `(h, w / 2, 4)` as Y Cb Cr `(h, w, 3)` (PS3.3 C.7.6.3.1.2)."""
    light, tint = pairs[..., :2].reshape(len(pairs), -1), np.repeat(pairs[..., 2:], 2, axis=1)
    return np.dstack([light, tint])


def rgb_of(ybr: NDArray[Any]) -> NDArray[np.uint8]:
    """Return full-range Y Cb Cr `(h, w, 3)` of 8 bits as RGB (PS3.3 C.7.6.3.1.2, the inverse of its matrix)."""
    if ybr.dtype != np.uint8:
        raise FormatError("YBR of more than 8 bits; export it as RGB")
    y, cb, cr = (ybr[..., i].astype(np.float32) - (128 if i else 0) for i in range(3))
    rgb = np.dstack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb])
    return np.asarray(np.clip(np.rint(rgb), 0, 255), np.uint8)


def whole_numbers(samples: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Return bits as numbers: those stored only, with their sign; uint8 where all eight bits are one unsigned number."""
    if layout.allocated <= 8 and layout.stored == layout.allocated and not layout.is_signed:
        return np.ascontiguousarray(samples, np.uint8)
    wide: NDArray[Any] = samples.astype(np.int64 if layout.allocated == 32 else np.int32)
    wide >>= layout.high + 1 - layout.stored
    return _signed(wide, layout)


def _signed(values: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Return the lowest stored bits of whole numbers, the highest of them being the sign where there is one."""
    values = values & ((1 << layout.stored) - 1)
    if layout.is_signed:
        sign = 1 << (layout.stored - 1)
        values = (values ^ sign) - sign
    return np.asarray(values)


def _encapsulated(found: pydicom.Dataset, layout: Layout, index: int) -> bytes:
    offsets = found.get("ExtendedOffsetTable"), found.get("ExtendedOffsetTableLengths")
    table = offsets if all(offsets) else None
    return bytes(get_frame(found.PixelData, index, number_of_frames=layout.frames, extended_offsets=table))


def _rle(stored: bytes, layout: Layout) -> NDArray[Any]:
    """Return an RLE frame: a header of offsets, then one PackBits segment a byte of a sample (PS3.5 annex G)."""
    offsets = struct.unpack("<16I", stored[:64].ljust(64, b"\0"))
    width = layout.allocated // 8
    wanted, count = layout.samples * width, layout.rows * layout.columns
    if offsets[0] != wanted or width == 0:
        raise UnreadableError(f"{offsets[0]} RLE segments, expected {wanted}; the file is damaged")
    ends = [*offsets[2 : wanted + 1], len(stored)]
    planes = np.empty((layout.samples, width, count), np.uint8)
    for i, (start, end) in enumerate(zip(offsets[1 : wanted + 1], ends, strict=True)):
        plane = planes[i // width, i % width]
        unpacked = imagecodecs.packbits_decode(stored[start:end], out=count + 1)
        if len(unpacked) < count:
            raise UnreadableError("an RLE segment is cut off; copy the file again")
        plane[:] = np.frombuffer(unpacked, np.uint8, count=count)
    samples = np.moveaxis(planes, 1, -1).copy().view(f">u{width}")[..., 0]  # (samples, count)
    values = whole_numbers(samples.T.reshape(layout.shape), layout)
    return rgb_of(values) if layout.kind.startswith("YBR") else values


def _jpeg_family(stored: bytes, layout: Layout) -> NDArray[Any]:
    """Return a frame of any JPEG; its own size is checked before memory is taken for it."""
    _check_claim(stored, layout)
    if layout.syntax in _JPEG:
        colors = _jpeg_colors(stored, layout)
        decoded = imagecodecs.jpeg8_decode(stored, colorspace=colors, outcolorspace="RGB" if colors else None)
    elif layout.syntax in _JPEG_LS:
        decoded = imagecodecs.jpegls_decode(stored)
    else:
        decoded = imagecodecs.jpeg2k_decode(stored)
    samples = np.asarray(decoded).reshape(*np.shape(decoded)[:2], -1)
    if samples.shape != layout.shape:
        raise UnreadableError(f"it holds {samples.shape} samples, expected {layout.shape}; the file is damaged")
    if (samples.dtype.kind == "i") == layout.is_signed:
        values = samples if samples.dtype == np.uint8 and layout.allocated == 8 else samples.astype(np.int32)
    else:
        values = _signed(samples.astype(np.int32), layout)
    return rgb_of(values) if layout.kind in STORED_YBR and layout.syntax not in _CONVERTED else values


_APP0, _APP14, _SOF = 0xE0, 0xEE, {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def _segments(stored: bytes) -> Mapping[int, bytes]:
    """Return the segments before the first scan of a JPEG or JPEG-LS stream, the first of each marker."""
    found: dict[int, bytes] = {}
    at = 2 if stored.startswith(b"\xff\xd8") else len(stored)
    while at + 4 <= len(stored) and stored[at] == 0xFF and stored[at + 1] != 0xDA:
        if stored[at + 1] == 0xFF:
            at += 1
            continue
        length = struct.unpack_from(">H", stored, at + 2)[0]
        found.setdefault(stored[at + 1], stored[at + 4 : at + 2 + length])
        at += 2 + max(length, 2)
    return found


def _check_claim(stored: bytes, layout: Layout) -> None:
    """Refuse a stream that claims another size than the header does."""
    if layout.syntax in _JPEG_2000:
        at = stored.find(b"\xff\x4f\xff\x51", 0, 4096)
        if at < 0 or len(stored) < at + 40:
            raise UnreadableError("its px aren't JPEG 2000, as the header says; copy the file again")
        right, bottom, left, top = struct.unpack_from(">IIII", stored, at + 8)
        size, samples = (bottom - top, right - left), struct.unpack_from(">H", stored, at + 40)[0]
    else:
        heads = [body for marker, body in _segments(stored).items() if marker in _SOF and len(body) >= 6]
        if not heads:
            raise UnreadableError("its px aren't JPEG, as the header says; copy the file again")
        size, samples = struct.unpack_from(">HH", heads[0], 1), heads[0][5]
    if (*size, samples) != layout.shape:
        claimed = f"{size[1]} x {size[0]} px of {samples}"
        raise UnreadableError(
            f"its px claim {claimed} samples, the header {layout.columns} x {layout.rows} of {layout.samples}"
        )


def _jpeg_colors(stored: bytes, layout: Layout) -> str | None:
    """Return what a JPEG's three samples are: as Adobe's or JFIF's marker in it says, else as the header says."""
    if layout.samples == 1:
        return None
    segments = _segments(stored)
    adobe = segments.get(_APP14, b"")
    if adobe.startswith(b"Adobe") and len(adobe) >= 12:
        return "RGB" if adobe[11] == 0 else "YCBCR"
    if segments.get(_APP0, b"").startswith(b"JFIF\0"):  # holds YCbCr, and files that say RGB of it are many
        return "YCBCR"
    return "RGB" if layout.kind == "RGB" else "YCBCR"
