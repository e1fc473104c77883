"""Files for people of a slide with 100,000 tiles: QuPath's objects and the two heatmaps.

    python scripts/bench/export.py

The slide's result, scores and tissue are made from figures; the export runs in a process of its own. Imports and
start are measured apart, by the same process with nothing to export, and taken off. The peer for the objects is the
geojson package, one Feature at a time, and json.dumps.
"""

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from form import Claim, arguments, close, spread, table

COLUMNS, ROWS = 400, 250
MAX_CPU_S, MAX_MB = 3.0, 500.0


def main() -> None:
    """Measure, print the table, exit 1 when a claim doesn't hold."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", choices=("ours", "geojson"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.once:
        print(json.dumps(ours(chosen.folder) if chosen.once == "ours" else with_geojson(chosen.folder)))
        return
    found: dict[str, list[dict[str, float]]] = {"ours": [], "geojson": []}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(chosen.rounds):
            for way, costs in found.items():
                folder = make(Path(scratch) / f"{way}-{number}")
                command = [sys.executable, __file__, "--once", way, "--folder", str(folder)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                costs.append(json.loads(done.stdout))
    rows = [
        (
            way,
            spread([c["cpu_s"] for c in costs]),
            spread([c["peak_mb"] for c in costs], digits=0),
            int(costs[0]["bytes"]),
        )
        for way, costs in found.items()
    ]
    print(f"{COLUMNS * ROWS:,} tiles\n")
    print(table(("way", "CPU s", "peak MB", "bytes written"), rows))
    cpu = sorted(cost["cpu_s"] for cost in found["ours"])
    close(
        [
            Claim("CPU s for the objects and both heatmaps", cpu[len(cpu) // 2], MAX_CPU_S),
            Claim("peak MB", max(cost["peak_mb"] for cost in found["ours"]), MAX_MB),
        ],
        chosen.json,
    )


def make(folder: Path) -> Path:
    """Write what the export reads of a slide whose tiles are hot in some round places."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import numpy as np
    import shapely

    from tests.export import cases

    side = 448.0
    coords = cases.grid_coords(COLUMNS, ROWS, step=side)
    x, y = (coords / side).T
    score = 0.5 + 0.5 * np.sin(x / 17) * np.cos(y / 13)
    scale = cases.make_scale(size=(int(COLUMNS * side), int(ROWS * side)))
    tissue = shapely.MultiPolygon([shapely.Point(90_000, 56_000).buffer(50_000, quad_segs=2000)])
    picture = np.full((1280, 2048, 3), 230, np.uint8)
    scores = cases.make_scores(coords, score)
    cases.make_case(folder, cases.make_result(scale), scores, tissue=tissue, picture=picture)
    return folder


def ours(folder: Path) -> dict[str, float]:
    """Export a slide and return what it cost; imports are done before the clock starts."""
    from wsi.config import ExportConfig
    from wsi.export import export_slide
    from wsi.results import read_case

    started = time.process_time()
    made = export_slide(read_case(folder), ExportConfig())
    return cost(started, [folder / name for name in made])


def with_geojson(folder: Path) -> dict[str, float]:
    """Write the tiles' objects with the geojson package alone."""
    import geojson

    from wsi.results import read_case

    started = time.process_time()
    case = read_case(folder)
    assert case.scores is not None
    features = []
    for (x, y), score in zip(case.scores.coords.tolist(), case.scores.score.tolist(), strict=True):
        ring = [(x, y), (x + 448, y), (x + 448, y + 448), (x, y + 448), (x, y)]
        features.append(
            geojson.Feature(geometry=geojson.Polygon([ring]), properties={"measurements": {"score": score}})
        )
    path = folder / "peer.geojson.gz"
    path.write_bytes(gzip.compress(json.dumps(geojson.FeatureCollection(features)).encode(), 6))
    return cost(started, [path])


def cost(started: float, paths: list[Path]) -> dict[str, float]:
    """Return CPU seconds since `started`, the process's peak memory, and the bytes of the files."""
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": time.process_time() - started, "peak_mb": peak_mb, "bytes": sum(p.stat().st_size for p in paths)}


if __name__ == "__main__":
    main()
