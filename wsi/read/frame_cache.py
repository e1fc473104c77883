"""Decoded frames, each decoded once and kept while tiles may still want it; their memory is used again."""

import struct
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wsi.errors import RegionError

DECODER_FAULTS = (
    ValueError,
    LookupError,
    RuntimeError,
    OSError,
    TypeError,
    AttributeError,
    MemoryError,
    ArithmeticError,
    struct.error,
)
"""What decoders raise on damaged frames."""
LAG = 16
"""Frames that are kept though nobody should want them any more: a thread may lag behind the others."""
MAX_LOOSE = 16
"""Frames' memory held for the next ones. New memory costs a quarter of what decoding a frame into it does."""

Pixels = NDArray[np.uint8]
Memory = Callable[[int, int], Pixels]
"""(height, width) to `(height, width, 3)` of any content, to be written to."""
Decode = Callable[[int, int, int], Pixels | None]
"""(row, column, shrink) to a frame; None is glass."""


def new_pixels(height: int, width: int) -> Pixels:
    """Return `(height, width, 3)` uint8 of any content."""
    return np.empty((height, width, 3), np.uint8)


class Buffers:
    """Memory of frames that nobody looks at any more. It is taken and given by single steps of a list, which any number
    of threads may do."""

    def __init__(self) -> None:
        self._loose: list[Pixels] = []

    def take(self, height: int, width: int) -> Pixels:
        """Return `(height, width, 3)` uint8 of any content."""
        for _ in range(2):
            try:
                found = self._loose.pop()
            except IndexError:
                break
            if found.shape == (height, width, 3) and sys.getrefcount(found) == 2:  # `found` and the argument
                found.flags.writeable = True
                return found
        return new_pixels(height, width)

    def give(self, pixels: Pixels | None) -> None:
        """Take memory back; it is used again once the last view of it is gone."""
        if pixels is not None and pixels.base is None and len(self._loose) < MAX_LOOSE:
            self._loose.append(pixels)


class _Slot:
    """A frame that one thread decodes while the others that want it wait."""

    __slots__ = ("error", "pixels", "ready")

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.pixels: Pixels | None = None
        self.error: Exception | None = RuntimeError("its decoding broke off")


class FrameCache:
    """Frames by row, column and shrink, the ones not wanted for longest forgotten first. For any number of threads."""

    def __init__(self, room: int) -> None:
        """Take how many frames at full size are kept at most."""
        self._room = max(1, room)
        self._slots: OrderedDict[tuple[int, int, int], _Slot] = OrderedDict()
        self._held = 0.0
        """What the slots take, in frames at full size."""
        self._lock = threading.Lock()
        self.buffers = Buffers()

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, row: int, column: int, shrink: int, decode: Decode) -> Pixels | None:
        """Return a frame, decoded by `decode` when it isn't here: not to be written to; None is glass.

        Raises:
            RegionError: it can't be decoded, now or before.
        """
        key = (row, column, shrink)
        with self._lock:
            slot = self._slots.get(key)
            is_mine = slot is None
            if slot is None:
                slot = self._slots[key] = _Slot()
                self._held += 1 / shrink**2
                while self._held > self._room:
                    self._forget_oldest()
            else:
                self._slots.move_to_end(key)
        if is_mine:
            try:
                slot.pixels, slot.error = decode(row, column, shrink), None
            except DECODER_FAULTS as error:
                slot.error = error
            finally:
                slot.ready.set()
        slot.ready.wait()
        if slot.error is not None:
            raise RegionError(f"frame {row}, {column} can't be decoded: {slot.error}") from slot.error
        return slot.pixels

    def once(self, row: int, column: int, shrink: int, decode: Decode) -> Pixels | None:
        """Return a frame as `get` does, for the only one who wants it: it isn't kept."""
        if (row, column, shrink) in self._slots:
            return self.get(row, column, shrink, decode)
        try:
            pixels = decode(row, column, shrink)
        except DECODER_FAULTS as error:
            raise RegionError(f"frame {row}, {column} can't be decoded: {error}") from error
        self.buffers.give(pixels)
        return pixels

    def drop_above(self, row: int) -> None:
        """Forget frames above a row, as far as they are the ones not wanted for longest, but for the LAG last ones."""
        if len(self._slots) <= LAG:
            return
        with self._lock:
            while len(self._slots) > LAG and next(iter(self._slots))[0] < row:
                self._forget_oldest()

    def forget(self) -> None:
        """Forget all frames, and give their memory back to the system."""
        with self._lock:
            self._slots.clear()
            self._held = 0.0
            self.buffers = Buffers()

    def _forget_oldest(self) -> None:
        (_, _, shrink), slot = self._slots.popitem(last=False)
        self._held -= 1 / shrink**2
        self.buffers.give(slot.pixels)
