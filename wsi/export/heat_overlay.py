"""heatmap.png of a picture: the picture with what speaks for its verdict in yellow, and against it in blue."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from wsi.errors import ArtifactError
from wsi.export.colors import HEAT, heat_index
from wsi.export.explanation import signed_share
from wsi.publish import publish
from wsi.results import RESEARCH_USE

NAME = "heatmap.png"
MOST = 0.75
"""How much of a px is heat where it is strongest; where there is none the picture is as it was."""


def read_thumbnail_jpg(folder: Path) -> NDArray[np.uint8]:
    """Return thumbnail.jpg `(h, w, 3)`; ArtifactError when it is missing or damaged."""
    path = folder / "thumbnail.jpg"
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ArtifactError(f"{path}: not a thumbnail of this tool ({error}); run the image again") from error


def write_heat_overlay(folder: Path, heat: NDArray[np.float32], *, means: str) -> str:
    """Publish heatmap.png over an image's thumbnail.jpg and return its sha256.

    Args:
        heat: `(h, w)` of the thumbnail's px, above 0 for and below 0 against; NaN outside of the field of view.
        means: what heat above 0 speaks for.
    """
    return publish(folder / NAME, heat_png(read_thumbnail_jpg(folder), heat, means=means))


def heat_png(picture: NDArray[np.uint8], heat: NDArray[np.float32], *, means: str) -> bytes:
    """Return a picture `(h, w, 3)` with heat `(h, w)` on it as PNG; see `write_heat_overlay`."""
    facts = PngImagePlugin.PngInfo()
    facts.add_text("Description", RESEARCH_USE)
    facts.add_itxt("Comment", f"yellow: speaks for {means}; blue: against it; no probability")
    buffer = io.BytesIO()
    Image.fromarray(heat_on(picture, heat)).save(buffer, "PNG", pnginfo=facts)
    return buffer.getvalue()


def heat_on(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a picture `(h, w, 3)` with heat `(h, w)` on it; where it is NaN the picture is as it was."""
    share = np.nan_to_num(signed_share(heat))
    color = HEAT[heat_index(((share + 1) / 2).astype(np.float32))].astype(np.float32)
    weight = MOST * np.abs(share)[..., None]
    mixed: NDArray[np.uint8] = np.rint(picture * (1 - weight) + color * weight).astype(np.uint8)
    return mixed
