"""Frames of a TIFF that were lost: OpenSlide paints them from a coarser level, or leaves them clear."""

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from wsi.geometry import Size

MAX_PAGES = 256
"""Directories of a TIFF that are looked at; slides have a dozen or two."""


@dataclass(frozen=True, slots=True)
class Holes:
    """Lost frames of one level: `lost` is `(rows, columns)` bool, `frame` the size of one."""

    frame: Size
    lost: NDArray[np.bool_]

    def touch(self, x: float, y: float, size: Size) -> bool:
        """Return whether a box at (x, y) in px of the level has px of a lost frame."""
        left, top = max(0, int(x // self.frame.width)), max(0, int(y // self.frame.height))
        right, bottom = -int(-(x + size.width) // self.frame.width), -int(-(y + size.height) // self.frame.height)
        return bool(self.lost[top : max(top, bottom), left : max(left, right)].any())


def find_holes(path: Path, sizes: list[Size]) -> dict[int, Holes]:
    """Return the lost frames of a TIFF's levels, by level; most often there are none.

    Lost is a frame of no bytes at a place that was given to it. No bytes and no place is how glass is left out.
    """
    found: dict[int, Holes] = {}
    with contextlib.suppress(tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, TypeError):
        with tifffile.TiffFile(path) as file:
            for page in itertools.islice(file.pages, MAX_PAGES):
                level = level_of(page, sizes)
                if level is None or level in found:
                    continue
                counts, offsets = np.asarray(page.databytecounts), np.asarray(page.dataoffsets)
                columns = -(-sizes[level].width // page.tilewidth)  # type: ignore[union-attr]
                rows = -(-sizes[level].height // page.tilelength)  # type: ignore[union-attr]
                lost = ((counts == 0) & (offsets != 0))[: rows * columns]
                if lost.any():
                    frame = Size(page.tilewidth, page.tilelength)  # type: ignore[union-attr]
                    found[level] = Holes(frame, lost.reshape(rows, columns))
    return found


def level_of(page: object, sizes: Sequence[Size]) -> int | None:
    """Return which of the levels a page of a TIFF holds; None when none, or not in tiles."""
    if not getattr(page, "is_tiled", False):
        return None
    size = Size(page.imagewidth, page.imagelength)  # type: ignore[attr-defined]
    return sizes.index(size) if size in sizes else None
