"""A reader as another package would offer it: a file that starts with ECHO, a width and a height."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.geometry import Bounds, Level, Mpp, Point, Region, Size


class EchoSource:
    """A green slide."""

    reader = "echo"
    properties: Mapping[str, str] = {}
    metadata_mpp: Mpp | None = None

    def __init__(self, path: Path) -> None:
        width, height = (int(word) for word in path.read_text().split()[1:])
        self.levels = (Level(Size(width, height), 1.0),)
        self.bounds = Bounds(Point(0, 0), Size(width, height))

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        """Return green."""
        return np.full((region.size.height, region.size.width, 3), (0, 128, 0), np.uint8)

    def close(self) -> None:
        """Nothing is open."""


class EchoReader:
    """The entry point."""

    def sniff(self, path: Path, head: bytes) -> bool:
        """Return whether the file is ours."""
        return head.startswith(b"ECHO")

    def open(self, path: Path) -> EchoSource:
        """Open it."""
        return EchoSource(path)


READER = EchoReader()
