"""The review's server: what a person waits for from the click on a slide on, and tiles at 20 requests at once.

    python scripts/bench/review.py --slides SLIDES [--out OUT]

Without --slides two slides are drawn; without --out they are run first, which takes a while. The server is `wsi-run
review` in a process of its own, started anew each round, so that no slide is open yet. For each slide:

- first view: the case with its thumbnail, outlines, heat and gallery, and the tiles that fill a window of 1600 x 900 px,
  asked for over six connections as browsers do.
- looking: from the click on, the window is moved as people move it (pans, drags, steps closer and farther, jumps; drawn,
  seeded) over the levels at their own px, with pauses of 0.15 to 0.5 s, shorter than people's. Each tile that comes into
  the window is asked for at once, 20 at once at most, and counts once. The first ones count too.
- flood: tiles of all levels in random order, 20 under way all the time and no pause: the worst a page can do. Nothing can
  be decoded ahead there, so that codecs which need 6 ms a tile and more can't keep 60 ms on two cores. It is held against
  plain threads, as a small tile server has them: OpenSlide's px (tiffslide's where that can't open it) as JPEG, 20 at once
  on as many threads as there are cores, without a client, a network or a process that may crash.

The client runs in Python on the same cores, and so counts as part of what it measures.
"""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import openslide
import tiffslide
from form import Claim, arguments, close, spread, table
from review_client import Client, cpu_s, serving

from wsi.resources import cores

WINDOW = (1600, 900)
BROWSER_CONNECTIONS, AT_ONCE = 6, 20
SOFTEST = 1.3
"""A level is shown at most this much enlarged before a finer one is taken."""
PAUSE_S, DRAG_S = (0.15, 0.5), 0.04
"""Seconds between two moves, and between the steps of a drag."""
MOVES = {"pan": 40, "drag": 25, "closer": 17, "farther": 10, "jump": 8}
"""How often each is drawn."""
DRAG_STEPS = 8
CROP_PX, CROPS = 160, 6
MAX_FIRST_VIEW_S, MAX_TILE_P95_MS = 1.0, 60.0
View = Mapping[str, Any]
Tile = tuple[int, int, int]
"""Level, column and row."""


@dataclass(slots=True)
class Found:
    """Seconds that were measured, by slide."""

    first_view: dict[str, list[float]] = field(default_factory=dict)
    looking: dict[str, list[float]] = field(default_factory=dict)
    flood: dict[str, list[float]] = field(default_factory=dict)
    plain: dict[str, list[float]] = field(default_factory=dict)
    again: list[float] = field(default_factory=list)
    cpu_a_tile: list[float] = field(default_factory=list)


def main() -> None:
    """Measure, print the tables, exit 1 when a claim doesn't hold."""
    parser = arguments(__doc__)
    parser.add_argument("--slides", type=Path, help="folder of slides; two are drawn without it")
    parser.add_argument("--out", type=Path, help="results of a run over them; made without it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--moves", type=int, default=20, help="moves of the window over each slide")
    parser.add_argument("--tiles", type=int, default=150, help="tiles of each slide in the flood")
    chosen = parser.parse_args()
    found = Found()
    with tempfile.TemporaryDirectory() as scratch:
        slides = chosen.slides or drawn(Path(scratch) / "slides")
        out = chosen.out or ran(slides, Path(scratch) / "OUT")
        for seed in range(chosen.rounds):
            with serving(out, slides) as (link, _):
                asyncio.run(first_views(link, found))
            with serving(out, slides) as (link, _):
                asyncio.run(looking(link, found, seed=seed, moves=chosen.moves))
            with serving(out, slides) as (link, process):
                flooded = asyncio.run(flood(link, process, found, seed=seed, count=chosen.tiles))
            for slide, view, tiles in flooded:
                found.plain.setdefault(slide, []).extend(plainly(files_of(out, slides)[slide], view, tiles))
    show(found)
    close(claims(found), chosen.json)


def claims(found: Found) -> list[Claim]:
    looked, flooded = together(found.looking), together(found.flood)
    most = max(MAX_TILE_P95_MS, p95(together(found.plain)))
    return [
        Claim("s from the click to the first view, slowest slide", worst_median(found.first_view), MAX_FIRST_VIEW_S),
        Claim(f"ms a tile while looking, 95 %, {AT_ONCE} at once, all slides", p95(looked), MAX_TILE_P95_MS),
        Claim(
            f"ms a tile while looking, 95 %, {AT_ONCE} at once, slowest slide",
            max(map(p95, found.looking.values())),
            MAX_TILE_P95_MS,
        ),
        Claim(
            f"ms a tile in the flood, 95 %, {AT_ONCE} at once, all slides; 60, or what plain threads take",
            p95(flooded),
            most,
        ),
        Claim("ms a tile that was asked for before, 95 %", p95(found.again), MAX_TILE_P95_MS),
    ]


