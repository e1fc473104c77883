"""Pictures and labels of models/chest-xray, from the arrays of PneumoniaMNIST: `chest.py pneumoniamnist.npz WORK`.

Then: wsi-run finetune WORK/labels.csv --pictures WORK/pictures -c configs/chest.yaml -o models/chest-xray
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

PARTS = ("train", "val")


def main(archive: Path, work: Path) -> None:
    """Write a PNG for each picture of the training and validation part, and labels.csv; patients aren't told there."""
    (work / "pictures").mkdir(parents=True, exist_ok=True)
    rows = []
    with np.load(archive, allow_pickle=False) as arrays:
        for part in PARTS:
            for n, (picture, label) in enumerate(
                zip(arrays[f"{part}_images"], arrays[f"{part}_labels"].ravel(), strict=True)
            ):
                name = f"{part}-{n:04d}"
                Image.fromarray(picture).save(work / "pictures" / f"{name}.png")
                rows.append([name, name, "pneumonia" if label else "normal"])
    with (work / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", "patient", "finding"], *rows])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
