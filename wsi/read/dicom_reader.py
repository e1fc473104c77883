"""DICOM slides that OpenSlide refuses (no ImageType, for one): frames found here, decoded by imagecodecs."""

import bisect
import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray

from wsi.errors import FormatError, SlideError, TooLargeError, UnreadableError
from wsi.geometry import Mpp, Size
from wsi.read.codecs import STORED_YBR, rgb_of
from wsi.read.dicom_header import DICOM_FAULTS, read_header
from wsi.read.frame_cache import Memory
from wsi.read.framed_source import FramedSource
from wsi.read.frames import Frames, check_stored
from wsi.read.jpeg import SHRINKS, JpegFrames
from wsi.read.sniff import is_dicom, read_head

NAME = "dicom"
WSI_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
_RAW, _JPEG = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1"), "1.2.840.10008.1.2.4.50"
_JPEG2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_NO_LEVEL = ("LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER")
MAX_ASPECT = 1.02
"""A level has the shape of level 0 to within this; what differs more is another picture."""

MAX_FRAMES = 1 << 22
"""Of a level; half a million px a side in frames of 256 x 256."""


@dataclass(frozen=True, slots=True)
class _Instance:
    """One file of a series: its header, and where its frames are stored."""

    path: Path
    header: pydicom.Dataset
    places: tuple[tuple[tuple[int, int], ...], ...]
    """Of each frame the offset and length of its pieces: one, but where it was stored in several fragments."""

    @property
    def size(self) -> Size:
        return Size(int(self.header.TotalPixelMatrixColumns), int(self.header.TotalPixelMatrixRows))


class DicomSource(FramedSource):
    """The levels of one series, each a file in the folder of the one that was named."""

    reader = NAME
    properties: Mapping[str, str] = {}

    def __init__(self, path: Path) -> None:
        try:
            instances = _series(path)
            self._stored = [_frames(instance) for instance in instances]
            self.metadata_mpp: Mpp | None = _mpp(instances[0].header, instances[0].size)
        except DICOM_FAULTS as error:
            if isinstance(error, SlideError):
                raise
            raise UnreadableError(f"dicom: a damaged header ({type(error).__name__}); copy the file again") from error
        super().__init__([frames for frames, _ in self._stored])

    def stored(self, level: int) -> tuple[Frames, NDArray[np.int64]]:
        """Return the frames of a level, and how many bytes each has: 0 where none is stored."""
        return self._stored[level]

    def close(self) -> None:
        super().close()
        self._stored = []


def _series(path: Path) -> list[_Instance]:
    """Return the levels of the series that `path` belongs to, the largest first."""
    series = str(read_header(path, ["SeriesInstanceUID"]).SeriesInstanceUID)
    found: dict[Size, _Instance] = {}
    for each in sorted(path.parent.iterdir()):
        if each.is_file() and is_dicom(read_head(each)):
            instance = _instance(each, series)
            if instance is not None and found.setdefault(instance.size, instance) is not instance:
                raise FormatError(f"dicom: {each.name} is a second image of {instance.size.width} px; expected one")
    if not found:
        raise FormatError("dicom: the series has labels and overviews only, no level of a slide")
    levels = sorted(found.values(), key=lambda instance: -instance.size.area)
    shape = levels[0].size.width / levels[0].size.height
    return [level for level in levels if 1 / MAX_ASPECT < level.size.width / level.size.height / shape < MAX_ASPECT]


def _instance(path: Path, series: str) -> _Instance | None:
    """Return a file of the series; None when it is of another, or a label, an overview or a thumbnail."""
    with path.open("rb") as file:
        header = read_header(file)
        if header.get("SeriesInstanceUID") != series or header.get("SOPClassUID") != WSI_CLASS:
            return None
        if set(header.get("ImageType", ())) & set(_NO_LEVEL) or header.get("SpecimenLabelInImage") == "YES":
            return None
        _check(header)
        return _Instance(path, header, tuple(_places(file, header)))


