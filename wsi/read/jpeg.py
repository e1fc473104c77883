"""JPEG frames to px: at full size, or at 1/2, 1/4 or 1/8 straight from the cosine coefficients."""

from dataclasses import dataclass
from typing import Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.geometry import Size
from wsi.read.whole_jpeg import whole_jpeg

SHRINKS = (1, 2, 4, 8)
"""By how much libjpeg can shrink as it decodes, in whole numbers that keep the px grid."""
_END_OF_IMAGE, _MARKER_BYTES = b"\xff\xd9", 2


@dataclass(frozen=True, slots=True)
class JpegFrames:
    """How a file's JPEG frames are to be read.

    tables: a stream of the tables that all frames share, as TIFF's JPEGTables has it; b"" when each brings its own.
    colors: RGB where the three samples are that though no stream says so, as in Aperio's TIFFs; else None.
    """

    tables: bytes
    colors: Literal["RGB"] | None

    def decode(
        self, stored: bytes, size: Size, *, shrink: int = 1, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Return a frame of `size` as `(height, width, 3)` RGB, each side over `shrink` and rounded up.

        At `shrink` 1 it is what libjpeg-turbo's exact integer transform gives; else the lowest 8 / shrink cosine
        terms of each block (its side 8 / shrink px).

        Args:
            out: where to put it, when the frame is known to be whole; `shrink` 1 only.

        Raises:
            ValueError, RuntimeError, OSError: it isn't a whole JPEG of that size.
        """
        if shrink == 1:
            tables = self.tables or None
            return np.asarray(
                imagecodecs.jpeg8_decode(stored, tables=tables, colorspace=self.colors, outcolorspace="RGB", out=out),
                np.uint8,
            )
        width, height = -(-size.width // shrink), -(-size.height // shrink)
        image = Image.frombytes(
            "RGB", (width, height), self._whole(stored), "jpeg", "RGB", self.colors or "", shrink, 0
        )
        return np.asarray(image)

    def as_file(self, stored: bytes, size: Size) -> bytes | None:
        """Return a frame as a JPEG file of its own; None where it can't be one (see `whole_jpeg`).

        Raises:
            ValueError, RuntimeError, OSError: its coded px are damaged.
        """
        found = whole_jpeg(stored, size, tables=self.tables, colors=self.colors)
        if found is not None:
            self.decode(stored, size, shrink=SHRINKS[-1])  # reads every code of it at a third of the cost
        return found

    def _whole(self, stored: bytes) -> bytes:
        """Return the frame with the shared tables in it."""
        if not self.tables:
            return stored
        return self.tables.removesuffix(_END_OF_IMAGE) + stored[_MARKER_BYTES:]
