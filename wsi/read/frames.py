"""Regions of a TIFF put together from its stored frames, so that an undecodable frame is known, never painted."""

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi.errors import RegionError, TooLargeError
from wsi.geometry import Size

CACHE_BYTES = 64 << 20
MAX_FRAME_PX = 64 << 20
"""A frame (tile or strip) is decoded whole; a larger one than this would need hundreds of MB."""


class Frames:
    """The frames of one level of a TIFF, decoded one by one and kept for a while."""

    def __init__(self, page: Any) -> None:
        """Take a tifffile page with RGB px, uint8, contiguous."""
        self._page = page
        self.size = Size(page.imagewidth, page.imagelength)
        self._width = page.tilewidth if page.is_tiled else page.imagewidth
        self._height = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
        if self._width * self._height > MAX_FRAME_PX:
            raise TooLargeError(
                f"a stored frame is {self._width} x {self._height} px, more than can be decoded at once; "
                "convert the slide to a tiled TIFF"
            )
        self._columns = -(-self.size.width // self._width)
        self._cache: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._kept = max(1, CACHE_BYTES // (self._width * self._height * 3))

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
        for row in range(top // self._height, (bottom - 1) // self._height + 1):
            for column in range(left // self._width, (right - 1) // self._width + 1):
                x0, y0 = max(left, column * self._width), max(top, row * self._height)
                x1, y1 = min(right, (column + 1) * self._width), min(bottom, (row + 1) * self._height)
                frame = self._frame(row * self._columns + column)
                pixels[y0 - y : y1 - y, x0 - x : x1 - x] = frame[
                    y0 - row * self._height : y1 - row * self._height,
                    x0 - column * self._width : x1 - column * self._width,
                ]
        return pixels

    def _frame(self, index: int) -> NDArray[np.uint8]:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        frame = self._decode(index)
        self._cache[index] = frame
        if len(self._cache) > self._kept:
            self._cache.popitem(last=False)
        return frame

    def _decode(self, index: int) -> NDArray[np.uint8]:
        page = self._page
        try:
            offset, count = page.dataoffsets[index], page.databytecounts[index]
            if count == 0:
                raise ValueError("it is empty")
            file = page.parent.filehandle
            file.seek(offset)
            stored = file.read(count)
            if len(stored) != count:
                raise ValueError("it lies beyond the end of the file")
            decoded, _, _ = page.decode(stored, index, jpegtables=page.jpegtables)
        except (ValueError, IndexError, RuntimeError, OSError, TypeError, MemoryError) as error:
            raise RegionError(f"frame {index} can't be decoded: {error}") from error
        if decoded is None:
            raise RegionError(f"frame {index} can't be decoded: it holds nothing")
        frame: NDArray[np.uint8] = np.asarray(decoded, np.uint8)[0, ..., :3]
        return self._whole(frame)

    def _whole(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame at its full size: those at the border may be stored smaller."""
        height, width = frame.shape[:2]
        if (height, width) == (self._height, self._width):
            return frame
        full = np.full((self._height, self._width, 3), 255, np.uint8)
        full[:height, :width] = frame[: self._height, : self._width]
        return full