def show(found: Found) -> None:
    head = (
        "slide",
        "first view, s",
        "looking: tiles, median, 95 %, most, ms",
        "flood: median, 95 %, ms",
        "plain threads",
    )
    rows = [
        (
            name,
            spread(found.first_view[name]),
            f"{len(taken)}: {told(taken, 50, 95)}, {1000 * max(taken):.0f}",
            told(found.flood[name], 50, 95),
            told(found.plain[name], 50, 95),
        )
        for name, taken in sorted(found.looking.items())
    ]
    print(table(head, rows) + "\n")
    kinds = (
        ("while looking", together(found.looking)),
        ("in the flood", together(found.flood)),
        ("in the flood, once more", found.again),
        ("in the flood, plain threads", together(found.plain)),
    )
    print(table(("all slides", "median ms", "95 %", "99 %"), [(name, *told(taken, 50, 95, 99).split(", ")) for name, taken in kinds]))  # fmt: skip
    rate = AT_ONCE / statistics.mean(together(found.flood))
    print(f"\n{rate:.0f} new tiles a second in the flood; CPU of server and decoders: {spread([1000 * cost for cost in found.cpu_a_tile])} ms each")  # fmt: skip


def told(taken: Sequence[float], *shares: int) -> str:
    return ", ".join(f"{1000 * percentile(taken, share):.0f}" for share in shares)


def percentile(values: Sequence[float], share: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1] if len(values) > 1 else values[0]


def p95(values: Sequence[float]) -> float:
    return 1000 * percentile(values, 95)


def together(by_slide: Mapping[str, Sequence[float]]) -> list[float]:
    return [value for values in by_slide.values() for value in values]


def worst_median(by_slide: Mapping[str, Sequence[float]]) -> float:
    return max(statistics.median(values) for values in by_slide.values())


async def slides_of(client: Client) -> list[tuple[str, str]]:
    """Return id and name of each slide that can be looked at."""
    return [(row["slide"], row["name"]) for row in (await client.json("/api/cases"))["cases"] if row["viewable"]]


async def first_views(link: str, found: Found) -> None:
    """Measure the seconds until each slide's first view is there."""
    async with Client(link, BROWSER_CONNECTIONS) as client:
        for slide, name in await slides_of(client):
            started = time.perf_counter()
            case = await client.json(f"/api/cases/{slide}")
            await client.seconds(beside_tiles(slide, case))
            await client.seconds([path_of(slide, tile) for tile in fitting(case["view"])])
            found.first_view.setdefault(name, []).append(time.perf_counter() - started)


def beside_tiles(slide: str, case: Mapping[str, Any]) -> list[str]:
    """Return what the page asks for besides tiles when it opens a case."""
    base = f"/api/cases/{slide}"
    paths = [f"{base}/outlines"] * case["outlines"] + [f"{base}/thumbnail"] * case["thumbnail"]
    paths += [f"{base}/heat/{layer['id']}" for layer in (case["heat"] or {}).get("layers", [])[:1]]
    for tile in (*case["top"][:CROPS], *case["bottom"][:CROPS]):
        box = f"x={tile['x']}&y={tile['y']}&width={round(tile['size_x'])}&height={round(tile['size_y'])}"
        paths.append(f"{base}/crop?{box}&px={CROP_PX}")
    return paths


async def looking(link: str, found: Found, *, seed: int, moves: int) -> None:
    """Measure each tile that comes into a window that is moved over each slide."""
    async with Client(link, AT_ONCE) as client:
        for slide, name in await slides_of(client):
            case = await client.json(f"/api/cases/{slide}")
            taken = found.looking.setdefault(name, [])
            others = asyncio.create_task(opened(link, slide, case))
            seen: set[Tile] = set()
            for pause, tiles in moved(case["view"], random.Random(f"{seed} {name}"), moves):
                new = [tile for tile in tiles if tile not in seen]
                seen.update(new)
                taken += await client.seconds([path_of(slide, tile) for tile in new])
                await asyncio.sleep(pause)
            await others


async def opened(link: str, slide: str, case: Mapping[str, Any]) -> None:
    """Ask for all that opens with a case, while its tiles are looked at already."""
    async with Client(link, BROWSER_CONNECTIONS) as client:
        await client.seconds(beside_tiles(slide, case))


def moved(view: View, dice: random.Random, moves: int) -> Iterator[tuple[float, list[Tile]]]:
    """Yield what is in the window after each move, and the pause before the next."""
    levels, level = view["levels"], first_level(view)
    x, y = view["width"] / 2, view["height"] / 2
    for kind in ("open", *dice.choices(list(MOVES), list(MOVES.values()), k=moves)):
        steps, right, down = 1, 0.0, 0.0
        if kind in ("pan", "drag"):
            steps = DRAG_STEPS if kind == "drag" else 1
            right, down = dice.uniform(-1, 1) * WINDOW[0], dice.uniform(-1, 1) * WINDOW[1]
        elif kind == "jump":
            x, y, level = dice.uniform(0, view["width"]), dice.uniform(0, view["height"]), 0
        elif kind != "open":
            level = min(max(level + (1 if kind == "farther" else -1), 0), len(levels) - 1)
        for step in range(1, steps + 1):
            downsample = levels[level]["downsample"]
            x = min(max(x + right / steps * downsample, 0), view["width"])
            y = min(max(y + down / steps * downsample, 0), view["height"])
            yield (DRAG_S if step < steps else dice.uniform(*PAUSE_S)), in_window(level, levels[level], x, y)


