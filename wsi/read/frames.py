"""Regions put together from stored frames, so that an undecodable frame is known, never painted."""

import struct
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wsi.errors import RegionError, TooLargeError
from wsi.geometry import Size

CACHE_BYTES = 64 << 20
MAX_FRAME_PX = 64 << 20
"""A frame (tile or strip) is decoded whole; a larger one than this would need hundreds of MB."""
DECODER_FAULTS = (ValueError, IndexError, RuntimeError, OSError, TypeError, MemoryError, struct.error)
"""What decoders raise on damaged frames."""

Decoder = Callable[[int], NDArray[np.uint8] | None]


class Frames:
    """The frames of one level, decoded one by one and kept for a while."""

    def __init__(self, size: Size, frame: Size, decode: Decoder) -> None:
        """Take the level's size, the size of its frames and how to decode one.

        Args:
            decode: returns frame `i`, counted in rows, as `(height, width, 3)` RGB; None where nothing is stored
                because it is glass; one of DECODER_FAULTS when it can't be decoded.
        """
        check_frame(frame)
        self.size, self._frame_size, self._decode = size, frame, decode
        self._columns = -(-size.width // frame.width)
        self._cache: OrderedDict[int, NDArray[np.uint8] | None] = OrderedDict()
        self._kept = max(1, CACHE_BYTES // (frame.area * 3))

    def read(self, x: int, y: int, size: Size) -> NDArray[np.uint8]:
        """Return px from (x, y) of this level as `(height, width, 3)`; white beyond it.

        Raises:
            RegionError: a frame that is touched is missing or can't be decoded.
        """
        pixels = np.full((size.height, size.width, 3), 255, np.uint8)
        left, right = max(x, 0), min(x + size.width, self.size.width)
        top, bottom = max(y, 0), min(y + size.height, self.size.height)
        if left >= right or top >= bottom:
            return pixels
        across, down = self._frame_size.width, self._frame_size.height
        for row in range(top // down, (bottom - 1) // down + 1):
            for column in range(left // across, (right - 1) // across + 1):
                frame = self._frame(row * self._columns + column)
                if frame is None:
                    continue
                x0, y0 = max(left, column * across), max(top, row * down)
                part = frame[y0 - row * down : bottom - row * down, x0 - column * across : right - column * across]
                pixels[y0 - y : y0 - y + part.shape[0], x0 - x : x0 - x + part.shape[1]] = part
        return pixels

    def _frame(self, index: int) -> NDArray[np.uint8] | None:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        try:
            frame = self._decode(index)
        except DECODER_FAULTS as error:
            raise RegionError(f"frame {index} can't be decoded: {error}") from error
        if frame is not None:
            frame = self._whole(frame)
        self._cache[index] = frame
        if len(self._cache) > self._kept:
            self._cache.popitem(last=False)
        return frame

    def _whole(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame at its full size: those at the border may be stored smaller."""
        height, width = self._frame_size.height, self._frame_size.width
        if frame.shape[:2] == (height, width):
            return frame
        full = np.full((height, width, 3), 255, np.uint8)
        full[: frame.shape[0], : frame.shape[1]] = frame[:height, :width]
        return full


def check_frame(frame: Size) -> None:
    """Refuse frames that can't be held; TooLargeError."""
    if frame.area > MAX_FRAME_PX:
        raise TooLargeError(
            f"a stored frame is {frame.width} x {frame.height} px, more than can be decoded at once; "
            "convert the slide to a TIFF with small tiles"
        )


def check_stored(stored: bytes, frame: Size) -> None:
    """Refuse a JPEG or JPEG 2000 stream that claims to be larger than its frame, before memory is taken for it.

    Raises:
        ValueError: it claims more px.
    """
    claimed = _claimed(stored)
    if claimed is not None and (claimed.width > frame.width or claimed.height > frame.height):
        raise ValueError(f"it holds {claimed.width} x {claimed.height} px, expected {frame.width} x {frame.height}")


def _claimed(stored: bytes) -> Size | None:
    """Return the size in the head of a JPEG or of a JPEG 2000 code stream; None for anything else."""
    if stored.startswith(b"\xff\x4f\xff\x51"):
        right, bottom, left, top = struct.unpack_from(">IIII", stored, 8)
        return Size(max(0, right - left), max(0, bottom - top))
    at = 2 if stored.startswith(b"\xff\xd8") else len(stored)
    while at + 9 <= len(stored) and stored[at] == 0xFF:
        marker, length = stored[at + 1], struct.unpack_from(">H", stored, at + 2)[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", stored, at + 5)
            return Size(width, height)
        at += 1 if marker == 0xFF else 2 + length
    return None
