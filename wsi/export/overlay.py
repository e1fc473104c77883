"""overlay.png: the image with the structures that a model marked on it."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from wsi.export.heat_overlay import read_thumbnail_jpg
from wsi.field import Field
from wsi.printable import printable
from wsi.publish import publish
from wsi.regrid import onto
from wsi.results import RESEARCH_USE, Structure
from wsi.results.mask import Mask
from wsi.tissue.view import slices

NAME = "overlay.png"
SHARE = 0.55
"""How much of a px is the structure's color; the rest is the image below it."""

Pixels = NDArray[np.uint8]


def write_overlay(folder: Path, field: Field, mask: Mask, structures: Sequence[Structure]) -> str:
    """Publish overlay.png in an image's folder and return its sha256: a picture whole, of a volume three slices.

    Args:
        field: the image after preprocessing; a picture's own px are taken from thumbnail.jpg.
    """
    picture = _picture(folder, mask, structures) if mask.labels.ndim == 2 else _volume(field, mask, structures)
    facts = PngImagePlugin.PngInfo()
    facts.add_text("Description", RESEARCH_USE)
    facts.add_itxt("Comment", ", ".join(f"{printable(one.name)}: {one.told}" for one in structures))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", pnginfo=facts)
    return publish(folder / NAME, buffer.getvalue())


def _picture(folder: Path, mask: Mask, structures: Sequence[Structure]) -> Pixels:
    pixels = read_thumbnail_jpg(folder)
    height, width = pixels.shape[:2]
    found = pixels.astype(np.float32)
    for label, one in enumerate(structures, 1):
        is_here = Image.fromarray(np.where(mask.labels == label, np.uint8(255), np.uint8(0)))
        share = np.asarray(is_here.resize((width, height), Image.Resampling.BOX), np.float32)[..., None] / 255
        found += SHARE * share * (np.array(one.color, np.float32) - found)
    return np.rint(found).astype(np.uint8)


def _volume(field: Field, mask: Mask, structures: Sequence[Structure]) -> Pixels:
    """Return three slices through the middle of what was marked, or of the volume when nothing was."""
    volume = onto(field, mask.labels.shape, mask.affine)
    marked = np.argwhere(mask.labels)
    middle = marked.mean(axis=0) if len(marked) else np.array(mask.labels.shape) / 2
    i, j, k = (int(place) for place in middle)
    below = slices(volume.values[0], volume, (i, j, k)).astype(np.float32)
    colors = np.zeros((256, 3), np.uint8)
    for label, one in enumerate(structures, 1):
        colors[label] = one.color
    inside = slices(np.where(mask.labels[..., None] > 0, np.uint8(255), np.uint8(0)).repeat(3, -1), volume, (i, j, k))
    above = slices(colors[mask.labels], volume, (i, j, k)).astype(np.float32)
    share = inside.astype(np.float32) / 255
    return np.rint(below * (1 - SHARE * share) + SHARE * above).astype(np.uint8)
