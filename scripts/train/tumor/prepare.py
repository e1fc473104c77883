"""Encode the Pathology Atlas cohort, and the same tiles without nuclei, for `wsi-run train`.

python scripts/train/tumor/prepare.py --data DATA --out FOLDER

DATA is the folder that holds atlas/. FOLDER gets features/, background/ and labels.csv. Then, in FOLDER:

wsi-run train labels.csv --features features --target "diagnosis:binary:not malignant,malignant" -c tumor.yaml -o MODEL
"""

import argparse
import csv
import io
import zipfile
import zlib
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
Tiles = NDArray[np.uint8]


def bloody(tile: Tiles, rng: np.random.Generator) -> Tiles:
    """Return a tile `(S, S, 3)` with little hematoxylin and much eosin: what blood, clot, fibrin and muscle look like."""
    factors = np.array([rng.uniform(0.0, 0.35), rng.uniform(0.6, 1.3), np.exp(rng.normal(0, 0.25))])
    return stained(tile, factors, np.array([0.0, rng.uniform(0.15, 0.5), 0.0]))


def read_tiles(path: Path) -> tuple[Tiles, NDArray[np.int32]]:
    """Return the tiles `(N, 224, 224, 3)` of a slide and their places `(N, 2)`, level-0 px of the top-left corner."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(archive.namelist())
        tiles = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    return np.stack(tiles), np.array([name.removesuffix(".jpg").split("_") for name in names]).astype(np.int32)


def write_slide(encoder: Encoder, slide: str, side_px0: float, data: Path, out: Path) -> None:
    """Write the features of a slide and of its tiles without nuclei."""
    tiles, coords = read_tiles(data / "bags" / f"{slide}.zip")
    rng = np.random.default_rng([7, zlib.crc32(slide.encode())])
    changed = np.stack([bloody(tile, rng) for tile in tiles])
    attributes = {"patch_size": TILE_PX, "patch_size_level0": round(side_px0)}
    for folder, some in (("features", tiles), ("background", changed)):
        at = out / folder / f"{slide}.h5"
        at.parent.mkdir(parents=True, exist_ok=True)
        write_features(at, coords, [encoder.encode(some)], identity=encoder.identity, attributes=attributes)


def main() -> None:
    """Write features/, background/ and labels.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds atlas/")
    parser.add_argument("--out", type=Path, required=True, help="where features/, background/ and labels.csv go")
    chosen = parser.parse_args()
    atlas, out = chosen.data / "atlas", chosen.out
    encoder = load_encoder(ENCODER, device="cpu", threads=1, mpp=MPP)
    rows = _table(atlas / "labels.csv")
    sides = {row["slide_id"]: float(row["side0"]) for row in _table(atlas / "tiles.csv")}
    for row in rows:
        write_slide(encoder, row["slide_id"], sides[row["slide_id"]], atlas, out)
    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["slide", "patient", "diagnosis", "organ", "mpp_source"])
        for row in rows:
            told = "malignant" if row["malignant"] == "1" else "not malignant"
            writer.writerow([row["slide_id"], row["group_id"], told, row["organ"], row["mpp_source"]])


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
