"""A reader plug-in for tests: slides computed from a few numbers, which do harm where they are told to.

A slide is a JSON file: {"trap": {"width": W, "height": H, "mpp": M, "bounds": [x, y, w, h], "seed": S, "harm": {...}}}. Its harm is
{"kind": K, "x": X, "y": Y, "once": FILE}: reading a tile (not the thumbnail) over level-0 px (X, Y) sets it off, and
with `once` only as long as FILE isn't there. Kinds: segv, abort, kill, stop, exit, loop, alloc, region.
"""

import ctypes
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.errors import RegionError
from wsi.geometry import Bounds, Level, Mpp, Point, Region, Size

LARGEST_TILE_PX = 1024
MARGIN = 0.1
"""Share of the slide that is glass on each side; the rest is tissue."""


class TrapSource:
    """One computed slide with one level."""

    reader = "trap"
    properties: Mapping[str, str] = {}

    def __init__(self, path: Path) -> None:
        told = json.loads(path.read_text())["trap"]
        self.seed = int(told.get("seed", 0))
        self.harm = told.get("harm", {})
        size = Size(told["width"], told["height"])
        self.levels = (Level(size, 1.0),)
        x, y, width, height = told.get("bounds", (0, 0, size.width, size.height))
        self.bounds = Bounds(Point(x, y), Size(width, height))
        self.metadata_mpp = Mpp(told["mpp"], told["mpp"], source="metadata")
        if self.harm.get("kind") == "open":
            os.kill(os.getpid(), signal.SIGSEGV)

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        at, size, full = region.location, region.size, self.levels[0].size
        if max(size.width, size.height) <= LARGEST_TILE_PX and self._over(at, size):
            _do(self.harm)
        x = np.arange(at.x, at.x + size.width)[None, :]
        y = np.arange(at.y, at.y + size.height)[:, None]
        inside_x = (x >= full.width * MARGIN) & (x < full.width * (1 - MARGIN))
        inside_y = (y >= full.height * MARGIN) & (y < full.height * (1 - MARGIN))
        grain = ((x // 8 * 31 + y // 8 * 17 + self.seed * 7) % 64).astype(np.int16)
        pixels = np.full((size.height, size.width, 3), 245, np.uint8)
        tissue = np.stack([205 - grain, 110 - grain // 2, 165 - grain // 2], axis=2).astype(np.uint8)
        mask = inside_x & inside_y
        pixels[mask] = tissue[mask]
        return pixels

    def _over(self, at: Point, size: Size) -> bool:
        if not self.harm:
            return False
        x, y = self.harm.get("x", -1), self.harm.get("y", -1)
        if not (at.x <= x < at.x + size.width and at.y <= y < at.y + size.height):
            return False
        once = self.harm.get("once")
        if once is None:
            return True
        if Path(once).exists():
            return False
        Path(once).touch()
        return True

    def close(self) -> None:
        """Nothing is open."""


def _do(harm: Mapping[str, object]) -> None:
    kind = harm["kind"]
    signals = {"segv": signal.SIGSEGV, "abort": signal.SIGABRT, "kill": signal.SIGKILL, "stop": signal.SIGSTOP}
    if kind in signals:
        os.kill(os.getpid(), signals[str(kind)])
    elif kind == "exit":
        os._exit(0)
    elif kind == "loop":
        while True:
            time.sleep(0.05)
    elif kind == "alloc":
        ctypes.memset(ctypes.create_string_buffer(16 << 30), 1, 16 << 30)
    elif kind == "region":
        raise RegionError("the trap says that this part can't be decoded")


class TrapReader:
    """The entry point."""

    def sniff(self, path: Path, head: bytes) -> bool:
        """Return whether the file is a trap."""
        return head.startswith(b'{"trap"')

    def open(self, path: Path) -> TrapSource:
        """Open it."""
        return TrapSource(path)


READER = TrapReader()
