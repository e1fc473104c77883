"""Pictures small enough to stand inside the report."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

WHOLE_BYTES = 60_000_000
"""All pictures of a report together: what a browser still opens at once."""
LEAST_BYTES, MOST_BYTES = 55_000, 400_000
"""Of one slide. Beyond WHOLE_BYTES / LEAST_BYTES slides, the least suspicious have no pictures."""
_HEATMAP_SHARE = 0.7
_QUALITIES = (80, 62, 42)
_BYTES_A_PX = 0.16
"""Of tissue with heat at the best quality: a picture of as many px as fit is tried first."""
_SMALLEST_PX = 120


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes that one slide's heatmap and strip of tiles may take; 0: no pictures."""

    heatmap: int
    strip: int


def budget(slides: int, place: int) -> Budget:
    """Return what the slide at `place` (from 0) of the report may take."""
    each = min(MOST_BYTES, max(LEAST_BYTES, WHOLE_BYTES // max(1, slides)))
    if (place + 1) * each > WHOLE_BYTES:
        return Budget(0, 0)
    return Budget(int(each * _HEATMAP_SHARE), int(each * (1 - _HEATMAP_SHARE)))


def embedded(path: Path, most_bytes: int, *, longest_px: int) -> str | None:
    """Return the picture as a JPEG data URI of at most `most_bytes`, None where there is none or it is damaged."""
    if not most_bytes:
        return None
    try:
        with Image.open(path, formats=["JPEG", "PNG"]) as image:
            longest = min(longest_px, _longest(image.size, most_bytes * 3 // 4))
            image.thumbnail((longest, longest), Image.Resampling.BICUBIC, reducing_gap=2.0)
            picture = image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(_jpeg(picture, most_bytes * 3 // 4)).decode()


def _longest(size: tuple[int, int], most_bytes: int) -> int:
    """Return the longest side of a picture of this shape whose JPEG likely fits."""
    zoom = (most_bytes / _BYTES_A_PX / (size[0] * size[1])) ** 0.5
    return max(_SMALLEST_PX, int(zoom * max(size)))


def _jpeg(picture: Image.Image, most_bytes: int) -> bytes:
    """Return a JPEG of at most `most_bytes`: first coarser, then smaller."""
    while True:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=quality)
            if buffer.tell() <= most_bytes:
                return buffer.getvalue()
        if max(picture.size) <= _SMALLEST_PX:
            return buffer.getvalue()
        picture = picture.resize((max(1, picture.width * 3 // 4), max(1, picture.height * 3 // 4)))
