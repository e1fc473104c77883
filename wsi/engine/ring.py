"""Shared memory between a decoder and the process that encodes: a few slots of tiles, and a progress sign."""

import mmap
import os
import struct
import tempfile

import numpy as np
from numpy.typing import NDArray

from wsi.geometry import Size

_HEADER = 4096
_SIGN = struct.Struct("<qq")


class Ring:
    """`slots` blocks of bytes in an unlinked file that both processes map."""

    def __init__(self, descriptor: int, *, slots: int, slot_bytes: int) -> None:
        self.descriptor = descriptor
        self.slots = slots
        self.slot_bytes = slot_bytes
        size = _HEADER + slots * slot_bytes
        if os.fstat(descriptor).st_size < size:
            os.ftruncate(descriptor, size)
        self._map = mmap.mmap(descriptor, size)

    def tiles(self, slot: int, size: Size) -> NDArray[np.uint8]:
        """Return the slot as `(B, height, width, 3)` uint8, B as many as fit; a view, not a copy."""
        one = size.area * 3
        count = self.slot_bytes // one
        flat = np.frombuffer(self._map, np.uint8, count * one, _HEADER + slot * self.slot_bytes)
        return flat.reshape(count, size.height, size.width, 3)

    @property
    def sign(self) -> tuple[int, int]:
        """(tile being read, steps done): where the decoder is, readable even after it died."""
        tile, steps = _SIGN.unpack_from(self._map)
        return tile, steps

    def mark(self, tile: int) -> None:
        """Say which tile is read next (-1: none); each call counts as progress."""
        _SIGN.pack_into(self._map, 0, tile, self.sign[1] + 1)


def shared_file() -> int:
    """Return a descriptor of an empty unlinked file in memory where the system has such, else on disk."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("wsi-tiles", 0)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
