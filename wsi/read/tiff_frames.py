"""The frames of a TIFF page, decoded one by one: JPEG by libjpeg-turbo alone, the rest as tifffile does."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi.errors import FormatError
from wsi.geometry import Size
from wsi.read.frame_cache import Memory
from wsi.read.frames import Frames, check_stored
from wsi.read.jpeg import SHRINKS, JpegFrames
from wsi.read.stored import StoredFrames

_RGB, _YCBCR = 2, 6
_JPEG = 7
ASSOCIATED = 1
"""The extra sample is alpha, and the colors are multiplied by it (TIFF 6.0, section 18)."""
_CONVERTED = {6, 7}
"""Compressions whose decoder turns YCbCr into RGB: the two kinds of JPEG."""


def tiff_frames(page: Any, stored: StoredFrames) -> Frames:
    """Return the frames of a tifffile page, whose bytes are `stored`.

    Raises:
        FormatError: they aren't 8-bit RGB as we can decode it.
    """
    _check(page)
    size, frame, jpeg = Size(page.imagewidth, page.imagelength), stored.size, _jpeg(page)

    def decode(index: int, shrink: int, memory: Memory) -> NDArray[np.uint8] | None:
        found = stored.read(index)
        if found is None:
            return None
        if jpeg is not None:
            return jpeg.decode(found, frame, memory, shrink=shrink)
        check_stored(found, frame)
        decoded, _, _ = page.decode(found, index, jpegtables=page.jpegtables)
        if decoded is None:
            raise ValueError("it holds nothing")
        return on_white(np.asarray(decoded, np.uint8)[0], is_multiplied=ASSOCIATED in page.extrasamples)

    if jpeg is None or not page.is_tiled:
        return Frames(size, frame, decode)

    def as_file(index: int) -> bytes | None:
        found = stored.read(index)
        return None if found is None else jpeg.as_file(found, frame)

    return Frames(size, frame, decode, shrinks=SHRINKS, as_file=as_file)


def _check(page: Any) -> None:
    if page.planarconfig != 1 or page.samplesperpixel not in (3, 4) or page.dtype != np.uint8:
        stored = "apart" if page.planarconfig != 1 else "together"
        raise FormatError(
            f"tiffslide: px of {page.samplesperpixel} x {page.dtype}, stored {stored}; "
            "expected 8-bit RGB, stored together"
        )
    if page.photometric == _YCBCR and page.compression not in _CONVERTED:
        raise FormatError("tiffslide: YCbCr px without JPEG; export the slide as RGB")


def _jpeg(page: Any) -> JpegFrames | None:
    """Return how the page's frames are decoded; None when they aren't JPEG of three samples."""
    if page.compression != _JPEG or page.samplesperpixel != 3 or page.photometric not in (_RGB, _YCBCR):
        return None
    # A stream with a JFIF marker holds YCbCr whatever the tag says: QuPath writes such.
    return JpegFrames(page.jpegtables or b"", "RGB" if page.photometric == _RGB and not page.is_jfif else None)


def on_white(pixels: NDArray[np.uint8], *, is_multiplied: bool) -> NDArray[np.uint8]:
    """Return `(h, w, 3)`: of `(h, w, 4)` px the fourth is alpha, and they are laid on white.

    Args:
        is_multiplied: the colors hold their share already (associated alpha, TIFF 6.0, section 18).
    """
    if pixels.shape[2] == 3:
        return pixels
    color, alpha = pixels[..., :3].astype(np.uint16), pixels[..., 3:].astype(np.uint16)
    if is_multiplied:
        return np.asarray(np.minimum(color + 255 - alpha, 255), np.uint8)
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