def _check(header: pydicom.Dataset) -> None:
    if header.get("SamplesPerPixel") != 3 or header.get("BitsAllocated") != 8 or header.get("PlanarConfiguration", 0):
        raise FormatError("dicom: expected 8-bit RGB, its three samples together")
    if header.file_meta.TransferSyntaxUID in _RAW and header.get("PhotometricInterpretation") != "RGB":
        raise FormatError(f"dicom: px stored as {header.get('PhotometricInterpretation')}; expected RGB")
    if header.file_meta.TransferSyntaxUID not in (*_RAW, _JPEG, *_JPEG2000):
        raise FormatError(
            f"dicom: transfer syntax {header.file_meta.TransferSyntaxUID.name}; expected JPEG, JPEG 2000 or none"
        )
    if header.get("ConcatenationUID") or header.get("TotalPixelMatrixFocalPlanes", 1) != 1:
        raise FormatError("dicom: a level in several files, or several focal planes; expected one of each")
    _check_sizes(header)


def _check_sizes(header: pydicom.Dataset) -> None:
    columns, rows = int(header.Columns), int(header.Rows)
    width, height = int(header.TotalPixelMatrixColumns), int(header.TotalPixelMatrixRows)
    told = f"dicom: claims {width} x {height} px in frames of {columns} x {rows}"
    if min(columns, rows, width, height) < 1:
        raise UnreadableError(f"{told}; the header is damaged, copy the file again")
    if max(-(-width // columns) * -(-height // rows), int(header.get("NumberOfFrames", 1))) > MAX_FRAMES:
        raise TooLargeError(f"{told}, more than {MAX_FRAMES:,} of them; convert the slide to a TIFF with larger tiles")


def _places(file: Any, header: pydicom.Dataset) -> list[tuple[tuple[int, int], ...]]:
    """Return offset and length of each frame's pieces; `file` stands at the start of the element PixelData."""
    count = int(header.get("NumberOfFrames", 1))
    explicit = header.file_meta.TransferSyntaxUID != _RAW[0]
    head = file.read(12 if explicit else 8)
    if len(head) < 8 or head[:4] != b"\xe0\x7f\x10\x00":
        raise FormatError("dicom: no px are stored")
    if struct.unpack("<I", head[-4:])[0] != 0xFFFFFFFF:
        length = int(header.Rows) * int(header.Columns) * 3
        begin = file.tell()
        return [((begin + i * length, length),) for i in range(count)]
    start, table = _item(file)
    offsets = struct.unpack(f"<{table // 4}I", file.read(table // 4 * 4))
    file.seek(start + table)
    base, fragments = file.tell(), []
    while (item := _item(file)) != (0, 0):
        fragments.append(item)
        file.seek(sum(item))
    if len(fragments) == count:
        return [(fragment,) for fragment in fragments]
    if len(offsets) != count:
        raise FormatError(f"dicom: {len(fragments)} fragments for {count} frames, and no table of them")
    starts = [begin - 8 - base for begin, _ in fragments]  # offsets are those of the items' heads
    firsts = [*(bisect.bisect_left(starts, offset) for offset in offsets), len(starts)]
    return [tuple(fragments[first:end]) for first, end in itertools.pairwise(firsts)]


def _item(file: Any) -> tuple[int, int]:
    """Return where the next item's value starts and how long it is; (0, 0) at the end of the sequence or file."""
    head = file.read(8)
    if len(head) < 8 or head[:4] != b"\xfe\xff\x00\xe0":
        return 0, 0
    return file.tell(), struct.unpack("<I", head[4:])[0]


def _frames(instance: _Instance) -> tuple[Frames, NDArray[np.int64]]:
    """Return the frames of a file, and how many bytes each has: 0 where none is stored."""
    header, frame = instance.header, Size(int(instance.header.Columns), int(instance.header.Rows))
    columns, rows = -(-instance.size.width // frame.width), -(-instance.size.height // frame.height)
    has_places = _has_places(header)
    if has_places:
        stored_as = _placed(header, frame, instance.size, columns)
    else:
        stored_as = {i: i for i in range(min(columns * rows, len(instance.places)))}
    lengths = [sum(length for _, length in pieces) for pieces in instance.places]
    counts = np.array([lengths[stored_as[i]] if i in stored_as else 0 for i in range(columns * rows)])
    syntax = header.file_meta.TransferSyntaxUID
    jpeg = JpegFrames(b"", "RGB" if header.PhotometricInterpretation == "RGB" else None)

    def stored_frame(index: int) -> bytes:
        stored = b""
        with instance.path.open("rb") as file:
            for offset, length in instance.places[stored_as[index]]:
                file.seek(offset)
                stored += file.read(length)
        return stored

    def as_file(index: int) -> bytes | None:
        return jpeg.as_file(stored_frame(index), frame) if index in stored_as else None

    def decode(index: int, shrink: int, memory: Memory) -> NDArray[np.uint8] | None:
        if index not in stored_as:
            if has_places:
                return None
            raise ValueError("it was never stored")
        stored = stored_frame(index)
        if syntax in _RAW:
            return np.frombuffer(stored, np.uint8).reshape(frame.height, frame.width, 3)
        if syntax == _JPEG:
            return jpeg.decode(stored, frame, memory, shrink=shrink)
        check_stored(stored, frame)
        found = imagecodecs.jpeg2k_decode(stored)
        samples = np.asarray(found, np.uint8).reshape(*found.shape[:2], 3)
        return rgb_of(samples) if header.PhotometricInterpretation in STORED_YBR else samples

    if syntax != _JPEG:
        return Frames(instance.size, frame, decode), counts
    return Frames(instance.size, frame, decode, shrinks=SHRINKS, as_file=as_file), counts


def _has_places(header: pydicom.Dataset) -> bool:
    """Return whether each frame says where it lies; else they fill the level row by row (PS3.3 C.7.6.17.3)."""
    said, groups = header.get("DimensionOrganizationType"), header.get("PerFrameFunctionalGroupsSequence")
    return said == "TILED_SPARSE" or (
        said != "TILED_FULL" and bool(groups) and "PlanePositionSlideSequence" in groups[0]
    )


def _placed(header: pydicom.Dataset, frame: Size, size: Size, columns: int) -> dict[int, int]:
    """Return which stored frame lies at each place, counted in rows.

    Raises:
        FormatError: a frame lies between two places of the grid, or beyond the level.
    """
    found = {}
    for i, group in enumerate(header.PerFrameFunctionalGroupsSequence):
        place = group.PlanePositionSlideSequence[0]
        x, y = place.ColumnPositionInTotalImagePixelMatrix - 1, place.RowPositionInTotalImagePixelMatrix - 1
        if x % frame.width or y % frame.height or not (0 <= x < size.width and 0 <= y < size.height):
            raise FormatError(
                f"dicom: frame {i + 1} lies at {x}, {y} px, expected multiples of {frame.width} x {frame.height} inside "
                f"{size.width} x {size.height}; convert the slide to a pyramidal TIFF"
            )
        found[y // frame.height * columns + x // frame.width] = i
    return found


def _mpp(header: pydicom.Dataset, size: Size) -> Mpp | None:
    """Return µm per px from PixelSpacing, else from the volume that was imaged, both in mm."""
    try:
        measures = header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        y, x = (float(value) * 1000 for value in measures.PixelSpacing)
        return Mpp(x, y, source="metadata")
    except DICOM_FAULTS:
        pass
    try:
        return Mpp(
            float(header.ImagedVolumeWidth) * 1000 / size.width,
            float(header.ImagedVolumeHeight) * 1000 / size.height,
            source="metadata",
        )
    except DICOM_FAULTS:
        return None
