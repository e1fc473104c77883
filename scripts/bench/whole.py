"""Whole pipelines with a network that costs nothing, ours and others', in turns: what reading, tissue and files take.

    python scripts/bench/whole.py --slide SLIDE --peer lazyslide=LAZYSLIDE/bin/python --peer wsinfer=WSINFER/bin/python

Two slides of tissue on glass are made, 20x and 40x, both with about 2,300 tiles of 256 px at 0.5 µm per px, of the
densest tissue of SLIDE; without it the tissue is drawn, whose grain costs a JPEG decoder twice as much. Each peer runs
in an environment of its own, `pip install NAME` in a fresh one, by peers/run_NAME.py: as its users do, with its own
tissue detection and tiles, so costs are compared a tile. CPU seconds count all child processes; those of imports, which
peers/meter takes in each process, are taken off. RECORDED are CPU seconds of an earlier run on another machine.
"""

import csv
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from json import loads
from pathlib import Path

import numpy as np
import openslide
import tifffile
from form import Claim, arguments, close, spread, table
from numpy.typing import NDArray
from processes import Cost, measure

ROOT, PEERS = Path(__file__).absolute().parents[2], Path(__file__).absolute().with_name("peers")
RECORDED = {
    "20x": {"AtlasPatch": 6.0, "CLAM": 9.6, "STAMP": 12.1, "TRIDENT": 7.1},
    "40x": {"AtlasPatch": 17.0, "CLAM": 39.4, "STAMP": 32.3, "TRIDENT": 24.6},
}
"""Of about RECORDED_TILES tiles, two cores of an AMD EPYC (Zen 5), 2026-11-22; a prototype of ours took 1.3 and 3.5 there."""
RECORDED_TILES = 2_200
PACE = {"20x": 7.3, "40x": 17.7}
"""CPU seconds of WSInfer in the same run: where it runs here too, the recorded ones are brought to this machine's pace."""
SLIDES = {"20x": (20_000, 0.5), "40x": (40_000, 0.25)}
"""Side in px, and µm per px."""
TILE_PX, MPP = 256, 0.5
MIN_RATIO = 5.0
NULL = '''"""A network that costs nothing."""

from torch import Tensor, nn

from wsi.card import EncoderCard


class Null(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images[:, :, ::64, ::64].flatten(1)


def make(_weights: object) -> tuple[EncoderCard, nn.Module]:
    half = [0.5, 0.5, 0.5]
    return EncoderCard.model_validate({
        "kind": "encoder", "id": "null", "title": "null", "licence": {"weights": "Apache-2.0"},
        "architecture": {"name": "null"}, "weights": {}, "input": {"tile_px": 256, "mpp": 0.5},
        "transform": {"mean": half, "std": half}, "pooling": "model", "dim": 48,
    }), Null()
'''


@dataclass(frozen=True, slots=True)
class Whole:
    """A tool's run over one slide; imports_s: CPU seconds of `cost` that imports took."""

    tiles: int
    version: str
    cost: Cost
    imports_s: float

    @property
    def own_s(self) -> float:
        """CPU seconds without imports."""
        return self.cost.cpu_s - self.imports_s

    @property
    def tile_ms(self) -> float:
        return 1000 * self.own_s / self.tiles


Run = Callable[[Path, Path], Whole]
"""Takes a slide and an empty folder."""


def main() -> None:
    """Measure, print the tables, exit 1 when a claim doesn't hold."""
    parser = arguments(__doc__)
    parser.add_argument("--slide", type=Path, help="a slide in JPEG tiles of at least 256 px that OpenSlide opens")
    parser.add_argument("--only", choices=SLIDES, help="one slide instead of both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=PYTHON", help="a peer and its environment's Python"
    )
    chosen = parser.parse_args()
    peers = dict(peer.split("=", 1) for peer in chosen.peer)
    known = {path.stem.removeprefix("run_"): path for path in sorted(PEERS.glob("run_*.py"))}
    if unknown := peers.keys() - known.keys():
        parser.error(f"--peer: no runner for {', '.join(sorted(unknown))}; found {', '.join(known)}")
    sys.path.insert(0, str(ROOT))
    from tests import make

    rows, claims = [], []
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        offer(here / "plugin")
        runs: dict[str, Run] = {"wsi-run": partial(ours, here / "plugin")}
        runs |= {name: partial(theirs, str(Path(python).absolute()), known[name]) for name, python in peers.items()}
        picture = densest(chosen.slide) if chosen.slide else None
        for size in [chosen.only] if chosen.only else SLIDES:
            side, mpp = SLIDES[size]
            slide = make.write_large(here / f"{size}.svs", side, mpp=mpp, tile=256, picture=picture, quality=70)
            found = take_turns(runs, slide, chosen.rounds)
            for tool, wholes in found.items():
                ratios = [own.tile_ms / whole.tile_ms for own, whole in zip(found["wsi-run"], wholes, strict=True)]
                rows.append(row(size, tool, wholes, [1 / ratio for ratio in ratios]))
                if tool != "wsi-run":
                    claim = f"{size}: CPU a tile, ours over {tool}'s"
                    claims.append(Claim(claim, statistics.median(ratios), 1 / MIN_RATIO))
            claims += recorded(size, found)
    print(table(HEAD, rows))
    print(f"\nLeft out, as no --peer named them: {', '.join(sorted(known.keys() - peers.keys())) or 'none'}.")
    print(
        "\nNot run; recorded on another machine (see the script), CPU s without imports, claimed of where WSInfer ran:\n"
    )
    print(table(("slide", *RECORDED["20x"]), [(size, *seconds.values()) for size, seconds in RECORDED.items()]))
    close(claims, chosen.json)


