"""PNG, JPEG and kin: a slide with one level, held in memory."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.errors import FormatError, ModalityError, TooLargeError, UnreadableError
from wsi.geometry import Bounds, Level, Mpp, Point, Region, Size
from wsi.printable import told_of
from wsi.read.sniff import read_head

NAME = "image"
MAX_PX = 64 << 20
"""These formats are decoded whole, twice over in memory; beyond this (0.5 GB) a pyramid is the right file."""
_RGB = {"RGB", "RGBA"}
_DEEP_PNG = slice(24, 25), b"\x10"
"""Where a PNG says that it has 16 bits, of which Pillow would drop eight."""


class ImageSource:
    """An image file that Pillow decodes."""

    reader = NAME
    properties: Mapping[str, str] = {}
    metadata_mpp: Mpp | None = None
    """The dpi of photographs is a printer's, not a microscope's: it is not taken for a scale."""

    def __init__(self, path: Path) -> None:
        self._pixels = _decoded(path)
        height, width = self._pixels.shape[:2]
        self.levels = (Level(Size(width, height), 1.0),)
        self.bounds = Bounds(Point(0, 0), Size(width, height))

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        x, y, size = region.location.x, region.location.y, region.size
        height, width = self._pixels.shape[:2]
        found = np.full((size.height, size.width, 3), 255, np.uint8)
        left, right, top, bottom = max(x, 0), min(x + size.width, width), max(y, 0), min(y + size.height, height)
        if left < right and top < bottom:
            found[top - y : bottom - y, left - x : right - x] = self._pixels[top:bottom, left:right]
        return found

    def close(self) -> None:
        self._pixels = self._pixels[:0]


def _decoded(path: Path) -> NDArray[np.uint8]:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # checked here, by name and with a next step
    try:
        with Image.open(path) as image:
            _check(image, path)
            image.load()
            if image.mode == "RGB" and "transparency" not in image.info:
                return np.asarray(image)
            clear = image if image.mode == "RGBA" else image.convert("RGBA")
            ground = Image.new("RGB", image.size, (255, 255, 255))
            ground.paste(clear, mask=clear)
            return np.asarray(ground)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        if isinstance(error, ModalityError | FormatError | TooLargeError):
            raise
        raise UnreadableError(f"image: {told_of(path, error)}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PX:
        raise TooLargeError(
            f"image: {image.width} x {image.height} px in a format that must be decoded whole; convert it to a "
            "pyramidal TIFF"
        )
    if getattr(image, "n_frames", 1) > 1:
        raise FormatError("image: an animation or a stack of several pages; expected one picture")
    where, sixteen = _DEEP_PNG
    if image.format == "PNG" and read_head(path)[where] == sixteen:
        raise ModalityError("image: 16 bits a channel; expected 8-bit RGB brightfield")
    if image.mode not in _RGB:
        raise ModalityError(f"image: px of kind {image.mode}; expected 8-bit RGB brightfield")
