"""What each stage costs, and the whole beside a short script over OpenSlide and timm on the same tiles.

    python scripts/bench/pipeline.py --slides FOLDER

Each stage is run as its command, then once more with nothing to do: the difference is the stage's own, the
second figure what starting costs. The peer is scripts/bench/plain_loop.py: OpenSlide, Pillow, fp32, no
supervision, no resume. Runs are interleaved (ours, peer, ours, peer); CPU seconds count all child processes.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import openslide
from form import Claim, arguments, close, spread, table
from PIL import Image
from processes import Cost, measure

from wsi.geometry import Point, Region, Size
from wsi.model_folder import encoder_card, find_folder
from wsi.read import SlideFile, find_slides
from wsi.read.openslide_reader import OpenSlideSource
from wsi.tile import read_coords, read_tile

STAGES = ("tissue", "tile", "encode", "predict", "export")
ENCODER = "mobilenetv2-imagenet"
MAX_RATIO = 1.0
MAX_GRAY_LEVELS = 2.0
LEAST_TILES = 100


@dataclass(frozen=True, slots=True)
class Round:
    """One pass over one slide: what each stage's command cost, and its repetition with nothing to do."""

    stages: Mapping[str, Cost]
    repeats: Mapping[str, Cost]
    plain: Cost | None


def main() -> None:
    """Measure, print the tables, exit 1 when a claim doesn't hold."""
    parser = arguments(__doc__)
    parser.add_argument("--slides", type=Path, help="folder of slides; without it one is drawn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of the encoder, in both")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.slides or draw(Path(scratch) / "drawn")
        claims = []
        for slide in (s for s in find_slides(folder) if isinstance(s, SlideFile)):
            rounds = [one_round(slide, Path(scratch), chosen.threads) for _ in range(chosen.rounds)]
            claims += report(slide, rounds)
    close(claims, chosen.json)


def draw(folder: Path) -> Path:
    """Draw the demo slide and return its folder."""
    make = Path(__file__).parents[2] / "tests" / "make.py"
    measure([sys.executable, str(make), "demo", str(folder)])
    return folder


def one_round(slide: SlideFile, scratch: Path, threads: int) -> Round:
    """Run every stage of one slide into a fresh folder, then the peer on the tiles that were planned."""
    with tempfile.TemporaryDirectory(dir=scratch) as out:
        stages, repeats = {}, {}
        recipe = Path(out) / "recipe.yaml"
        recipe.write_text(f"model: tumor\nengine:\n  threads: {threads}\n")
        for stage in STAGES:
            name = "run" if stage == "export" else stage
            command = [
                sys.executable,
                "-m",
                "wsi.cli",
                name,
                str(slide.path),
                "-o",
                f"{out}/OUT",
                "-c",
                str(recipe),
                "-q",
            ]
            stages[stage], repeats[stage] = measure(command), measure(command)
        coords = next((Path(out) / "OUT").glob("slides/*/coords.h5"), None)
        return Round(stages, repeats, plain(slide, coords, threads) if coords else None)


def plain(slide: SlideFile, coords: Path, threads: int) -> Cost | None:
    """Return what the peer took; None where it can't open the slide or there are too few tiles to compare."""
    with h5py.File(coords) as file:
        if len(file["coords"]) < LEAST_TILES:
            return None
    try:
        openslide.OpenSlide(slide.path).close()
    except openslide.OpenSlideError:
        return None
    check_pixels(slide, coords)
    folder = find_folder(ENCODER, "encoder")
    weights = folder / str(encoder_card(folder).weights.file)
    loop = Path(__file__).with_name("plain_loop.py")
    return measure([sys.executable, str(loop), str(slide.path), str(coords), str(weights), str(threads)])


def check_pixels(slide: SlideFile, coords: Path) -> None:
    """Stop unless our tiles are those of OpenSlide and an antialiased resample, to MAX_GRAY_LEVELS on average."""
    plan, source = read_coords(coords), OpenSlideSource(slide.path)
    for x, y in plan.coords[:: max(1, len(plan) // 20)]:
        ours = read_tile(source, int(x), int(y), footprint=plan.footprint, tile_px=plan.tile_px)
        size = Size(round(plan.footprint.x), round(plan.footprint.y))
        level0 = source.read_region(Region(Point(int(x), int(y)), 0, size))
        theirs = Image.fromarray(level0).resize((plan.tile_px, plan.tile_px), Image.Resampling.BICUBIC)
        off = float(np.abs(ours.astype(int) - np.asarray(theirs)).mean())
        if off > MAX_GRAY_LEVELS:
            raise SystemExit(
                f"{slide.relative}: the tile at {x}, {y} differs by {off:.1f} gray levels; nothing was timed"
            )
    source.close()


def report(slide: SlideFile, rounds: Sequence[Round]) -> list[Claim]:
    """Print a slide's table and return what is claimed of it."""
    rows = []
    for stage in STAGES:
        own = [max(0.0, r.stages[stage].cpu_s - r.repeats[stage].cpu_s) for r in rounds]
        wall = [max(0.0, r.stages[stage].wall_s - r.repeats[stage].wall_s) for r in rounds]
        start = [r.repeats[stage].cpu_s for r in rounds]
        peak = [r.stages[stage].peak_mb for r in rounds]
        rows.append((stage, spread(own), spread(wall), spread(start), spread(peak, digits=0)))
    head = ("stage", "CPU s, its own", "wall s, its own", "CPU s to start", "peak MB")
    print(f"\n### {slide.relative}\n\n{table(head, rows)}", flush=True)
    compared = [(sum_cpu(r), r.plain.cpu_s) for r in rounds if r.plain is not None]
    if not compared:
        print("\nNot compared: OpenSlide can't open it, or too few tiles.")
        return []
    ours, theirs = [c[0] for c in compared], [c[1] for c in compared]
    ratios = sorted(a / b for a, b in compared)
    print(f"\nTo features, all in: {spread(ours)} CPU s; plain loop: {spread(theirs)} CPU s; ratio {spread(ratios)}")
    return [
        Claim(f"{slide.relative}: CPU to features over plain OpenSlide + timm", ratios[len(ratios) // 2], MAX_RATIO)
    ]


def sum_cpu(one: Round) -> float:
    """Return the CPU seconds from the slide to its features in one go: own costs, and one start."""
    first = ("tissue", "tile", "encode")
    own = [one.stages[s].cpu_s - one.repeats[s].cpu_s for s in first]
    return float(sum(own) + one.repeats["encode"].cpu_s)


if __name__ == "__main__":
    main()
