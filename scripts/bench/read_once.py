"""One way of reading tiles, timed in a process of its own; started by scripts/bench/read.py, prints JSON."""

import ctypes
import json
import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import tifffile
from numpy.typing import NDArray
from PIL import Image

TILE_PX = 256
CHECKED = 24
"""Tiles that are compared with OpenSlide's before the clock starts."""
BLOCK = 50
"""Tiles after which ours and the limit take turns."""
MAX_FRAME_BYTES = 3 << 20
MAX_GRAY_LEVELS = {1.0: 0.5, 2.0: 2.5, 2.6: 2.5}
Cut = Callable[[int, int], NDArray[np.uint8]]
Places = list[tuple[int, int]]


def main() -> None:
    """Read tiles in one way: read_once.py WAY SLIDE RATIO TILES LIMIT."""
    way, path = sys.argv[1], Path(sys.argv[2])
    if way == "draw":
        draw(path, sys.argv[3])
        return
    ratio, tiles = float(sys.argv[3]), int(sys.argv[4])
    places = tissue_places(path, ratio, tiles)
    is_limit = way == "limit"
    told = beside_limit(path, places, Path(sys.argv[5])) if is_limit else timed(way, path, ratio, places)
    told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told))


def draw(path: Path, compression: str) -> None:
    """Draw a slide of tissue without glass: its px are as hard to compress as those of a real one."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests import make

    block = make.draw_tissue(2048, 2048, seed=7)
    noise = np.random.default_rng(7).normal(0, 6, (*block.shape[:2], 1))
    block = np.clip(block + noise, 0, 255).astype(np.uint8)
    make.write_svs(path, np.tile(block, (4, 4, 1)), compression=compression)


def tissue_places(path: Path, ratio: float, tiles: int) -> Places:
    """Return corners of tiles in rows, on the grid of their size, where the file stores the most bytes."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        across, down = page.imagewidth // page.tilewidth, page.imagelength // page.tilelength
        columns = -(-page.imagewidth // page.tilewidth)
        counts = np.asarray(page.databytecounts).reshape(-1, columns)[:down, :across]
        frame = page.tilewidth
    side = math.ceil(TILE_PX * ratio)
    grid = [
        (x, y)
        for y in range(0, down * frame - side, round(TILE_PX * ratio))
        for x in range(0, across * frame - side, round(TILE_PX * ratio))
    ]
    weights = np.array(
        [counts[y // frame : -(-(y + side) // frame), x // frame : -(-(x + side) // frame)].mean() for x, y in grid]
    )
    kept = np.sort(np.argsort(-weights, kind="stable")[:tiles])
    return [grid[i] for i in kept]


def timed(way: str, path: Path, ratio: float, places: Places) -> dict[str, float]:
    """Compare some tiles with OpenSlide's, then time them all."""
    reference = plain_openslide(path, ratio)
    read = WAYS[way](path, ratio)
    off = [np.abs(read(*at).astype(int) - reference(*at)).mean() for at in places[:: max(1, len(places) // CHECKED)]]
    if max(off) > MAX_GRAY_LEVELS[ratio]:
        raise SystemExit(f"{way}: a tile is {max(off):.2f} gray levels off; nothing was timed")
    read = WAYS[way](path, ratio)  # with nothing kept from the comparison
    read(*places[-1])  # what is done at the first read only
    started, wall = time.process_time(), time.perf_counter()
    for at in places:
        read(*at)
    cpu_s, wall_s = time.process_time() - started, time.perf_counter() - wall
    return {
        "cpu_ms": cpu_s / len(places) * 1e3,
        "wall_ms": wall_s / len(places) * 1e3,
        "gray_levels": float(np.mean(off)),
    }


def ours(path: Path, ratio: float) -> Cut:
    """Return our reader: windows from the best px of level 0, resampled as a run does it."""
    import torch

    from wsi.encode.resample import resample
    from wsi.geometry import best_shrink
    from wsi.read import Shrinking, open_slide
    from wsi.tile import Footprint, Reading, find_window, read_tile, read_window

    torch.set_num_threads(1)
    source, footprint = open_slide(path), Footprint(TILE_PX * ratio, TILE_PX * ratio)
    shrink = best_shrink(ratio, source.shrinks(0)) if isinstance(source, Shrinking) else 1
    reading = Reading(level=0, shrink=shrink, step=float(shrink))  # as if there were no level nearer
    window = find_window(reading.step, np.zeros((1, 2), np.int32), footprint=footprint, tile_px=TILE_PX)

    def cut(x: int, y: int) -> NDArray[np.uint8]:
        x, y = x - x % shrink, y - y % shrink
        if window is None:
            return read_tile(source, x, y, footprint=footprint, tile_px=TILE_PX, reading=reading)
        px = read_window(source, x, y, reading=reading, size=window.size)
        if window.is_tile:
            return px
        tile: NDArray[np.uint8] = resample(px[None].copy(), scale=window.scale, tile_px=TILE_PX)[0]
        return tile

    return cut


def plain_openslide(path: Path, ratio: float) -> Cut:
    """Return what a plain script does with OpenSlide."""
    return _resized(openslide.OpenSlide(path), ratio)


def plain_tiffslide(path: Path, ratio: float) -> Cut:
    """Return what a plain script does with tiffslide."""
    import tiffslide

    return _resized(tiffslide.TiffSlide(path), ratio)


def _resized(slide: Any, ratio: float) -> Cut:
    side = math.ceil(TILE_PX * ratio)
    shift = 2 if ratio >= 2 else 1  # the grain on which our corners lie

    def cut(x: int, y: int) -> NDArray[np.uint8]:
        image = slide.read_region((x - x % shift, y - y % shift), 0, (side, side)).convert("RGB")
        if ratio == 1:
            return np.asarray(image)
        box = (0, 0, TILE_PX * ratio, TILE_PX * ratio)
        return np.asarray(image.resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC, box=box))

    return cut


def plain_cucim(path: Path, ratio: float) -> Cut:
    """Return what a plain script does with cuCIM on the CPU."""
    try:
        from cucim import CuImage  # type: ignore[import-not-found]
    except ImportError:
        sys.exit(3)
    slide, side = CuImage(str(path)), math.ceil(TILE_PX * ratio)
    shift = 2 if ratio >= 2 else 1

    def cut(x: int, y: int) -> NDArray[np.uint8]:
        found = np.asarray(slide.read_region((x - x % shift, y - y % shift), (side, side), 0))
        if ratio == 1:
            return found
        box = (0, 0, TILE_PX * ratio, TILE_PX * ratio)
        return np.asarray(Image.fromarray(found).resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC, box=box))

    return cut


def beside_limit(path: Path, places: Places, program: Path) -> dict[str, float]:
    """Time libjpeg-turbo on the frames of aligned tiles, and ours on the tiles, in turns of BLOCK tiles: a machine whose
    pace changes within a second changes both."""
    decode = ctypes.CDLL(str(program)).decode
    px, read = ctypes.create_string_buffer(MAX_FRAME_BYTES), ours(path, 1.0)
    read(*places[-1])  # what is done at the first read only
    seen: set[int] = set()
    cpu_s = {"limit": 0.0, "ours": 0.0}
    for start in range(0, len(places), BLOCK):
        block = places[start : start + BLOCK]
        frames = frames_of(path, block, seen)
        lengths = (ctypes.c_long * len(frames))(*map(len, frames))
        began = time.process_time()
        decode(b"".join(frames), lengths, ctypes.c_long(len(frames)), px)
        between = time.process_time()
        for at in block:
            read(*at)
        cpu_s["limit"] += between - began
        cpu_s["ours"] += time.process_time() - between
    limit_ms, ours_ms = (seconds / len(places) * 1e3 for seconds in cpu_s.values())
    return {"cpu_ms": limit_ms, "beside_ms": ours_ms, "wall_ms": math.nan, "gray_levels": 0.0}


def frames_of(path: Path, places: Places, seen: set[int]) -> list[bytes]:
    """Return the frames of tiles as whole JPEG streams, but for those that were `seen` before."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        columns, tables = -(-page.imagewidth // page.tilewidth), page.jpegtables
        wanted = {
            row * columns + column
            for x, y in places
            for row in range(y // page.tilelength, -(-(y + TILE_PX) // page.tilelength))
            for column in range(x // page.tilewidth, -(-(x + TILE_PX) // page.tilewidth))
        } - seen
        seen |= wanted
        found = []
        for index in sorted(wanted):
            file.filehandle.seek(page.dataoffsets[index])
            stored = file.filehandle.read(page.databytecounts[index])
            found.append(tables[:-2] + stored[2:] if tables else stored)
    return found


WAYS: dict[str, Callable[[Path, float], Cut]] = {
    "ours": ours,
    "openslide": plain_openslide,
    "tiffslide": plain_tiffslide,
    "cucim": plain_cucim,
}


if __name__ == "__main__":
    main()
