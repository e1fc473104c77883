"""Memory and cost as slides grow: the whole run on a drawn slide of 20,000 px a side and on one of 100,000.

    python scripts/bench/scale.py

Memory is that of the command and all its children together, each shared page counted once, sampled 20 times a
second. The larger slide holds 25 times the px; its memory may not follow.
"""

import csv
import sys
import tempfile
from pathlib import Path

from form import Claim, arguments, close, table
from processes import Cost, measure

SMALL, LARGE = 20_000, 100_000
MAX_MB = 2048.0
MAX_GROWTH = 1.2


def main() -> None:
    """Measure, print the table, exit 1 when a claim doesn't hold."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--sides", type=int, nargs=2, default=(SMALL, LARGE), metavar="PX", help="smaller and larger side"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = [run(side, Path(scratch)) for side in chosen.sides]
    rows = [
        (
            f"{side:,}",
            tiles,
            f"{cost.peak_mb:.0f}",
            f"{cost.cpu_s:.1f}",
            f"{cost.wall_s:.1f}",
            f"{1000 * cost.cpu_s / max(tiles, 1):.1f}",
        )
        for side, (tiles, cost) in zip(chosen.sides, found, strict=True)
    ]
    print(table(("side, px", "tiles", "peak MB", "CPU s", "wall s", "CPU ms a tile"), rows))
    small, large = (cost for _, cost in found)
    close(
        [
            Claim(f"peak MB on {chosen.sides[1]:,} px a side", large.peak_mb, MAX_MB),
            Claim("peak memory, larger over smaller", large.peak_mb / small.peak_mb, MAX_GROWTH),
        ],
        chosen.json,
    )


def run(side: int, scratch: Path) -> tuple[int, Cost]:
    """Draw a slide, run the default model over it, return how many tiles it had and what it cost."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests import make

    folder, out = scratch / str(side), scratch / f"{side}-out"
    folder.mkdir()
    make.write_large(folder / "slide.svs", side)
    cost = measure([sys.executable, "-m", "wsi.cli", str(folder), "-o", str(out), "-q"])
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    if row["status"] != "ok":
        raise SystemExit(f"{side}: the run ended {row['status']} {row['code']}: {row['reason']}")
    return int(row["tiles_read"]), cost


if __name__ == "__main__":
    main()
