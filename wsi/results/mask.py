"""mask.h5: which structure each sample of an image belongs to, and how much of each there is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wsi import card_image
from wsi.card_image import Foreground
from wsi.errors import ArtifactError
from wsi.hdf5 import read_arrays, whole, write_arrays
from wsi.results.image import Structure

FORMAT = "wsi-mask/1"


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Labels of an image as it was read.

    labels `(*shape)` uint8, 0 for none; affine `(N + 1, N + 1)` from an index to the world; steps between samples along
    each axis, in `unit`.
    """

    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
    steps: tuple[float, ...]
    axes: tuple[str, ...]
    unit: str

    def __post_init__(self) -> None:
        count = self.labels.ndim
        if (len(self.steps), len(self.axes)) != (count, count) or self.affine.shape != (count + 1, count + 1):
            raise ValueError(f"labels of {count} axes with steps {self.steps} and affine {self.affine.shape}")


_SHARE_OF: dict[Foreground, Literal["image", "field of view", "body"]] = {
    "all": "image",
    "field-of-view": "field of view",
    "body": "body",
}


def amounts(
    mask: Mask,
    structures: Sequence[card_image.Structure],
    *,
    foreground: float,
    where: Foreground = "all",
    spacing: Sequence[float] | None = None,
) -> list[Structure]:
    """Return how much of each structure of a card there is.

    Args:
        foreground: share of the image's samples that are foreground, for amounts that are a share of it.
        where: what the card takes for foreground.
        spacing: mm between a picture's samples along each axis; None: its file doesn't say, and areas are told in px.
    """
    # A slice at a time, for bincount takes 8 bytes a sample.
    counted = [np.bincount(part.reshape(-1), minlength=len(structures) + 1) for part in mask.labels]
    counts = np.sum(counted, axis=0)[1:]
    mm = mask.steps if mask.unit == "mm" else spacing
    sample = math.prod(mm or ())
    found = []
    for structure, count in zip(structures, counts.tolist(), strict=True):
        unit = "px" if structure.unit == "mm2" and mm is None else structure.unit
        factor = {
            "px": 1.0,
            "mm2": sample,
            "ml": sample / 1000,
            "share": 1 / max(1.0, mask.labels.size * foreground),
        }[unit]
        found.append(
            Structure(
                name=structure.name,
                color=list(structure.color),
                code=structure.code,
                meaning=structure.meaning,
                samples=count,
                amount=count * factor,
                unit=unit,
                share_of=_SHARE_OF[where],
            )
        )
    return found


def write_mask(path: Path, mask: Mask) -> str:
    """Publish mask.h5 and return its sha256."""
    arrays = {"labels": whole(mask.labels), "affine": whole(mask.affine), "steps": whole(np.array(mask.steps))}
    return write_arrays(path, arrays, {"format": FORMAT, "axes": " ".join(mask.axes), "unit": mask.unit})


def read_mask(path: Path) -> Mask:
    """Read mask.h5; ArtifactError when it is damaged or not one."""
    with read_arrays(path) as file:
        if file.attrs.get("format") != FORMAT:
            raise ArtifactError(f"{path}: not a mask of this tool")
        return Mask(
            np.asarray(file["labels"][:], np.uint8),
            np.asarray(file["affine"][:], np.float64),
            tuple(float(step) for step in file["steps"][:]),
            tuple(str(file.attrs["axes"]).split()),
            str(file.attrs["unit"]),
        )
