"""Regions put together from stored frames, so that an undecodable frame is known, never painted."""

import struct
import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wsi.errors import RegionError, TooLargeError
from wsi.geometry import Size

CACHE_BYTES = 192 << 20
"""Decoded frames kept a level: two rows of frames across a slide of 100,000 px, so that each is decoded once."""
MAX_FRAME_PX = 64 << 20
"""A frame (tile or strip) is decoded whole; a larger one than this would need hundreds of MB."""
DECODER_FAULTS = (ValueError, IndexError, RuntimeError, OSError, TypeError, MemoryError, OverflowError, struct.error)
"""What decoders raise on damaged frames."""

Decoder = Callable[[int, int], NDArray[np.uint8] | None]


class _Slot:
    """A frame that is decoded by one thread while the others that want it wait."""

    __slots__ = ("error", "pixels", "ready")

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.pixels: NDArray[np.uint8] | None = None
        self.error: Exception | None = None


class Frames:
    """The frames of one level, each decoded once and kept for a while. Any number of threads may read."""

    def __init__(self, size: Size, frame: Size, decode: Decoder, *, shrinks: tuple[int, ...] = (1,)) -> None:
        """Take the level's size, the size of its frames and how to decode one.

        Args:
            decode: (i, shrink) to frame `i`, counted in rows, as `(height, width, 3)` RGB, both over `shrink` and
                rounded up; None where nothing is stored because it is glass; one of DECODER_FAULTS when it can't
                be decoded.
            shrinks: what `decode` can shrink by; those by which a frame doesn't divide are left out.
        """
        check_frame(frame)
        self.size, self._frame_size, self._decode = size, frame, decode
        self.shrinks = tuple(s for s in shrinks if frame.width % s == 0 and frame.height % s == 0)
        self._columns = -(-size.width // frame.width)
        self._cache: OrderedDict[tuple[int, int], _Slot] = OrderedDict()
        self._lock = threading.Lock()
        self._room = max(1, CACHE_BYTES // (frame.area * 3))

    def read(self, x: int, y: int, size: Size, *, shrink: int = 1) -> NDArray[np.uint8]:
        """Return px from (x, y) of this level over `shrink` as `(height, width, 3)`; white beyond it. Don't write to it.

        Raises:
            RegionError: a frame that is touched is missing or can't be decoded.
        """
        full = shrunk(self.size, shrink)
        left, right = max(x, 0), min(x + size.width, full.width)
        top, bottom = max(y, 0), min(y + size.height, full.height)
        if left >= right or top >= bottom:
            return np.full((size.height, size.width, 3), 255, np.uint8)
        across, down = self._frame_size.width // shrink, self._frame_size.height // shrink
        rows, columns = range(top // down, (bottom - 1) // down + 1), range(left // across, (right - 1) // across + 1)
        inside = (left, top, right, bottom) == (x, y, x + size.width, y + size.height)
        if inside and len(rows) == len(columns) == 1:
            frame = self._frame(rows[0] * self._columns + columns[0], shrink)
            if frame is not None:
                x0, y0 = columns[0] * across, rows[0] * down
                return frame[top - y0 : bottom - y0, left - x0 : right - x0]
        pixels = (np.empty if inside else _white)((size.height, size.width, 3), np.uint8)
        for row in rows:
            for column in columns:
                x0, y0 = max(left, column * across), max(top, row * down)
                x1, y1 = min(right, (column + 1) * across), min(bottom, (row + 1) * down)
                frame = self._frame(row * self._columns + column, shrink)
                part = 255 if frame is None else frame[y0 - row * down :, x0 - column * across :][: y1 - y0, : x1 - x0]
                pixels[y0 - y : y1 - y, x0 - x : x1 - x] = part
        return pixels

    def decoded(self, index: int) -> NDArray[np.uint8] | None:
        """Return frame `index` at full size; None where it is glass; RegionError when it can't be decoded."""
        return self._frame(index, 1)

    def _frame(self, index: int, shrink: int) -> NDArray[np.uint8] | None:
        key = (index, shrink)
        with self._lock:
            slot = self._cache.get(key)
            is_mine = slot is None
            if slot is None:
                slot = self._cache[key] = _Slot()
                if len(self._cache) > self._room * shrink**2:
                    self._cache.popitem(last=False)
            else:
                self._cache.move_to_end(key)
        if is_mine:
            try:
                frame = self._decode(index, shrink)
                slot.pixels = None if frame is None else self._whole(frame, shrink)
            except DECODER_FAULTS as error:
                slot.error = error
            finally:
                slot.ready.set()
        slot.ready.wait()
        if slot.error is not None:
            raise RegionError(f"frame {index} can't be decoded: {slot.error}") from slot.error
        return slot.pixels

    def _whole(self, frame: NDArray[np.uint8], shrink: int) -> NDArray[np.uint8]:
        """Return a frame at its full size, not to be written to: those at the border may be stored smaller."""
        height, width = self._frame_size.height // shrink, self._frame_size.width // shrink
        if frame.shape[:2] != (height, width):
            full = _white((height, width, 3), np.uint8)
            full[: frame.shape[0], : frame.shape[1]] = frame[:height, :width]
            frame = full
        frame.flags.writeable = False
        return frame


def _white(shape: tuple[int, ...], dtype: type[np.uint8]) -> NDArray[np.uint8]:
    return np.full(shape, 255, dtype)


def shrunk(size: Size, shrink: int) -> Size:
    """Return a size over `shrink`, rounded up."""
    return Size(-(-size.width // shrink), -(-size.height // shrink))


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
