"""The frames of a TIFF's page as bytes: as they lie in the file, or strips of a long JPEG joined to bands."""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi.geometry import Size

BAND_PX, MAX_BAND_AREA = 256, 16 << 20
"""Strips of fewer px than this are joined to bands of as many, as tiles are rarely lower, if they aren't that large."""
_END, _SCAN, _FIRST_RESTART = b"\xff\xd9", 0xDA, 0xD0
_FRAMES = (0xC0, 0xC1)


@dataclass(frozen=True, slots=True)
class StoredFrames:
    """Where the frames of a page are.

    size: of a frame; the last ones down may hold fewer px.
    counts: bytes of each frame, in rows.
    read: index to the frame's bytes; None where glass was left out. It raises ValueError where none are there, OSError
        where they can't be read.
    """

    size: Size
    counts: NDArray[np.int64]
    read: Callable[[int], bytes | None]


def stored_frames(page: Any) -> StoredFrames:
    """Return the frames of a tifffile page, read from its open file.

    Raises:
        ValueError: a frame is missing, or there is one too many.
    """
    strip = Size(page.imagewidth, min(page.rowsperstrip or page.imagelength, page.imagelength))
    size = Size(page.tilewidth, page.tilelength) if page.is_tiled else strip
    file, offsets = page.parent.filehandle.fileno(), page.dataoffsets
    counts = np.asarray(page.databytecounts, np.int64)
    if len(counts) != len(offsets):
        raise ValueError("a frame is missing, or there is one too many")
    lengths, end = counts.tolist(), os.fstat(file).st_size

    def read(index: int) -> bytes | None:
        offset, count = offsets[index], lengths[index]
        if count == 0:
            if offset == 0:
                return None
            raise ValueError("it is empty")
        stored = os.pread(file, count, offset) if offset + count <= end else b""
        if len(stored) < count:
            raise ValueError("it lies beyond the end of the file")
        return stored

    if page.jpegheader:
        return _bands(page, StoredFrames(size, counts, read))
    return StoredFrames(size, counts, read)


def _bands(page: Any, strips: StoredFrames) -> StoredFrames:
    """Return frames of many strips each. A strip is what lies between two restart markers of a JPEG of the whole level;
    after such a marker nothing is known of what was before, so strips below each other make a JPEG of their own.

    Source: ITU-T T.81, E.1.4 and F.2.1.3.1.
    """
    size = strips.size
    columns, rows = -(-page.imagewidth // size.width), -(-page.imagelength // size.height)
    if len(strips.counts) != columns * rows:
        raise ValueError("a frame is missing, or there is one too many")
    joined = max(1, min(BAND_PX, MAX_BAND_AREA // size.width) // size.height)
    head = bytes(page.jpegheader)
    height_at = _height_at(head)

    def read(index: int) -> bytes | None:
        row, column = index // columns * joined, index % columns
        parts = [strips.read(r * columns + column) for r in range(row, min(row + joined, rows))]
        codes = b"".join(_restarted(part, n) for n, part in enumerate(parts) if part is not None)
        height = struct.pack(">H", len(parts) * size.height)  # of all: a missing one is noticed by the decoder
        return head[:height_at] + height + head[height_at + 2 :] + codes[:-2] + _END

    grid = strips.counts.reshape(rows, columns)
    counts = np.add.reduceat(grid, np.arange(0, rows, joined)).ravel()
    return StoredFrames(Size(size.width, joined * size.height), counts, read)


def _restarted(strip: bytes, number: int) -> bytes:
    """Return a strip whose end says that it is the n-th; its own marker, which counts from the top, goes."""
    bare = strip[:-2] if strip[-2:-1] == b"\xff" and strip[-1] >= _FIRST_RESTART else strip
    return bare + bytes((0xFF, _FIRST_RESTART + number % 8))


def _height_at(head: bytes) -> int:
    """Return where a JPEG stream says its height; ValueError where it doesn't."""
    at = 2
    while at + 7 <= len(head) and head[at] == 0xFF and head[at + 1] != _SCAN:
        if head[at + 1] in _FRAMES:
            return at + 5
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    raise ValueError("a JPEG stream without a head")
