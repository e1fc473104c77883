"""An encoder on the CPU with the memory between its layers held, and given back, in turns: CPU ms a tile.

    python scripts/bench/hold.py --encoder mobilenetv2-imagenet

Drawn tiles, as many threads as `--threads`; each turn is a process of its own. Pages are those that the system had to hand out
(minor page faults) while tiles were encoded, after a first batch.
"""

import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
from form import Claim, arguments, close, spread, table

from wsi.encode.load import load_encoder
from wsi.resources import hold_memory

WAYS = ("held", "given back")
BATCH, BATCHES = 16, 12


def main() -> None:
    """Measure, print the table, exit 1 when holding memory costs anything."""
    parser = arguments(__doc__)
    parser.add_argument("--encoder", default="mobilenetv2-imagenet", help="name or folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", choices=WAYS, help="run one way and print JSON")
    chosen = parser.parse_args()
    if chosen.once:
        print(json.dumps(once(chosen.once, chosen.encoder, chosen.threads)))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(chosen.rounds):
        for way, costs in found.items():
            command = [sys.executable, __file__, "--once", way, "--encoder", chosen.encoder]
            command += ["--threads", str(chosen.threads)]
            costs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    rows = [
        (
            way,
            spread([c["cpu_ms"] for c in costs], digits=1),
            spread([c["pages"] for c in costs], digits=0),
            spread([c["peak_mb"] for c in costs], digits=0),
        )
        for way, costs in found.items()
    ]
    print(table(("memory", "CPU ms a tile", "pages a tile", "peak MB"), rows))
    ratios = [a["cpu_ms"] / b["cpu_ms"] for a, b in zip(*found.values(), strict=True)]
    print(f"\nheld over given back: {spread(ratios)}")
    close([Claim("CPU, held over given back", statistics.median(ratios), 1.0)], chosen.json)


def once(way: str, encoder: str, threads: int) -> dict[str, float]:
    """Encode BATCHES batches and return the median CPU ms a tile, the pages a tile and the process's peak memory."""
    if way == "held":
        hold_memory()
    loaded = load_encoder(encoder, device="cpu", precision="fp32", threads=threads)
    side = loaded.tile_px
    tiles = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), np.uint8)
    loaded.encode(tiles)
    before, cpu_ms = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, []
    for _ in range(BATCHES):
        started = time.process_time()
        loaded.encode(tiles)
        cpu_ms.append((time.process_time() - started) / BATCH * 1e3)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pages = (usage.ru_minflt - before) / BATCH / BATCHES
    return {"cpu_ms": float(np.median(cpu_ms)), "pages": pages, "peak_mb": usage.ru_maxrss / 1024}


if __name__ == "__main__":
    main()
