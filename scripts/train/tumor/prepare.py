"""Encode the Pathology Atlas cohort for `wsi-run train`: as scanned, in other colors, and without nuclei.

python scripts/train/tumor/prepare.py --data DATA --out WORK

DATA is the folder that holds atlas/. WORK gets features/ (each slide, and once more as if stained elsewhere), background/
(the same tiles without nuclei), labels.csv, and scanned.csv and restained.csv, which hold a half of its lines each. Then:

cp configs/tumor-training.yaml WORK/ && cd WORK
wsi-run train labels.csv --features features --target "diagnosis:binary:not malignant,malignant" -c tumor-training.yaml -o tumor
wsi-run evaluate runs/tumor/predictions.csv --labels scanned.csv --target "diagnosis:binary:not malignant,malignant" …
"""

import argparse
import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.encode import write_features
from wsi.encode.encoder import Encoder
from wsi.encode.load import load_encoder
from wsi.train.augment import stained

ENCODER, MPP = "mobilenetv2-imagenet", 1.0
TILE_PX = 224
RESTAINED = "-restained"
COLUMNS = ("slide", "patient", "diagnosis", "organ", "mpp_source")
Tiles = NDArray[np.uint8]
Change = Callable[[Tiles, np.random.Generator], Tiles]


def as_scanned(tiles: Tiles, rng: np.random.Generator) -> Tiles:
    del rng
    return tiles


def restained(tiles: Tiles, rng: np.random.Generator) -> Tiles:
    """Return a slide's tiles with more or less of each stain, as another laboratory would have made them."""
    factors, amounts = np.exp(rng.normal(0, 0.3, 3)), rng.normal(0, 0.03, 3)
    return np.stack([stained(tile, factors, amounts) for tile in tiles])


def bloody(tiles: Tiles, rng: np.random.Generator) -> Tiles:
    """Return tiles with little hematoxylin and much eosin: what blood, clot, fibrin and muscle look like."""

    def one(tile: Tiles) -> Tiles:
        factors = np.array([rng.uniform(0.0, 0.35), rng.uniform(0.6, 1.3), np.exp(rng.normal(0, 0.25))])
        return stained(tile, factors, np.array([0.0, rng.uniform(0.15, 0.5), 0.0]))

    return np.stack([one(tile) for tile in tiles])


KINDS: tuple[tuple[str, str, int, Change], ...] = (
    ("features", "", 0, as_scanned),
    ("features", RESTAINED, 11, restained),
    ("background", "", 7, bloody),
)
"""Folder, what the slide's name gets, seed and what is done to its tiles."""


def read_tiles(path: Path) -> tuple[Tiles, NDArray[np.int32]]:
    """Return the tiles `(N, 224, 224, 3)` of a slide and their places `(N, 2)`, level-0 px of the top-left corner."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(archive.namelist())
        tiles = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    return np.stack(tiles), np.array([name.removesuffix(".jpg").split("_") for name in names]).astype(np.int32)


def write_slide(encoder: Encoder, slide: str, side_px0: float, data: Path, out: Path) -> None:
    """Write the features of a slide's tiles, changed in each way."""
    tiles, coords = read_tiles(data / "bags" / f"{slide}.zip")
    attributes = {"patch_size": TILE_PX, "patch_size_level0": round(side_px0)}
    for folder, suffix, seed, change in KINDS:
        at = out / folder / f"{slide}{suffix}.h5"
        at.parent.mkdir(parents=True, exist_ok=True)
        changed = change(tiles, np.random.default_rng([seed, zlib.crc32(slide.encode())]))
        write_features(at, coords, [encoder.encode(changed)], identity=encoder.identity, attributes=attributes)


def main() -> None:
    """Write features/, background/ and the tables of labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds atlas/")
    parser.add_argument("--out", type=Path, required=True, help="where features, background and labels go")
    chosen = parser.parse_args()
    atlas, out = chosen.data / "atlas", chosen.out
    encoder = load_encoder(ENCODER, device="cpu", threads=1, mpp=MPP)
    rows = read_table(atlas / "labels.csv")
    sides = {row["slide_id"]: float(row["side0"]) for row in read_table(atlas / "tiles.csv")}
    for row in rows:
        write_slide(encoder, row["slide_id"], sides[row["slide_id"]], atlas, out)
    scanned = [_labeled(row, "") for row in rows]
    again = [_labeled(row, RESTAINED) for row in rows]
    for name, some in (("scanned", scanned), ("restained", again), ("labels", [*scanned, *again])):
        write_table(out / f"{name}.csv", COLUMNS, some)


def _labeled(row: dict[str, str], suffix: str) -> list[str]:
    told = "malignant" if row["malignant"] == "1" else "not malignant"
    return [row["slide_id"] + suffix, row["group_id"], told, row["organ"], row["mpp_source"]]


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


if __name__ == "__main__":
    main()
