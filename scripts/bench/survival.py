"""Survival from tables: heads of `wsi-run train` beside Cox regression on the same folds.

    WSI_DATA=DATA python scripts/bench/survival.py [--only metabric,gbsg,whas,support] [--work DIR] [--json FILE]

A patient of METABRIC, GBSG, WHAS or SUPPORT (folder images/survival of WSI_DATA) is a bag of one row. Five folds by patient; the
rows of WHAS that are the same in every column count as one patient's: 640 of its 1,310 are different. One setting for all
tables and both losses; the baseline is the command's own: with Cox's loss Cox regression with a ridge, with time bins its
discrete-time kin. A claim holds when the head isn't surely worse: the interval of its C less the baseline's reaches 0.
With --work the runs are kept there, and one that was stopped goes on.
"""

import csv
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from form import Claim, arguments, close, table
from trained import BASELINE, HELD_OUT, LESS, figure, figures_of, shown, wsi_run

TABLES = ("metabric", "gbsg", "whas", "support")
PUBLISHED = {"metabric": 0.654, "gbsg": 0.668, "whas": 0.862, "support": 0.618}
"""Harrell's C of DeepSurv on test parts that aren't in these files. Source: Katzman et al. 2018, table 1."""
LOSSES = {"Cox": 0, "10 time bins": 10}
SETTINGS = """
head: {{aggregate: mean, hidden: 64, dropout: 0.25}}
fit: {{epochs: 60, patience: 15, batch: 128, learning_rate: 0.002, instances: 1}}
target: {{bins: {bins}}}
"""


def write_bags(file: Path, into: Path) -> None:
    """Write a table as features.npz and labels.csv; rows that are the same in every column are of one patient."""
    rows = np.genfromtxt(file, delimiter=",", skip_header=1)
    _, patients = np.unique(rows, axis=0, return_inverse=True)
    numbers = np.arange(len(rows))
    np.savez(into / "features.npz", x=rows[:, :-2].astype(np.float32), bag=numbers)
    with (into / "labels.csv").open("w", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(("slide", "patient", "time", "event"))
        for number, patient, (time, event) in zip(numbers, patients.ravel(), rows[:, -2:], strict=True):
            lines.writerow((number, f"p{patient}", time, int(event)))


def train(folder: Path, *, bins: int) -> list[dict[str, Any]]:
    """Run `wsi-run train` on what `write_bags` wrote and return the figures of the run."""
    settings, run = folder / f"bins-{bins}.yaml", folder / f"run-{bins}"
    settings.write_text(SETTINGS.format(bins=bins))
    source = (folder / "labels.csv", "--features", folder / "features.npz", "--target", "outcome:survival:time,event")
    wsi_run("train", *source, "--run", run, "-c", settings)
    return figures_of(run)


def measured(file: Path, folder: Path) -> Iterator[tuple[list[str], Claim]]:
    """Yield a row of the table and its claim for each loss; what is made lies in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bags(file, folder)
    for loss, bins in LOSSES.items():
        figures = train(folder, bins=bins)
        harrell, less = figure(figures, HELD_OUT, "C (Harrell)"), figure(figures, LESS, "C (Harrell) difference")
        cells = [
            shown(harrell),
            shown(figure(figures, BASELINE, "C (Harrell)")),
            shown(less),
            *(shown(figure(figures, over, "C (Uno)")) for over in (HELD_OUT, BASELINE)),
        ]
        patients = f"{harrell['patients']} ({harrell['count']} of {harrell['n']} rows with the event)"
        claim = Claim(f"{file.stem}, {loss}: C lost against the baseline, at least", -less["high"], 0.0)
        yield [file.stem.upper(), patients, loss, *cells, f"{PUBLISHED[file.stem]:.3f}"], claim


def main() -> None:
    """Print the table and the claims."""
    parser = arguments(__doc__)
    parser.add_argument("--only", default=",".join(TABLES), help="tables, with commas between")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep the runs there (a temporary folder)")
    chosen = parser.parse_args()
    if "WSI_DATA" not in os.environ:
        raise SystemExit("WSI_DATA names no data folder; it must hold images/survival")
    data = Path(os.environ["WSI_DATA"]) / "images" / "survival"
    head = (
        "table",
        "patients",
        "loss",
        "C (Harrell)",
        "baseline",
        "difference",
        "C (Uno)",
        "baseline",
        "DeepSurv, published",
    )
    rows, claims = [], []
    with tempfile.TemporaryDirectory() as made:
        for name in chosen.only.split(","):
            for row, claim in measured(data / f"{name}.csv", (chosen.work or Path(made)) / name):
                rows.append(row)
                claims.append(claim)
                print(" | ".join(row), flush=True)
    print("\n" + table(head, rows))
    close(claims, chosen.json)


if __name__ == "__main__":
    main()
