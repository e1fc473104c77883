"""explanation.png: what speaks for and against a picture's verdict, a byte a px of its thumbnail, for the review page."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from wsi.errors import ArtifactError
from wsi.publish import publish
from wsi.results import RESEARCH_USE

NAME = "explanation.png"
FULL = 99.5
"""Percentile of the heat's size that is shown as the strongest: a map's scale is its own."""
NEUTRAL = 128
"""What speaks for nothing; 1 speaks against as strongly as 255 speaks for. 0 lies outside of the field of view."""
OUTSIDE = 0
STEPS = 127
MOST_PX = 4096
"""A side of the longest that can have been written; more is damage."""


def signed_share(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return heat `(h, w)` over its own strongest, -1 (against) to 1 (for); NaN stays."""
    most = float(np.nanpercentile(np.abs(heat), FULL))
    return np.clip(heat / most, -1, 1).astype(np.float32) if most > 0 else heat * 0


def write_explanation(folder: Path, heat: NDArray[np.float32], *, means: str) -> str:
    """Publish explanation.png in an image's folder and return its sha256.

    Args:
        heat: `(h, w)` of the thumbnail's px, above 0 for and below 0 against; NaN outside of the field of view.
        means: what heat above 0 speaks for.
    """
    steps = np.nan_to_num(NEUTRAL + np.rint(signed_share(heat) * STEPS), nan=OUTSIDE)
    facts = PngImagePlugin.PngInfo()
    facts.add_text("Description", RESEARCH_USE)
    facts.add_itxt(
        "Comment", f"above {NEUTRAL}: speaks for {means}; below: against it; {OUTSIDE}: not seen; no probability"
    )
    buffer = io.BytesIO()
    Image.fromarray(steps.astype(np.uint8)).save(buffer, "PNG", pnginfo=facts)
    return publish(folder / NAME, buffer.getvalue())


def read_explanation(folder: Path) -> NDArray[np.uint8] | None:
    """Return explanation.png `(h, w)`, OUTSIDE or 1 to 255; None where there is none. ArtifactError when it is damaged."""
    path = folder / NAME
    try:
        with path.open("rb") as file, Image.open(file, formats=["PNG"]) as image:
            if image.mode != "L" or max(image.size) > MOST_PX:
                raise ArtifactError(f"{path}: not an explanation of this tool; run the image again")
            return np.asarray(image, np.uint8)
    except FileNotFoundError:
        return None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path}: damaged ({error}); run the image again") from error
