"""Labels of models/skin-lesion, from HAM10000's: `skin.py FOLDER WORK`, FOLDER with labels.csv (isic_id, lesion_id, melanoma).

Then: wsi-run finetune WORK/labels.csv --pictures FOLDER -c configs/skin.yaml -o models/skin-lesion
"""

import csv
import sys
from pathlib import Path


def main(folder: Path, work: Path) -> None:
    """Write labels.csv; pictures of one lesion stay together."""
    work.mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        told = list(csv.DictReader(file))
    rows = [[one["isic_id"], one["lesion_id"], "melanoma" if one["melanoma"] == "1" else "other"] for one in told]
    with (work / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", "lesion", "diagnosis"], *rows])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
