"""Stored frames put together to what is looked at, each decoded once while there is room for it."""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from wsi.geometry import Region, Size
from wsi.read import Framed, Source

DECODED_BYTES = 256 << 20
Pixels = NDArray[np.uint8]


class ViewFrames:
    """Decoded frames of all slides that are open, the least used dropped first beyond a number of bytes."""

    def __init__(self, limit_bytes: int = DECODED_BYTES) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[tuple[int, int, int, int], Pixels] = OrderedDict()
        self.bytes = 0

    def region(self, source: Source, region: Region) -> Pixels:
        """Return px `(height, width, 3)` of a region within its level, from stored frames where they tell them.

        Raises:
            RegionError: a part of it can't be decoded.
        """
        frame = source.frame_size(region.level) if isinstance(source, Framed) else None
        if frame is None:
            return source.read_region(region)
        downsample = source.levels[region.level].downsample
        left, top = round(region.location.x / downsample), round(region.location.y / downsample)
        found = self._joined(source, region.level, frame, (left, top), region.size)
        return source.read_region(region) if found is None else found

    def forget(self, source: Source) -> None:
        """Drop the frames of a slide that is closed."""
        for key in [key for key in self._kept if key[0] == id(source)]:
            self.bytes -= self._kept.pop(key).nbytes

    def _joined(self, source: Source, level: int, frame: Size, corner: tuple[int, int], size: Size) -> Pixels | None:
        """Return px from a corner on, white beyond the level; None where a frame doesn't tell."""
        full, (left, top) = source.levels[level].size, corner
        right, bottom = min(left + size.width, full.width), min(top + size.height, full.height)
        pixels = np.full((size.height, size.width, 3), 255, np.uint8)
        for row in range(top // frame.height, -(-bottom // frame.height)):
            for column in range(left // frame.width, -(-right // frame.width)):
                part = self._frame(source, level, column, row)
                if part is None:
                    return None
                x, y = column * frame.width, row * frame.height
                x0, y0, x1, y1 = max(left, x), max(top, y), min(right, x + frame.width), min(bottom, y + frame.height)
                pixels[y0 - top : y1 - top, x0 - left : x1 - left] = part[y0 - y : y1 - y, x0 - x : x1 - x]
        return pixels

    def _frame(self, source: Source, level: int, column: int, row: int) -> Pixels | None:
        key = (id(source), level, column, row)
        found = self._kept.pop(key, None)
        if found is None:
            found = source.frame_px(level, column, row) if isinstance(source, Framed) else None
            if found is None:
                return None
            self.bytes += found.nbytes
        self._kept[key] = found
        while self.bytes > self._limit and len(self._kept) > 1:
            self.bytes -= self._kept.popitem(last=False)[1].nbytes
        return found
