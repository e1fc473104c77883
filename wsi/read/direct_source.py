"""OpenSlide's slides, their stored frames decoded here: each once, and on as many threads as there are.

OpenSlide blends every region through 32-bit px with alpha, which costs five times the decoding. Where the frames lie
in a TIFF as they are, its levels, bounds and scale are kept and its px are not asked for.
"""

import itertools
import struct
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from wsi.errors import FormatError, RegionError, SlideError, TooLargeError
from wsi.geometry import Bounds, Level, Mpp, Point, Region, Size
from wsi.read.frames import Frames
from wsi.read.holes import MAX_PAGES, Holes, level_of
from wsi.read.source import Source
from wsi.read.stored import stored_frames
from wsi.read.tiff_frames import tiff_frames

VENDORS = ("aperio", "generic-tiff", "hamamatsu")
"""Whose frames lie side by side, without overlap or gap."""
PROBES = 4
"""Frames of a level that are compared with OpenSlide's before any is believed."""
MAX_MEAN_GRAY_LEVELS = 1.0
"""OpenSlide moves levels whose downsample is no whole number by parts of a px, which the eye doesn't see; a frame in a
wrong place or in wrong colors differs by several gray levels. Level 0 must be equal."""
PROBED_PX = 1024
"""Of a frame that is probed as many px along a side at most, in its middle: some are as wide as the slide."""
GLANCES, BLOCK, MIDDLE_PX = 2, 16, 64
"""Frames of a level that are compared as they are shown, before any is believed: MIDDLE_PX x MIDDLE_PX px of each, by blocks
of BLOCK x BLOCK. Only frames whose px differ by MIN_RANGE gray levels count: flat ones prove nothing."""
MIN_RANGE = 16
_FAULTS = (
    tifffile.TiffFileError,
    FormatError,
    TooLargeError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ArithmeticError,
    struct.error,
)