def recorded(size: str, found: Mapping[str, list[Whole]]) -> list[Claim]:
    """Return the claims of tools that were only recorded, at the pace at which WSInfer runs here."""
    if "wsinfer" not in found:
        return []
    pace = statistics.median(whole.own_s for whole in found["wsinfer"]) / PACE[size]
    ours_ms = statistics.median(whole.tile_ms for whole in found["wsi-run"])
    return [
        Claim(
            f"{size}: CPU a tile, ours over {tool}'s as recorded",
            ours_ms / (1000 * seconds * pace / RECORDED_TILES),
            1 / MIN_RATIO,
        )
        for tool, seconds in RECORDED[size].items()
    ]


HEAD = (
    "slide", "tool", "tiles", "CPU s, no imports", "CPU ms a tile", "x ours, a tile", "wall s", "peak MB", "CPU s of imports"
)  # fmt: skip


def row(size: str, tool: str, wholes: list[Whole], ratios: list[float]) -> tuple[object, ...]:
    """Return a tool's line of the table; ratios: its CPU a tile over ours in the same round."""
    return (
        size,
        f"{tool} {wholes[0].version}",
        wholes[0].tiles,
        spread([whole.own_s for whole in wholes]),
        spread([whole.tile_ms for whole in wholes]),
        spread(ratios, digits=1),
        spread([whole.cost.wall_s for whole in wholes], digits=1),
        spread([whole.cost.peak_mb for whole in wholes], digits=0),
        spread([whole.imports_s for whole in wholes]),
    )


def take_turns(runs: Mapping[str, Run], slide: Path, rounds: int) -> dict[str, list[Whole]]:
    """Run every tool over the slide, `rounds` times, one after the other in each round."""
    found: dict[str, list[Whole]] = {tool: [] for tool in runs}
    for number in range(rounds):
        for tool, run in runs.items():
            with tempfile.TemporaryDirectory(dir=slide.parent) as out:
                whole = run(slide, Path(out))
            found[tool].append(whole)
            told = f"{whole.tiles} tiles, {whole.own_s:.2f} CPU s, {whole.imports_s:.2f} of imports"
            print(f"{slide.stem}, round {number + 1}: {tool}: {told}", file=sys.stderr, flush=True)
    return found


def densest(slide: Path) -> NDArray[np.uint8]:
    """Return 256 x 256 px of the stored tile of level 0 with the most bytes."""
    with tifffile.TiffFile(slide) as file:
        page = file.pages.first
        index = int(np.argmax(page.databytecounts))
        columns = -(-page.imagewidth // page.tilewidth)
        place = (index % columns * page.tilewidth, index // columns * page.tilelength)
    with openslide.OpenSlide(slide) as opened:
        return np.asarray(opened.read_region(place, 0, (256, 256)).convert("RGB"))


def offer(folder: Path) -> None:
    """Write the null encoder as an installed package."""
    told = folder / "wsi_null-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: wsi-null\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[wsi.encoders]\nnull = wsi_null:make\n")
    (folder / "wsi_null.py").write_text(NULL)


def ours(plugin: Path, slide: Path, out: Path) -> Whole:
    """Encode a slide with the null encoder."""
    command = [sys.executable, "-m", "wsi.cli", "encode", str(slide), "-o", str(out / "OUT"), "--encoder", "null"]
    command += ["--tile-px", str(TILE_PX), "--tile-mpp", str(MPP), "--precision", "fp32", "-q"]  # as the peers
    cost, imports_s = metered(command, out, path=[plugin, ROOT])
    with (out / "OUT" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        record = next(csv.DictReader(file))
    if record["status"] != "ok":
        raise SystemExit(f"{slide.name}: the run ended {record['status']} {record['code']}: {record['reason']}")
    return Whole(int(record["tiles_read"]), "", cost, imports_s)


def theirs(python: str, runner: Path, slide: Path, out: Path) -> Whole:
    """Let a peer encode a slide in its own environment."""
    cost, imports_s = metered([python, str(runner), str(slide), str(out), str(TILE_PX), str(MPP)], out)
    told = loads((out / "told.json").read_text())
    return Whole(told["tiles"], told["version"], cost, imports_s)


def metered(command: list[str], out: Path, *, path: Iterable[Path] = ()) -> tuple[Cost, float]:
    """Return what a command cost, and the CPU seconds of its imports. BLAS and OpenMP get one thread, as ours does:
    more of them only spin."""
    meter = out / "imports.txt"
    environment = {
        "PYTHONPATH": os.pathsep.join(map(str, (PEERS / "meter", *path))),
        "IMPORT_METER": str(meter),
        "OMP_NUM_THREADS": "1",
    }
    cost = measure(command, environment=environment, folder=out)
    return cost, sum(float(line.split()[0]) for line in meter.read_text().splitlines())


if __name__ == "__main__":
    main()
