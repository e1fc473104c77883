"""Heads of wsi.mil: what a training step costs, and how often they are right on the field's small benchmarks.

    python scripts/bench/mil.py [--quick] [--only steps|accuracy] [--bags N] [--set NAME] [--repeats N]
    [--jobs N] [--work FILE]

Steps: bags of 10,000 x 1,024, one a step, CPU seconds of one thread, beside a plain loop in torch. Accuracy: MUSK1, FOX and
ELEPHANT of the folder mil of WSI_DATA, with the folds given there; left out without it. With --work what came of each fold is
kept in a CSV, and a benchmark that was stopped goes on.
"""

import os
from pathlib import Path

from form import arguments, close, table
from mil_accuracy import ROUND, SETS, accuracy
from mil_steps import steps

QUICK_BAGS, QUICK_FOLDS = 2, 2


def main() -> None:
    """Print both tables and the claims."""
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer bags and folds: a look, not a measurement")
    parser.add_argument("--only", choices=("steps", "accuracy"), help="one half of it")
    parser.add_argument("--bags", type=int, default=12, help="bags of the steps (12)")
    parser.add_argument("--repeats", type=int, default=1, choices=range(1, 6), help="rounds of 10 folds (1 of 5)")
    parser.add_argument("--set", action="append", choices=SETS, help="a set of the accuracies (all three)")
    parser.add_argument("--jobs", type=int, default=2, help="folds trained at once (2)")
    parser.add_argument("--work", type=Path, metavar="FILE", help="keep what came of each fold there")
    chosen = parser.parse_args()
    claims = []
    if chosen.only != "accuracy":
        head, rows, found = steps(bags=QUICK_BAGS if chosen.quick else chosen.bags)
        print(table(head, rows), flush=True)
        claims += found
    data = os.environ.get("WSI_DATA")
    if chosen.only != "steps" and data is None:
        print("\nWSI_DATA names no data folder, so no accuracy is measured")
    elif chosen.only != "steps" and data is not None:
        folds = QUICK_FOLDS if chosen.quick else ROUND * chosen.repeats
        sets = chosen.set or SETS
        head, rows, found = accuracy(Path(data) / "mil", folds=folds, jobs=chosen.jobs, kept=chosen.work, sets=sets)
        print("\n" + table(head, rows), flush=True)
        claims += [] if chosen.quick else found
    close(claims, chosen.json)


if __name__ == "__main__":
    main()
