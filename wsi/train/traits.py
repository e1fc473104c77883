"""Traits of a case that say nothing of a disease, but may tell the label all the same."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from wsi.errors import ArtifactError, LabelsError, WsiError
from wsi.hdf5 import read_arrays
from wsi.publish import sha256_file
from wsi.table import SHOWN
from wsi.train.locate import BagFile, open_archive
from wsi.train.look import Looked
from wsi.train.pictures import Picture, detail_of, equal_files, near_pictures, read_picture
from wsi.train.rows import Entry

BORDER = 1 / 14
"""Width of a picture's border, as a share of its shorter side: 16 of 224 px."""


def picture_traits(picture: Picture) -> dict[str, tuple[float, ...]]:
    """Return the mean color of the whole picture and of its border (RGB, 0 to 1), and the logs of its sizes."""
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    edge = max(1, round(min(height, width) * BORDER))
    inside = np.ones((height, width), bool)
    inside[edge : height - edge, edge : width - edge] = False
    return {
        "mean color": tuple((pixels.mean(axis=(0, 1)) / 255).tolist()),
        "border color": tuple((pixels[inside].mean(axis=0) / 255).tolist()),
        "picture size": (math.log(width), math.log(height)),
        "file size": (math.log(max(picture.file_bytes, 1)),),
    }


def bag_traits(bag: BagFile) -> dict[str, tuple[float, ...]]:
    """Return the logs of a bag's number of tiles, and of the slide's size and scale where the file says them.

    Raises:
        ArtifactError: not such a file.
    """
    if bag.bag is not None:
        return {"bag size": (math.log(max(int((open_archive(bag.path)["bag"] == bag.bag).sum()), 1)),)}
    with read_arrays(bag.path) as file:
        if "coords" not in file:
            raise ArtifactError(f"{bag.path}: has no dataset 'coords'; expected features and coords")
        coords = file["coords"]
        told = {name: coords.attrs[name] for name in _TOLD if name in coords.attrs}
        tiles = coords.shape[-2] if coords.ndim >= 2 else 0
    numbers = {name: float(value) for name, value in told.items() if np.ndim(value) == 0 and np.isreal(value)}
    found: dict[str, tuple[float, ...]] = {"bag size": (math.log(max(tiles, 1)),)}
    for trait, names in (("slide size", _TOLD[:2]), ("slide scale", _TOLD[2:3])):
        if all(numbers.get(name, 0.0) > 0 for name in names):
            found[trait] = tuple(math.log(numbers[name]) for name in names)
    return found


_TOLD = ("level0_width", "level0_height", "slide_mpp_x")


class TraitReader:
    """Looks at every picture of a cohort once; keeps its traits and finds copies."""

    def __init__(self, traits_of: Callable[[Picture], dict[str, tuple[float, ...]]] = picture_traits) -> None:
        self._traits_of = traits_of
        self.traits: dict[str, dict[str, tuple[float, ...]]] = {}

    def __call__(self, entries: Sequence[Entry]) -> Looked:
        """Read the pictures of all entries.

        Raises:
            LabelsError: pictures can't be read; all together.
        """
        names, details, digests, damaged = [], [], [], []
        for entry in entries:
            assert entry.bag is not None
            try:
                picture = read_picture(entry.bag.path)
            except WsiError as error:
                damaged.append(str(error))
                continue
            self.traits[entry.slide] = self._traits_of(picture)
            names.append(entry.slide)
            details.append(detail_of(picture.pixels))
            digests.append(sha256_file(entry.bag.path))
        if damaged:
            rest = f"\n  … and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else ""
            raise LabelsError("\n  ".join(damaged[:SHOWN]) + rest)
        same = list(equal_files(names, digests))
        copies = {pair.slides[1] for pair in same}
        rest_of = [at for at, name in enumerate(names) if name not in copies]
        near = near_pictures([names[at] for at in rest_of], _stacked([details[at] for at in rest_of]))
        return Looked({}, [*same, *near])


def _stacked(details: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.stack(details) if details else np.zeros((0, 1, 1), np.float32)
