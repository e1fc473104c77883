"""Reading and cutting tiles: ours against OpenSlide, tiffslide, cuCIM and what libjpeg-turbo alone takes.

    python scripts/bench/read.py --slide SLIDE

Each way runs in a process of its own (scripts/bench/read_once.py), which counts the CPU seconds of its loop only;
ways take turns in every round. Before anything is timed, tiles of each way are compared with OpenSlide's. The limit
is scripts/bench/jpeg_limit.c on the bytes of the same frames, each decoded once, and is held against ours on the same
tiles in its process, 50 tiles by the one and 50 by the other; it needs a C compiler and libjpeg-turbo's headers, and
is left out without them.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from form import Claim, arguments, close, spread, table

CASES = {"native": 1.0, "half": 2.0, "arbitrary": 2.6, "jpeg2000": 1.0}
WAYS = ("ours", "openslide", "tiffslide", "cucim", "limit")
BOUNDS = {
    ("native", "limit"): 1 / 1.2,
    ("native", "openslide"): 4.5,
    ("native", "tiffslide"): 3.0,
    ("half", "openslide"): 7.0,
    ("arbitrary", "openslide"): 6.0,
    ("jpeg2000", "openslide"): 1.0,
}
"""How many times our CPU time the other's is at least."""
HERE = Path(__file__).parent


def main() -> None:
    """Measure, print a table a case, exit 1 when a claim doesn't hold."""
    parser = arguments(__doc__)
    parser.add_argument("--slide", type=Path, help="a slide in JPEG tiles; without it one is drawn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiles", type=int, default=400)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        slides = {"jpeg2000": draw(Path(scratch), "jpeg2000")}
        slides |= dict.fromkeys(("native", "half", "arbitrary"), chosen.slide or draw(Path(scratch), "jpeg"))
        limit = build_limit(Path(scratch))
        claims = []
        for case in CASES:
            claims += one_case(case, slides[case], chosen.rounds, chosen.tiles, limit)
    close(claims, chosen.json)


def draw(folder: Path, compression: str) -> Path:
    """Draw a slide of 8192 x 8192 px that is tissue all over, in frames of 256 px."""
    path = folder / f"{compression}.svs"
    subprocess.run([sys.executable, HERE / "read_once.py", "draw", path, compression], check=True)
    return path


def build_limit(folder: Path) -> Path | None:
    """Compile the limit; None where that can't be done."""
    compiler = shutil.which("cc")
    program = folder / "jpeg_limit.so"
    command = [str(compiler), "-O2", "-shared", "-fPIC", str(HERE / "jpeg_limit.c"), "-o", str(program), "-ljpeg"]
    if compiler is None or subprocess.run(command, check=False, capture_output=True).returncode:
        print("no limit: a C compiler or the headers of libjpeg-turbo are missing", file=sys.stderr)
        return None
    return program


def one_case(case: str, slide: Path, rounds: int, tiles: int, limit: Path | None) -> list[Claim]:
    """Time all ways in turn, print their table and return what is claimed of ours."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            if way == "limit" and (limit is None or case != "native"):
                continue
            one = once(way, case, slide, tiles, limit)
            if one is not None:
                found[way].append(one)
    timed = {way: costs for way, costs in found.items() if costs}
    ours = [cost["cpu_ms"] for cost in timed["ours"]]
    rows, claims = [], []
    for way, costs in timed.items():
        cpu = [cost["cpu_ms"] for cost in costs]
        beside = [cost.get("beside_ms", mine) for cost, mine in zip(costs, ours, strict=True)]
        ratios = sorted(theirs / mine for theirs, mine in zip(cpu, beside, strict=True))
        wall, peak = [cost["wall_ms"] for cost in costs], max(cost["peak_mb"] for cost in costs)
        off = max(cost["gray_levels"] for cost in costs)
        rows.append((way, spread(cpu, digits=3), spread(wall, digits=3), spread(ratios), f"{off:.2f}", f"{peak:.0f}"))
        if bound := BOUNDS.get((case, way)):
            ratio = ratios[len(ratios) // 2]
            claims.append(Claim(f"{case}: CPU of ours over {way}'s", 1 / ratio, 1 / bound))
    head = ("way", "CPU ms a tile", "wall ms a tile", "x ours", "gray levels off", "peak MB")
    print(f"\n### {case}, {slide.name}, {tiles} tiles of 256 px\n\n{table(head, rows)}", flush=True)
    return claims


def once(way: str, case: str, slide: Path, tiles: int, limit: Path | None) -> dict[str, float] | None:
    """Run one way in its own process; None where it isn't installed or can't open the slide."""
    command = [sys.executable, str(HERE / "read_once.py"), way, str(slide), str(CASES[case]), str(tiles), str(limit)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode == 3:
        return None
    if done.returncode:
        raise SystemExit(f"{way}, {case}: {done.stderr}")
    told: dict[str, float] = json.loads(done.stdout)
    return told


if __name__ == "__main__":
    main()
