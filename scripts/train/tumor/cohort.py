"""The data that the model is made of: tiles with the label, the case and the group they belong to."""

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE_PX = 224
ORGANS = {
    **dict.fromkeys(("colon", "duodenum", "stomach", "appendix", "small intestine"), "tract"),
    **dict.fromkeys(("liver", "gallbladder", "pancreas"), "hpb"),
    **dict.fromkeys(("brain", "meninges"), "cns"),
}
"""The cohort's organ groups; any other organ is "other"."""
Tiles = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Bag:
    """The tiles of one slide (or one labeled image) and what is known of it."""

    id: str
    group: str
    """Bags of one group may be one patient: they are never on both sides of a split."""
    malignant: bool
    organ: str
    known_mpp: bool
    """The scanner wrote its pixel size; else it was guessed and may be off by 1.5 times."""
    files: tuple[tuple[Path, str], ...]
    """Each tile's file, and its name inside it when that is a zip."""
    shrink: int = 1
    """How many times smaller the file's image must be made."""

    def tiles(self) -> Tiles:
        """Return all tiles, `(N, 224, 224, 3)` uint8 RGB at about 1.0 µm per px."""
        return np.concatenate([_read(path, member, self.shrink) for path, member in self.files])


def atlas(folder: Path) -> list[Bag]:
    """Return the slides of the atlas cohort, sorted by id."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["slide_id"])
    bags = []
    for row in rows:
        path = folder / "bags" / f"{row['slide_id']}.zip"
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
        bags.append(
            Bag(
                id=row["slide_id"],
                group=row["group_id"],
                malignant=row["malignant"] == "1",
                organ=ORGANS.get(row["organ"], "other"),
                known_mpp=row["mpp_source"] != "guess",
                files=tuple((path, name) for name in names),
            )
        )
    return bags


def labeled_images(folder: Path, *, group: str, shrink: int, per_group: int) -> list[Bag]:
    """Return a folder of labeled images with a labels.csv as bags of one image, a few of each group.

    Args:
        group: the column that holds the group.
        shrink: how many times smaller an image must be made to be at about 1.0 µm per px.
        per_group: at most so many images of each group and label (LC25000 holds augmented copies).
    """
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    taken: dict[tuple[str, str], int] = {}
    bags = []
    for row in rows:
        key = row["label"], row[group]
        if taken.get(key, 0) >= per_group:
            continue
        taken[key] = taken.get(key, 0) + 1
        path = folder / row["file"]
        bags.append(
            Bag(
                id=path.stem,
                group=f"{folder.name}/{row[group]}",
                malignant=row["label"] != "benign",
                organ=folder.name,
                known_mpp=False,
                files=((path, ""),),
                shrink=shrink,
            )
        )
    return bags


def _read(path: Path, member: str, shrink: int) -> Tiles:
    if member:
        with zipfile.ZipFile(path) as archive:
            image = Image.open(io.BytesIO(archive.read(member))).convert("RGB")
        return np.asarray(image)[None]
    return _shrunk(Image.open(path).convert("RGB"), shrink)


def _shrunk(image: Image.Image, times: int) -> Tiles:
    """Return the smaller image as tiles from its corners, mirrored where it doesn't fill a tile."""
    small = np.asarray(image.resize((image.width // times, image.height // times), Image.Resampling.BOX))
    short = [max(TILE_PX - side, 0) for side in small.shape[:2]]
    small = np.pad(small, ((0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
    rows, columns = (sorted({0, side - TILE_PX}) for side in small.shape[:2])
    return np.stack([small[y : y + TILE_PX, x : x + TILE_PX] for y in rows for x in columns])
