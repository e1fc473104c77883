"""mask.nii.gz: the labels of a volume on the grid that it was read on, so that any viewer lays them onto the image."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from wsi.publish import publish
from wsi.results import RESEARCH_USE, Structure
from wsi.results.mask import Mask

_NIFTI: Any = nibabel.Nifti1Image
NAME = "mask.nii.gz"
SCANNER = 1
"""NIfTI's code for world coordinates that are the scanner's."""
INTENT = 1002
"""NIFTI_INTENT_LABEL: values are labels."""
LONGEST = 79
"""Characters that a NIfTI-1 header has for a description."""


def write_nifti(path: Path, mask: Mask, structures: Sequence[Structure]) -> str:
    """Publish labels `(I, J, K)` with the affine of the image as it was read; return the file's sha256.

    0 is none, n the nth structure; the header's description names them. The same mask gives the same bytes.

    Raises:
        ValueError: not a volume.

    Source: NIfTI-1 data format; both transforms are written, the quaternion where the axes are at right angles.
    """
    if mask.labels.ndim != 3:
        raise ValueError(f"a NIfTI mask has 3 axes, found {mask.labels.ndim}")
    image: Any = _NIFTI(np.ascontiguousarray(mask.labels, np.uint8), None)
    image.header.set_xyzt_units("mm")
    image.header["intent_code"] = INTENT
    image.header["descrip"] = described(structures).encode("ascii", "replace")[:LONGEST]
    image.set_sform(mask.affine, code=SCANNER)
    image.header.set_zooms(tuple(float(step) for step in mask.steps))
    if _is_square(mask):
        image.set_qform(mask.affine, code=SCANNER)
    return publish(path, gzip.compress(image.to_bytes(), mtime=0))


def described(structures: Sequence[Structure]) -> str:
    """Return what the labels mean, as far as it fits."""
    names = ", ".join(f"{label} {one.name}" for label, one in enumerate(structures, 1))
    return f"{names}. {RESEARCH_USE}"


def _is_square(mask: Mask) -> bool:
    """Return whether the axes are at right angles: a quaternion can say no others."""
    axes = mask.affine[:3, :3] / np.linalg.norm(mask.affine[:3, :3], axis=0)
    return bool(np.allclose(axes.T @ axes, np.eye(3), atol=1e-4))
