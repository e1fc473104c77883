"""All files for people and other tools of one image that was read whole."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from wsi.export.explanation import read_explanation
from wsi.export.image_geojson import write_image_geojson
from wsi.export.slide import objects_name
from wsi.publish import publish
from wsi.results import Case, Decision, Structure
from wsi.results.mask import Mask, read_mask

MASK = "mask.png"


def export_image(case: Case, *, decisions: Sequence[Decision] = ()) -> dict[str, str]:
    """Write an image's files into its folder and return their sha256 by name.

    A picture gets objects for QuPath, and mask.png where structures were marked; a volume the formats of radiology.

    Args:
        decisions: what each person said last about the image; their shapes on a picture come along.

    Raises:
        ArtifactError: a file that these are made from is missing or damaged.
    """
    image = case.result.image
    if image is None or not case.result.has_verdict:
        return {}
    path = case.folder / "mask.h5"
    mask = read_mask(path) if path.is_file() else None
    made: dict[str, str] = {}
    if len(image.shape) == 2:
        name = objects_name(case.result.path)
        labels = None if mask is None else mask.labels
        made[name] = write_image_geojson(
            case.folder / name,
            case.result,
            case.scores,
            labels,
            explanation=read_explanation(case.folder) if image.explained else None,
            decisions=decisions,
        )
        if mask is not None:
            made[MASK] = publish(case.folder / MASK, mask_png(mask, case.result.structures))
    elif mask is not None:
        from wsi.export.nifti_file import NAME, write_nifti  # loads nibabel, which pictures have no use for

        made[NAME] = write_nifti(case.folder / NAME, mask, case.result.structures)
    return made


def mask_png(mask: Mask, structures: list[Structure]) -> bytes:
    """Return labels `(height, width)` as a PNG whose px are the labels, shown in the structures' colors."""
    picture = Image.fromarray(mask.labels)
    palette = np.zeros((256, 3), np.uint8)
    for label, one in enumerate(structures, 1):
        palette[label] = one.color
    picture.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
