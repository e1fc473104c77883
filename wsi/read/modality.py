"""Is it 8-bit RGB brightfield? By the header before any px is decoded, then by the look of a small picture."""

import contextlib
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.errors import ModalityError, TooLargeError

DARK, BRIGHT = 50, 150
MAX_DARK, MIN_BRIGHT, MIN_SIGNAL = 0.5, 0.2, 0.002
MAX_SIDE = 1 << 21
"""No scanner makes wider slides (at 0.1 µm/px this is 20 cm); a larger claim is a damaged or hostile header."""
_COLOR = {2, 5, 6, 8, 34712, 33003, 33005}
"""TIFF photometric interpretations with color; 0 and 1 are gray, 3 a palette."""
_CHANNELS = re.compile(rb"SizeC\s*=\s*[\"'](\d+)[\"']")


def check_tiff(path: Path) -> None:
    """Refuse a TIFF whose header says that it isn't 8-bit RGB, or that claims an impossible size.

    Raises:
        ModalityError: 16-bit, float, gray, fluorescence or multichannel px. TooLargeError: a claim beyond sense.
    """
    import tifffile

    faults = (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, TypeError, ArithmeticError)
    with contextlib.suppress(*faults), tifffile.TiffFile(path) as file:
        page = file.pages[0]
        if max(page.imagewidth, page.imagelength) > MAX_SIDE:  # type: ignore[union-attr]
            raise TooLargeError(f"claims {page.imagewidth} x {page.imagelength} px, more than any scanner makes")  # type: ignore[union-attr]
        bits = page.bitspersample  # type: ignore[union-attr]
        samples, photometric = page.samplesperpixel, int(page.photometric)  # type: ignore[union-attr]
        if bits != 8 or samples not in (3, 4) or page.dtype != np.uint8:  # type: ignore[union-attr]
            channels = _ome_channels(file.pages[0].description) or samples  # type: ignore[union-attr]
            raise ModalityError(
                f"{channels} channel{'s' if channels > 1 else ''} of {bits} bits; expected 8-bit RGB brightfield. "
                "Export the brightfield image from the scanner's software"
            )
        if photometric == 3:
            raise ModalityError("px are numbers of a palette (a mask or a label image); expected 8-bit RGB brightfield")


def _ome_channels(description: str) -> int:
    found = _CHANNELS.search(description.encode(errors="replace"))
    return int(found[1]) if found else 0


def check_brightfield(pixels: NDArray[np.uint8], slide: str) -> None:
    """Refuse a picture that is mostly dark with some signal: fluorescence or an inverted image.

    Brightfield has a bright ground, even when it is bloody or has black borders.

    Args:
        pixels: `(h, w, 3)` of the whole slide at a low scale.

    Raises:
        ModalityError: it is not brightfield.
    """
    light = pixels.max(axis=2)
    signal = light >= DARK
    if not signal.any():
        return
    dark, share = 1 - signal.mean(), (light[signal] >= BRIGHT).mean()
    if dark > MAX_DARK and share < MIN_BRIGHT and signal.mean() >= MIN_SIGNAL:
        raise ModalityError(
            f"{slide}: {dark:.0%} of the picture is black and little of the rest is bright: fluorescence or an inverted "
            "image; expected brightfield"
        )