def in_window(number: int, level: Mapping[str, Any], x: float, y: float) -> list[Tile]:
    """Return the tiles in a window around (x, y) in level-0 px, the nearest to its middle first."""
    across, down, side = x / level["downsample"], y / level["downsample"], level["tile_px"]
    columns, rows = -(-level["width"] // side), -(-level["height"] // side)
    left, top = (
        int(max(middle - length / 2, 0) // side) for middle, length in zip((across, down), WINDOW, strict=True)
    )
    right, bottom = (int((middle + length / 2) // side) for middle, length in zip((across, down), WINDOW, strict=True))
    found = [
        (number, column, row)
        for row in range(top, min(bottom, rows - 1) + 1)
        for column in range(left, min(right, columns - 1) + 1)
    ]
    return sorted(found, key=lambda tile: (tile[1] + 0.5 - across / side) ** 2 + (tile[2] + 0.5 - down / side) ** 2)


def first_level(view: View) -> int:
    """Return the level that shows the whole slide in the window."""
    px = min(WINDOW[0] / view["width"], WINDOW[1] / view["height"])
    enough = [number for number, level in enumerate(view["levels"]) if level["downsample"] * px <= SOFTEST]
    return enough[-1] if enough else 0


def fitting(view: View) -> list[Tile]:
    number = first_level(view)
    return all_tiles(number, view["levels"][number])


def all_tiles(number: int, level: Mapping[str, Any]) -> list[Tile]:
    columns, rows = -(-level["width"] // level["tile_px"]), -(-level["height"] // level["tile_px"])
    return [(number, column, row) for row in range(rows) for column in range(columns)]


def path_of(slide: str, tile: Tile) -> str:
    return f"/api/cases/{slide}/tiles/{tile[0]}/{tile[1]}/{tile[2]}"


async def flood(link: str, process: int, found: Found, *, seed: int, count: int) -> list[tuple[str, View, list[Tile]]]:
    """Measure tiles in random order, AT_ONCE under way all the time, and all of them once more; return them by slide."""
    dice, flooded = random.Random(seed), []
    async with Client(link, AT_ONCE) as client:
        tiles, spent = 0, 0.0
        for slide, name in await slides_of(client):
            view = (await client.json(f"/api/cases/{slide}"))["view"]
            places = [tile for number, level in enumerate(view["levels"]) for tile in all_tiles(number, level)]
            chosen = dice.sample(places, min(len(places), count))
            flooded.append((name, view, chosen))
            paths = [path_of(slide, tile) for tile in chosen]
            before = cpu_s(process)
            found.flood.setdefault(name, []).extend(await client.seconds(paths))
            tiles, spent = tiles + len(paths), spent + cpu_s(process) - before
            found.again += await client.seconds(paths)
        found.cpu_a_tile.append(spent / tiles)
    return flooded


def plainly(path: Path, view: View, tiles: Sequence[Tile]) -> list[float]:
    """Return the seconds that tiles take by threads that read and code them, AT_ONCE under way all the time."""
    slide: Any
    try:
        slide = openslide.OpenSlide(path)
    except openslide.OpenSlideError:
        slide = tiffslide.TiffSlide(path)
    room, told = threading.Semaphore(AT_ONCE), []

    def read(tile: Tile, asked: float) -> float:
        number, column, row = tile
        level = view["levels"][number]
        side, downsample = level["tile_px"], level["downsample"]
        place = (round(column * side * downsample), round(row * side * downsample))
        size = (min(side, level["width"] - column * side), min(side, level["height"] - row * side))
        try:
            slide.read_region(place, number, size).convert("RGB").save(BytesIO(), "JPEG", quality=88)
        finally:
            room.release()
        return time.perf_counter() - asked

    with ThreadPoolExecutor(cores()) as threads:
        for tile in tiles:
            if tile[0] < slide.level_count:
                room.acquire()
                told.append(threads.submit(read, tile, time.perf_counter()))
    slide.close()
    return [one.result() for one in told]


def files_of(out: Path, slides: Path) -> dict[str, Path]:
    """Return a file of each slide by its name."""
    rows = map(json.loads, (out / "results.jsonl").read_text(encoding="utf-8").splitlines())
    found = {row["path"]: slides / row["path"] for row in rows}
    return {name: min(path.iterdir()) if path.is_dir() else path for name, path in found.items()}


def drawn(folder: Path) -> Path:
    """Draw two slides of 12,000 px, one of JPEG and one of JPEG 2000."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests import make

    folder.mkdir()
    picture = make.draw_tissue(12_000, 12_000)
    for name, compression in (("jpeg.svs", "jpeg"), ("jpeg2000.svs", "jpeg2000")):
        make.write_svs(folder / name, picture, compression=compression)
    return folder


def ran(slides: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "wsi.cli", str(slides), "-o", str(out), "-q"]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "2"})
    return out


if __name__ == "__main__":
    main()
