"""JPEG frames to px: at full size, or at 1/2, 1/4 or 1/8 straight from the cosine coefficients."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from wsi.geometry import Size
from wsi.read.frame_cache import Memory, new_pixels
from wsi.read.whole_jpeg import SAYS_RGB, whole_jpeg

SHRINKS = (1, 2, 4, 8)
"""By how much libjpeg can shrink as it decodes, in whole numbers that keep the px grid."""
_START, _END = b"\xff\xd8", b"\xff\xd9"
_PADDING = 2
"""Bytes that may follow a frame's end: DICOM's are of even length."""


@dataclass(frozen=True)
class JpegFrames:
    """How a file's JPEG frames are to be read.

    tables: a stream of the tables that all frames share, as TIFF's JPEGTables has it; b"" when each brings its own.
    colors: RGB where the three samples are that though no stream says so, as in Aperio's TIFFs; else None.
    """

    tables: bytes
    colors: Literal["RGB"] | None

    def decode(self, stored: bytes, size: Size, memory: Memory = new_pixels, *, shrink: int = 1) -> NDArray[np.uint8]:
        """Return a frame of at most `size` as `(height, width, 3)` RGB, each side over `shrink` and rounded up.

        At `shrink` 1 it is what libjpeg-turbo's exact integer transform gives; else the lowest 8 / shrink cosine
        terms of each block (its side 8 / shrink px). A frame that is cut off or broken is refused, though libjpeg would
        paint the rest of it gray.

        Args:
            memory: (height, width) to where a frame of `size` is put.

        Raises:
            ValueError: it isn't a whole JPEG, or claims more px than `size`.
        """
        height, width = -(-size.height // shrink), -(-size.width // shrink)
        pixels = memory(height, width)
        scaled = {} if shrink == 1 else {"min_height": height, "min_width": width, "min_factor": shrink}
        found = simplejpeg.decode_jpeg(self._whole(stored), "RGB", buffer=pixels, **scaled)
        return pixels if found.shape == pixels.shape else found

    def as_file(self, stored: bytes, size: Size) -> bytes | None:
        """Return a frame as a JPEG file of its own; None where it can't be one (see `whole_jpeg`).

        Raises:
            ValueError: its coded px are damaged.
        """
        found = whole_jpeg(stored, size, tables=self.tables, colors=self.colors)
        if found is not None:
            self.decode(stored, size, shrink=SHRINKS[-1])  # reads every code of it at a third of the cost
        return found

    def _whole(self, stored: bytes) -> bytes:
        """Return the frame as a stream of its own: with the shared tables, the word on its colors, and an end."""
        if stored.find(_END, len(stored) - len(_END) - _PADDING) < 0:
            stored += _END
        return self._head + stored[len(_START) :] if self._head else stored

    @cached_property
    def _head(self) -> bytes:
        """What stands before a frame's own segments; nothing where it brings all of them."""
        said = SAYS_RGB if self.colors == "RGB" else b""
        return _START + said + self.tables[len(_START) :].removesuffix(_END) if said or self.tables else b""
