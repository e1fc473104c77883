"""Pictures as a worse camera, other light or a smaller file would have given them: how much a model then loses.

All changes are made to a picture as it is read, before any preprocessing, and always in the same way.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels], Pixels]


def tinted(pixels: Pixels) -> Pixels:
    """Return a picture `(h, w, 3)` with 15 % more red and 15 % less blue."""
    return _bytes(pixels * np.array([1.15, 1.0, 0.85]))


def darker(pixels: Pixels) -> Pixels:
    """Return a picture whose values are 0.7 of what they were."""
    return _bytes(pixels * np.float64(0.7))


def blurred(pixels: Pixels) -> Pixels:
    """Return a picture blurred by a Gaussian of 1 / 150 of its longer side."""
    image = Image.fromarray(pixels)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(max(image.size) / 150)))


def compressed(pixels: Pixels) -> Pixels:
    """Return a picture that went through a JPEG file of quality 25."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=25)
    with Image.open(file) as image:
        return np.asarray(image)


def smaller(pixels: Pixels) -> Pixels:
    """Return a picture of half the px along each side."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BOX))


def _bytes(values: NDArray[np.float64]) -> Pixels:
    found: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return found


SHIFTS: Mapping[str, Change] = {
    "redder": tinted,
    "darker": darker,
    "blurred": blurred,
    "as JPEG of quality 25": compressed,
    "of half the px": smaller,
}
"""By what a reader is told."""
