"""Sizes, places and scales of a slide as types, so that no two of them are mixed up."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

MPP_MIN, MPP_MAX = 0.05, 20.0
"""µm per px outside of which no slide scanner works: finer than light, coarser than a thumbnail."""

SLACK = 1.005
"""A level whose size was rounded may be this much coarser than wanted."""

MppSource = Literal["metadata", "tiff-tags", "table", "command-line"]


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in px."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 0 or self.height < 0:
            raise ValueError(f"a size can't be negative, found {self.width} x {self.height}")

    @property
    def area(self) -> int:
        return self.width * self.height


class Point(NamedTuple):
    """A place in level-0 px, x to the right, y down."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle in a picture, in px: row and column of its center, counted from the center of the first px."""

    row: float
    column: float
    radius: float


class Region(NamedTuple):
    """A box in a slide, in OpenSlide's order and meaning.

    `location` is the top-left in level-0 px, `size` is in px of `level` over `shrink`: of a level that can be
    decoded at a fraction of its size (see `wsi.read.Shrinking`).
    """

    location: Point
    level: int
    size: Size
    shrink: int = 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """The part of level 0 that holds the scan, in level-0 px (MIRAX and kin); else the whole."""

    location: Point
    size: Size


@dataclass(frozen=True, slots=True)
class Level:
    """One stored step of the pyramid: its size and level-0 px per px of it (>= 1)."""

    size: Size
    downsample: float


@dataclass(frozen=True, slots=True)
class Mpp:
    """µm per px along x and y, and where the figures came from."""

    x: float
    y: float
    source: MppSource

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y) and self.x > 0 and self.y > 0):
            raise ValueError(f"mpp must be finite and positive, found {self.x} x {self.y}")

    @property
    def mean(self) -> float:
        """Geometric mean of x and y, which keeps areas true."""
        return math.sqrt(self.x * self.y)


def downsample_of(full: Size, size: Size) -> float:
    """Return the level-0 px per px of a level of `size`.

    Scanners shrink by whole numbers and round the sizes: 1000 x 700 px become 62 x 43, which is 16 times smaller and
    not 16.2. So a whole number that explains both sides is taken, a power of two first; else the mean ratio.
    """
    ratio = (full.width / size.width + full.height / size.height) / 2
    for whole in (2 ** max(0, round(math.log2(ratio))), round(ratio)) if ratio > 0 else ():
        if abs(full.width / whole - size.width) < 1 and abs(full.height / whole - size.height) < 1:
            return float(whole)
    return ratio


def best_level(levels: tuple[Level, ...], downsample: float) -> int:
    """Return the coarsest level that is still at least as fine as `downsample` asks for.

    A 0.5 % slack admits levels whose size was rounded; level 0 when none is fine enough.
    """
    fine = [i for i, level in enumerate(levels) if level.downsample <= downsample * SLACK]
    return max(fine, key=lambda i: levels[i].downsample, default=0)


def best_shrink(ratio: float, shrinks: tuple[int, ...] = (1, 2, 4, 8)) -> int:
    """Return by how much a level may be shrunk as it is decoded, so that a resample still gives what all px would.

    By 2 where a tile's px is 2 px of the level (`ratio`) or more. By more only to twice as fine as the tile: the rest
    is left to the resample, whose filter keeps more of the detail than the mean of 4 x 4 or 8 x 8 px.
    """
    return max(s for s in shrinks if s == 1 or ratio * SLACK >= (2 if s == 2 else 2 * s))