class DirectLevel:
    """The frames of one level, and OpenSlide's view of it to hold them against."""

    def __init__(self, frames: Frames, counts: NDArray[np.int64], level: int, inner: Source) -> None:
        """Take the frames and how many bytes each has; ValueError where they aren't as many as the level needs."""
        self.frames, self._counts, self._level, self._inner = frames, counts, level, inner
        self._frame, full = frames.frame_size, frames.size
        columns, rows = -(-full.width // self._frame.width), -(-full.height // self._frame.height)
        if len(self._counts) != columns * rows:
            raise ValueError("a frame is missing, or there is one too many")
        self._columns = columns
        self._gaps = Holes(self._frame, (self._counts == 0).reshape(rows, columns))
        self._has_gaps = bool((self._counts == 0).any())
        self._glances, self.is_misplaced = 0, False
        self.is_sure = False
        """Whether it is proven, and without gaps: any region may be read."""

    def has_gap(self, region: Region, x: int, y: int) -> bool:
        """Return whether (x, y) in px of the level and what is right of and below it touches a frame without bytes."""
        if not self._has_gaps:
            return False
        return self._gaps.touch(x, y, Size(region.size.width * region.shrink, region.size.height * region.shrink))

    def is_gap(self, column: int, row: int) -> bool:
        """Return whether a frame has no bytes."""
        size = self._frame
        return self._has_gaps and self._gaps.touch(column * size.width, row * size.height, size)

    @cached_property
    def is_proven(self) -> bool:
        """Whether the frames that hold the most are as OpenSlide shows them."""
        alike = [self._is_alike(index) for index in self._probes()]
        is_proven = True in alike and False not in alike
        self.is_sure = is_proven and not self._has_gaps
        return is_proven

    def is_in_place(self, column: int, row: int, pixels: NDArray[np.uint8] | None = None) -> bool:
        """Return whether a frame may be looked at: the first ones must show in their middle what OpenSlide shows there,
        to within a px.

        Args:
            pixels: of the frame, where they are decoded already.
        """
        if self._glances >= GLANCES or self.is_misplaced:
            return not self.is_misplaced
        frame = self.frames.inside(column, row) if pixels is None else pixels
        size = Size(min(MIDDLE_PX, frame.shape[1]), min(MIDDLE_PX, frame.shape[0]))
        left, top = (frame.shape[1] - size.width) // 2, (frame.shape[0] - size.height) // 2
        stored = frame[top : top + size.height, left : left + size.width].astype(np.int16)
        try:
            shown = self._shown(column * self._frame.width + left, row * self._frame.height + top, size)
        except RegionError:
            return False
        # Parts of a px don't move the means of blocks.
        self.is_misplaced = float(np.abs(_blocks(shown) - _blocks(stored)).mean()) > MAX_MEAN_GRAY_LEVELS
        self._glances += int(np.ptp(stored) >= MIN_RANGE)
        return not self.is_misplaced

    def _probes(self) -> Sequence[int]:
        """Return frames spread over the level, of each part the one with the most bytes: flat ones prove nothing."""
        parts = np.array_split(np.arange(len(self._counts)), PROBES)
        return [int(part[np.argmax(self._counts[part])]) for part in parts if len(part) and self._counts[part].max()]

    def _is_alike(self, index: int) -> bool | None:
        """Return whether the middle of a frame is as OpenSlide shows it; None when it can't be decoded, by whomever, or
        lies beyond the level."""
        size = Size(min(PROBED_PX, self._frame.width), min(PROBED_PX, self._frame.height))
        x = index % self._columns * self._frame.width + (self._frame.width - size.width) // 2
        y = index // self._columns * self._frame.height + (self._frame.height - size.height) // 2
        full = self.frames.size
        if x >= full.width or y >= full.height:
            return None
        size = Size(min(size.width, full.width - x), min(size.height, full.height - y))
        try:
            difference = np.abs(self._shown(x, y, size) - self.frames.read(x, y, size))
        except RegionError:
            return None
        return not difference.any() if self._level == 0 else bool(difference.mean() <= MAX_MEAN_GRAY_LEVELS)

    def _shown(self, x: int, y: int, size: Size) -> NDArray[np.int16]:
        """Return px from (x, y) of the level as OpenSlide shows them; RegionError where it can't."""
        downsample = self._inner.levels[self._level].downsample
        place = Point(round(x * downsample), round(y * downsample))
        return self._inner.read_region(Region(place, self._level, size)).astype(np.int16)


def _blocks(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the means of whole blocks of BLOCK x BLOCK px; the mean of all where not one fits."""
    rows, columns = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
    if not rows or not columns:
        return np.asarray(pixels.mean((0, 1)), np.float64)
    whole = pixels[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK, 3)
    return np.asarray(whole.mean((1, 3)), np.float64)


class Closing(Protocol):
    """What the frames are read from."""

    def close(self) -> None: ...


class DirectSource:
    """A slide that OpenSlide opened; levels whose frames are proven equal are read without it."""

    def __init__(self, inner: Source, file: Closing, found: Mapping[int, DirectLevel]) -> None:
        self._inner, self._file, self._found = inner, file, found
        self._lock = threading.RLock()
        self.reader = inner.reader
        self.levels: tuple[Level, ...] = inner.levels
        self.bounds: Bounds = inner.bounds
        self.metadata_mpp: Mpp | None = inner.metadata_mpp
        self.properties: Mapping[str, str] = inner.properties

    def shrinks(self, level: int, /) -> tuple[int, ...]:
        found = self._found.get(level)
        return found.frames.shrinks if found and self._is_proven(found) else (1,)

    def frame_size(self, level: int, /) -> Size | None:
        found = self._found.get(level)
        return found.frames.frame_size if found else None

    def jpeg_frame(self, level: int, column: int, row: int, /) -> bytes | None:
        found = self._seen(level, column, row)
        if found is None:
            return None
        with self._lock:
            is_in_place = found.is_in_place(column, row)
        return found.frames.jpeg_file(column, row) if is_in_place else None

    def frame_px(self, level: int, column: int, row: int, /) -> NDArray[np.uint8] | None:
        found = self._seen(level, column, row)
        if found is None:
            return None
        pixels = found.frames.inside(column, row)
        with self._lock:
            return pixels if found.is_in_place(column, row, pixels) else None

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        (left, top), level, size, shrink = region
        found, step = self._found.get(level), self.levels[level].downsample * shrink
        x, y = round(left / step), round(top / step)
        if found is None or not (found.is_sure or self._may_read(found, region, x * shrink, y * shrink)):
            return self._through_openslide(region)
        try:
            return found.frames.read(x, y, size, shrink=shrink)
        except RegionError as error:
            raise RegionError(f"level {level}, {left}, {top}: {error}") from error

    def forget(self) -> None:
        for found in self._found.values():
            found.frames.forget()

    def close(self) -> None:
        self._inner.close()
        self._file.close()

    def _may_read(self, found: DirectLevel, region: Region, x: int, y: int) -> bool:
        is_dot = region.size.area == 1 == region.shrink  # asked for to see whether it opens: not worth a proof
        return not is_dot and not found.has_gap(region, x, y) and self._is_proven(found)

    def _is_proven(self, found: DirectLevel) -> bool:
        with self._lock:
            return found.is_proven

    def _seen(self, level: int, column: int, row: int) -> DirectLevel | None:
        """Return the level of a frame that may be looked at as it is stored."""
        found = self._found.get(level)
        return None if found is None or found.is_misplaced or found.is_gap(column, row) else found

    def _through_openslide(self, region: Region) -> NDArray[np.uint8]:
        size = Size(region.size.width * region.shrink, region.size.height * region.shrink)
        pixels = self._inner.read_region(Region(region.location, region.level, size))
        return pixels if region.shrink == 1 else np.asarray(Image.fromarray(pixels).reduce(region.shrink))


def direct(inner: Source, path: Path) -> Source:
    """Return a view of OpenSlide's `inner`, a TIFF at `path`, that decodes frames itself; `inner` where it can't."""
    if inner.properties.get("openslide.vendor") not in VENDORS:
        return inner
    try:
        file = tifffile.TiffFile(path)
    except _FAULTS:
        return inner
    found: dict[int, DirectLevel] = {}
    try:
        sizes = [level.size for level in inner.levels]
        for page in itertools.islice(file.pages, MAX_PAGES):
            level = level_of(page, sizes)
            if level is not None and level not in found:
                stored = stored_frames(page)
                found[level] = DirectLevel(tiff_frames(page, stored), stored.counts, level, inner)
    except _FAULTS:
        file.close()
        return inner
    return DirectSource(inner, file, found)


def direct_dicom(inner: Source, path: Path) -> Source:
    """Return a view of OpenSlide's `inner`, the series of a DICOM file, that decodes frames itself; `inner` where it can't."""
    from wsi.read.dicom_reader import DicomSource  # loads pydicom, which TIFFs have no use for

    try:
        series = DicomSource(path)
    except SlideError:
        return inner
    ours = {level.size: number for number, level in enumerate(series.levels)}
    found = {
        number: DirectLevel(*series.stored(ours[level.size]), number, inner)
        for number, level in enumerate(inner.levels)
        if level.size in ours
    }
    return DirectSource(inner, series, found)
