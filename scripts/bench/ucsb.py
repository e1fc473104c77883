"""Benign or malignant in 30 breast cores: every head through `wsi-run encode` and `wsi-run train`.

    WSI_DATA=DATA python scripts/bench/ucsb.py [--work DIR] [--json FILE]

The pictures (UCSB Bio-Segmentation Benchmark, folder tiles/ucsb_breast of WSI_DATA, 896 x 768 px at about 0.5 µm) become bags of
overlapping tiles, encoded by the encoder that ships. They are of five tissue microarrays; each is tested by heads that saw only
the other four, and the intervals count microarrays, which is why they are so wide. One setting for all heads.
"""

import csv
import os
import tempfile
from pathlib import Path

from form import Claim, arguments, close, table
from trained import BASELINE, HELD_OUT, LESS, figure, figures_of, shown, wsi_run

from wsi.mil import HEADS

ENCODE = """
read: {mpp: 0.5}
tile: {overlap: 0.5, min_tissue: 0.1}
encode: {encoder: mobilenetv2-imagenet}
"""
TRAIN = """
head: {hidden: 64, width: 32, dropout: 0.25, instances: 4, landmarks: 64}
fit: {epochs: 40, patience: 0, learning_rate: 0.001}
splits: {scheme: leave-one-out, validation: 0.25}
"""


def prepare(pictures: Path, work: Path) -> None:
    """Write settings and labels, and encode the pictures."""
    with (pictures / "labels.csv").open() as file, (work / "labels.csv").open("w", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(("slide", "patient", "malignant"))
        for row in csv.DictReader(file):
            lines.writerow((row["file"], row["tma_group"], int(row["label"] == "malignant")))
    (work / "encode.yaml").write_text(ENCODE)
    (work / "train.yaml").write_text(TRAIN)
    wsi_run("encode", pictures, "-o", work / "features", "-c", work / "encode.yaml")


def measured(head: str, work: Path) -> tuple[list[str], Claim]:
    """Return a head's row of the table and its claim: it isn't surely worse than mean pooling with a linear model."""
    run = work / "runs" / head
    source = (work / "labels.csv", "--features", work / "features", "--target", "malignant", "--head", head)
    wsi_run("train", *source, "--run", run, "-c", work / "train.yaml")
    figures = figures_of(run)
    less = figure(figures, LESS, "AUC difference")
    with (run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = sum((float(row["uncalibrated p 1"]) > 0.5) == (row["true malignant"] == "1") for row in rows)
    cells = (shown(figure(figures, over, name)) for over, name in ((HELD_OUT, "AUC"), (HELD_OUT, "AUPRC")))
    claim = Claim(f"{head}: AUC lost against the baseline, at least", -less["high"], 0.0)
    return [head, *cells, f"{right} of {len(rows)}", shown(figure(figures, BASELINE, "AUC")), shown(less)], claim


def main() -> None:
    """Print the table and the claims."""
    parser = arguments(__doc__)
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep features and runs there (a temporary folder)")
    chosen = parser.parse_args()
    if "WSI_DATA" not in os.environ:
        raise SystemExit("WSI_DATA names no data folder; it must hold tiles/ucsb_breast")
    rows, claims = [], []
    with tempfile.TemporaryDirectory() as made:
        work = chosen.work or Path(made)
        work.mkdir(parents=True, exist_ok=True)
        prepare(Path(os.environ["WSI_DATA"]) / "tiles" / "ucsb_breast", work)
        for head in HEADS:
            row, claim = measured(head, work)
            rows.append(row)
            claims.append(claim)
            print(" | ".join(row), flush=True)
    print("\n" + table(("head", "AUC", "AUPRC", "right at 0.5", "baseline's AUC", "AUC difference"), rows))
    close(claims, chosen.json)


if __name__ == "__main__":
    main()
