"""Is it 8-bit RGB brightfield? By the header before any px is decoded, then by the look of a small picture."""

import contextlib
import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsi.errors import FormatError, ModalityError, TooLargeError
from wsi.geometry import Size
from wsi.read.frames import check_frame
from wsi.read.holes import MAX_PAGES

DARK, BRIGHT = 50, 110
MAX_DARK, MIN_BRIGHT, MIN_SIGNAL = 0.5, 0.2, 0.002
MAX_SIDE = 1 << 21
"""No scanner makes wider slides (at 0.1 µm/px this is 20 cm); a larger claim is a damaged or hostile header."""
_RGB, _PALETTE, _YCBCR = 2, 3, 6
_ALPHA = {1, 2}
"""What a fourth sample may be: alpha, associated or not."""
_KINDS = {0: "gray px", 1: "gray px", 4: "a mask", 5: "CMYK px", 8: "CIELAB px", 9: "CIELAB px", 32803: "raw sensor px"}
_SAID = re.compile(rb"\bSize([CZT])\s*=\s*[\"'](\d{1,9})[\"']")


def check_tiff(path: Path) -> None:
    """Refuse a TIFF whose header says that it isn't 8-bit RGB, or that claims an impossible size.

    Raises:
        ModalityError: 16-bit, float, gray, fluorescence or multichannel px. TooLargeError: a claim beyond sense.
        FormatError: a stack of planes or times.
    """
    page = _Header.of(path)
    if page is None:
        return
    check_side(page.size)
    for frame in page.frames:
        check_frame(frame)
    _check_samples(page)


@dataclass(frozen=True, slots=True)
class _Header:
    """What a TIFF's first page says of its px, and the sizes of the tiles of all pages."""

    size: Size
    bits: int
    is_uint8: bool
    samples: int
    kind: int
    extra: tuple[int, ...]
    said: dict[str, int]
    frames: frozenset[Size]

    @classmethod
    def of(cls, path: Path) -> "_Header | None":
        """Read it; None when tifffile can't, which is for the readers to say."""
        import tifffile

        faults = (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, TypeError, ArithmeticError)
        with contextlib.suppress(*faults), tifffile.TiffFile(path) as file:
            # Strips are left out: NDPI levels are one strip each, which OpenSlide decodes piece by piece.
            pages: list[Any] = list(itertools.islice(file.pages, MAX_PAGES))
            tiled = frozenset(Size(each.tilewidth, each.tilelength) for each in pages if each.is_tiled)
            page = pages[0]
            bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
            return cls(
                Size(page.imagewidth, page.imagelength),
                bits,
                page.dtype == np.uint8,
                page.samplesperpixel,
                int(page.photometric),
                tuple(int(sample) for sample in page.extrasamples),
                _said(page.description),
                tiled,
            )
        return None


def check_side(size: Size) -> None:
    """Refuse a slide that no scanner could have made; TooLargeError."""
    if max(size.width, size.height) > MAX_SIDE:
        raise TooLargeError(f"claims {size.width} x {size.height} px, more than any scanner makes")


def _check_samples(page: _Header) -> None:
    bits, samples, kind, said = page.bits, page.samples, page.kind, page.said
    alpha = samples == 4 and len(page.extra) == 1 and page.extra[0] in _ALPHA
    if kind == _PALETTE:
        raise ModalityError("px are numbers of a palette (a mask or a label image); expected 8-bit RGB brightfield")
    if bits != 8 or not page.is_uint8 or not (samples == 3 or alpha):
        channels = said.get("C") or samples
        raise ModalityError(
            f"{channels} channel{'s' if channels > 1 else ''} of {bits} bits; expected 8-bit RGB brightfield. "
            "Export the brightfield image from the scanner's software"
        )
    if kind not in (_RGB, _YCBCR):
        raise ModalityError(f"{_KINDS.get(kind, f'px of photometric kind {kind}')}; expected 8-bit RGB brightfield")
    if said.get("Z", 1) > 1 or said.get("T", 1) > 1:
        raise FormatError(
            f"a stack of {said.get('Z', 1)} planes and {said.get('T', 1)} times; expected one picture: export one plane"
        )


def _said(description: str) -> dict[str, int]:
    """Return the SizeC, SizeZ and SizeT of the first image in OME-XML; empty for other texts."""
    found: dict[str, int] = {}
    for axis, count in _SAID.findall(description.encode(errors="replace")):
        found.setdefault(axis.decode(), int(count))
    return found


def check_brightfield(pixels: NDArray[np.uint8], slide: str) -> None:
    """Refuse a picture that is mostly dark with some signal: fluorescence or an inverted image.

    Brightfield has a bright ground, even when it is bloody or has black borders.

    Args:
        pixels: `(h, w, 3)` of the whole slide at a low scale.

    Raises:
        ModalityError: it is not brightfield.
    """
    red, green, blue = (pixels[..., color] for color in range(3))
    signal = np.maximum(np.maximum(red, green), blue) >= DARK
    if not signal.any():
        return
    # The mean of the colors, not the brightest: a saturated dye is bright in one of them, glass and stain in two.
    dark, share = 1 - signal.mean(), (red.astype(np.uint16) + green + blue >= 3 * BRIGHT)[signal].mean()
    if dark > MAX_DARK and share < MIN_BRIGHT and signal.mean() >= MIN_SIGNAL:
        raise ModalityError(
            f"{slide}: {dark:.0%} of the picture is black and little of the rest is bright: fluorescence or an inverted "
            "image; expected brightfield"
        )
