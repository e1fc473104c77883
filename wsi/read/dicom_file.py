"""Open a DICOM file by an allow-list of tags: what isn't on it is skipped, never made into a value."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from wsi.errors import FormatError, SlideError, UnreadableError
from wsi.printable import spelled_name
from wsi.read.dicom_header import DICOM_FAULTS
from wsi.read.field_info import check_room

FAULTS = (*DICOM_FAULTS, RuntimeError, ArithmeticError, EOFError, zlib.error)
"""What pydicom, zlib and the decoders raise on damaged files."""
KIND = ("SOPClassUID", "SeriesInstanceUID", "Modality", "BodyPartExamined", "BurnedInAnnotation")
"""SeriesInstanceUID is compared, and goes nowhere else."""
LAYOUT = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "LossyImageCompression"),
)
SHOWN = (
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("VOILUTSequence", "PixelPaddingValue", "PixelPaddingRangeLimit", "PresentationLUTShape"),
    *(f"{color}PaletteColorLookupTable{what}" for color in ("Red", "Green", "Blue") for what in ("Descriptor", "Data")),
)
PLACE = (
    *("PixelSpacing", "ImagerPixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
PIXELS = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData")
HEADER = (*KIND, *LAYOUT, *SHOWN, *PLACE)
DEFLATED = "1.2.840.10008.1.2.1.99"
HEAD_BYTES = 4096
"""A file says how its px are stored within its first bytes."""


@contextmanager
def named_faults() -> Iterator[None]:
    """Turn what pydicom raises on damaged files into an error that quotes nothing, as values may be a patient's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            yield
    except FAULTS as error:
        if isinstance(error, SlideError):
            raise
        raise UnreadableError(f"a damaged DICOM file ({type(error).__name__}); copy it again") from None


@contextmanager
def fault_of(path: Path, *, among: Sequence[Path]) -> Iterator[None]:
    """Name the file in an error, where an image has several."""
    try:
        with named_faults():
            yield
    except SlideError as error:
        if len(among) == 1:
            raise
        raise type(error)(f"{shown_names(among)[path]}: {error}") from None


def shown_names(files: Sequence[Path]) -> dict[Path, str]:
    """Return what messages call each file: its name, after its folder's where they lie in several.

    Bytes that are no UTF-8 are spelled out.
    """
    parts = -1 if len({path.parent for path in files}) == 1 else -2
    plain = {path: "/".join(path.parts[parts:]) for path in files}
    return {path: spelled_name(name) for path, name in plain.items()}


def open_dicom(path: Path, *, limit: int, pixels: bool) -> pydicom.Dataset:
    """Return the elements of a file that are on the allow-list, with or without its px.

    Raises:
        UnreadableError: damaged. TooLargeError: the file, or what it was deflated from, has more than `limit` bytes.
        FormatError: it holds no image, or doesn't say how its px are stored.
    """
    with named_faults():
        check_room(path.stat().st_size, limit, what="the file")
        stored = path.read_bytes()  # a claimed length is then cut to what there is, and takes no memory
        syntax = _syntax(stored)
        wanted = (*HEADER, *PIXELS) if pixels else HEADER
        if syntax == DEFLATED:
            found = _deflated(stored, wanted, limit)
        else:
            found = pydicom.dcmread(io.BytesIO(stored), specific_tags=[*wanted], stop_before_pixels=not pixels)
        found.file_meta = FileMetaDataset()
        found.file_meta.TransferSyntaxUID = UID(syntax)
        found.file_meta.MediaStorageSOPClassUID = UID(_meta_uid(stored, b"\x02\x00") or "")
        for name in wanted:
            found.get(name)  # values are only made sense of when they are asked for
        return found


def _syntax(stored: bytes) -> str:
    """Return how px are stored, by the UID in the head of a file."""
    found = _meta_uid(stored, b"\x10\x00")
    if found is None:
        raise FormatError(
            "its header doesn't say how px are stored (TransferSyntaxUID), or is cut off; copy it again, else export it anew"
        )
    return found


def _meta_uid(stored: bytes, element: bytes) -> str | None:
    """Return the UID of an element of group 2, given by its two bytes; None when the head of a file has none."""
    at = stored.find(b"\x02\x00" + element + b"UI", 132, HEAD_BYTES)
    if at < 0 or len(stored) < at + 8:
        return None
    length = struct.unpack_from("<H", stored, at + 6)[0]
    return stored[at + 8 : at + 8 + length].rstrip(b"\0 ").decode("ascii", "replace")


def _deflated(stored: bytes, wanted: Sequence[str], limit: int) -> pydicom.Dataset:
    """Return the elements of a deflated file, which is inflated no further than to `limit` bytes."""
    if stored[132:140] != b"\x02\0\0\0UL\4\0":
        raise UnreadableError("a deflated file that doesn't say how long its head is; export it again")
    start = 144 + struct.unpack_from("<I", stored, 140)[0]
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = engine.decompress(stored[start:], limit)
    if engine.unconsumed_tail:
        check_room(limit + 1, limit, what="the deflated file")
    return read_dataset(io.BytesIO(inflated), False, True, specific_tags=[Tag(name) for name in wanted])


def is_image_class(found: pydicom.Dataset) -> bool:
    """Return whether a file's class is one of images by its name in the standard (PS3.6 A-1)."""
    return "Image Storage" in found.file_meta.MediaStorageSOPClassUID.name


def number(found: pydicom.Dataset, name: str, default: float | None = None) -> float:
    """Return one finite number; UnreadableError when it is missing without a default, or isn't one."""
    value = found.get(name)
    if value is None or value == "":
        if default is None:
            raise UnreadableError(f"its header has no {name}; export it again")
        return default
    return numbers(found, name)[0]


def numbers(found: pydicom.Dataset, name: str) -> tuple[float, ...]:
    """Return the finite numbers of an element, () when it is missing or empty."""
    value = found.get(name)
    if value is None or value == "":
        return ()
    is_one = isinstance(value, str | bytes) or not isinstance(value, Sequence | pydicom.multival.MultiValue)
    values = tuple(float(one) for one in ([value] if is_one else value))
    if not all(abs(one) < float("inf") for one in values):
        raise UnreadableError(f"its {name} isn't a finite number; the header is damaged")
    return values


def word(found: pydicom.Dataset, name: str, known: Sequence[str], default: str) -> str:
    """Return an element's text when it is one of a closed list, else the default: no free text comes through."""
    value = str(found.get(name, "")).strip().upper()
    return value if value in known else default
