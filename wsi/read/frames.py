"""Regions put together from stored frames, so that an undecodable frame is known, never painted."""

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wsi.errors import RegionError, TooLargeError
from wsi.geometry import Size
from wsi.read.frame_cache import DECODER_FAULTS, FrameCache, Memory

CACHE_BYTES = 192 << 20
"""Decoded frames kept a level at most: two rows of frames across a slide of 100,000 px, so that each is decoded once."""
MAX_FRAME_PX = 64 << 20
"""A frame (tile or strip) is decoded whole; a larger one than this would need hundreds of MB."""
_BOXES = b"\0\0\0\x0cjP  "
"""With which a JP2 file begins."""
AsFile = Callable[[int], bytes | None]
Decoder = Callable[[int, int, Memory], NDArray[np.uint8] | None]


class Frames:
    """The frames of one level, each decoded once and kept for a while. Any number of threads may read."""

    def __init__(
        self,
        size: Size,
        frame: Size,
        decode: Decoder,
        *,
        shrinks: tuple[int, ...] = (1,),
        as_file: AsFile | None = None,
    ) -> None:
        """Take the level's size, the size of its frames and how to decode one.

        Args:
            decode: (i, shrink, memory) to frame `i`, counted in rows, as `(height, width, 3)` RGB, both over
                `shrink` and rounded up; None where nothing is stored because it is glass; one of DECODER_FAULTS when
                it can't be decoded. `memory(height, width)` is a place to decode it into.
            shrinks: what `decode` can shrink by; those by which a frame doesn't divide are left out.
            as_file: `i` to the frame as a JPEG file of its own, None where it can't be one; raises as `decode` does.
        """
        check_frame(frame)
        self.size, self._frame_size, self._decode, self._as_file = size, frame, decode, as_file
        self.shrinks = tuple(s for s in shrinks if frame.width % s == 0 and frame.height % s == 0)
        self._columns = -(-size.width // frame.width)
        self._steps = {s: (shrunk(size, s), frame.width // s, frame.height // s) for s in self.shrinks}
        self._cache = FrameCache(CACHE_BYTES // (frame.area * 3))
        self._is_shared = False

    def read(self, x: int, y: int, size: Size, *, shrink: int = 1) -> NDArray[np.uint8]:
        """Return px from (x, y) of this level over `shrink` as `(height, width, 3)`; white beyond it. Don't write to it.

        Raises:
            RegionError: a frame that is touched is missing or can't be decoded.
        """
        full, across, down = self._steps[shrink]
        width, height = size.width, size.height
        column, row = x // across, y // down
        left, top = x - column * across, y - row * down
        inside = 0 <= x <= full.width - width and 0 <= y <= full.height - height
        self._cache.drop_above(row)
        if inside and left + width <= across and top + height <= down:
            self._is_shared = self._is_shared or width != across or height != down
            frame = self._frame(row, column, shrink, once=not self._is_shared)
            if frame is None:
                return _white((height, width, 3), np.uint8)
            return frame[top : top + height, left : left + width]
        self._is_shared = True
        return self._joined(x, y, size, shrink)

    def _joined(self, x: int, y: int, size: Size, shrink: int) -> NDArray[np.uint8]:
        """Return the px of a region of several frames, or of none."""
        full, across, down = self._steps[shrink]
        left, right = max(x, 0), min(x + size.width, full.width)
        top, bottom = max(y, 0), min(y + size.height, full.height)
        if left >= right or top >= bottom:
            return _white((size.height, size.width, 3), np.uint8)
        inside = (left, top, right, bottom) == (x, y, x + size.width, y + size.height)
        pixels = (np.empty if inside else _white)((size.height, size.width, 3), np.uint8)
        for row in range(top // down, (bottom - 1) // down + 1):
            for column in range(left // across, (right - 1) // across + 1):
                x0, y0 = max(left, column * across), max(top, row * down)
                x1, y1 = min(right, (column + 1) * across), min(bottom, (row + 1) * down)
                frame = self._frame(row, column, shrink, once=False)
                part = 255 if frame is None else frame[y0 - row * down :, x0 - column * across :][: y1 - y0, : x1 - x0]
                pixels[y0 - y : y1 - y, x0 - x : x1 - x] = part
        return pixels

    @property
    def frame_size(self) -> Size:
        """The size of a frame; those at the border hold more than the level does."""
        return self._frame_size

    def forget(self) -> None:
        """Free the memory of decoded frames; those that are wanted again are decoded again."""
        self._cache.forget()
        self._is_shared = False

    def jpeg_file(self, column: int, row: int) -> bytes | None:
        """Return a stored frame as a JPEG file of its own, its coded px untouched.

        None where it can't be one, and at the border, where a frame holds more than the level does.

        Raises:
            RegionError: it can't be decoded.
        """
        frame = self._frame_size
        is_inside = (column + 1) * frame.width <= self.size.width and (row + 1) * frame.height <= self.size.height
        if self._as_file is None or not is_inside:
            return None
        try:
            return self._as_file(row * self._columns + column)
        except DECODER_FAULTS as error:
            raise RegionError(f"frame {row}, {column} can't be decoded: {error}") from error

    def inside(self, column: int, row: int) -> NDArray[np.uint8]:
        """Return the px of a frame as far as the level reaches, white where it is glass; the frame isn't kept.

        Raises:
            RegionError: it can't be decoded.
        """
        frame, size = self._frame(row, column, 1, once=True), self._frame_size
        width = min(size.width, self.size.width - column * size.width)
        height = min(size.height, self.size.height - row * size.height)
        return _white((height, width, 3), np.uint8) if frame is None else frame[:height, :width]

    def _frame(self, row: int, column: int, shrink: int, *, once: bool) -> NDArray[np.uint8] | None:
        get = self._cache.once if once else self._cache.get
        return get(row, column, shrink, self._whole)

    def _whole(self, row: int, column: int, shrink: int) -> NDArray[np.uint8] | None:
        """Return a frame at its full size, not to be written to: those at the border may be stored smaller."""
        height, width = self._frame_size.height // shrink, self._frame_size.width // shrink
        frame = self._decode(row * self._columns + column, shrink, self._cache.buffers.take)
        if frame is None:
            return None
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
    """Return the size in the head of a JPEG or of a JPEG 2000 code stream, in its boxes or bare; None for anything else."""
    stored = _code_stream(stored) if stored.startswith(_BOXES) else stored
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


def _code_stream(stored: bytes) -> bytes:
    """Return what the box of the code stream of a JP2 file holds (ITU-T T.800, I.4); nothing when it has none."""
    at = 0
    while at + 16 <= len(stored):
        length, kind, long = struct.unpack_from(">I4sQ", stored, at)
        head, length = (16, long) if length == 1 else (8, length)
        if kind == b"jp2c":
            return stored[at + head :]
        if length < head:
            break
        at += length
    return b""
