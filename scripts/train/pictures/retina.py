"""Labels of models/retina-dr, from IDRiD's: `retina.py FOLDER WORK`, FOLDER with labels.csv (name, dr_grade, dme_risk).

Then: wsi-run finetune WORK/labels.csv --pictures FOLDER -c configs/retina.yaml -o models/retina-dr
"""

import csv
import sys
from pathlib import Path

REFERABLE = 2
"""Moderate retinopathy or worse."""


def main(folder: Path, work: Path) -> None:
    """Write labels.csv; which photographs are of one patient isn't told, so each counts as one."""
    work.mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        told = list(csv.DictReader(file))
    rows = [
        [
            one["name"],
            one["name"],
            one["dr_grade"],
            "yes" if int(one["dr_grade"]) >= REFERABLE else "no",
            one["dme_risk"],
        ]
        for one in told
    ]
    with (work / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", "patient", "dr", "referable", "macular-edema"], *rows])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
