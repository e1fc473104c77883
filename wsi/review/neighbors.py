"""Which tiles a person is likely to want next: what lies around those looked at last, then what a zoom step shows."""

import itertools
from collections.abc import Iterator, Sequence

from wsi.review.tiles import TileKey, View

RINGS = 2
"""Tiles in each direction from those that were asked for."""
CLOSER = 4
"""Tiles of the next finer level in each direction from the middle: about a window after one step closer."""
FEW = 320
"""A level of no more tiles than that is wanted whole: it costs no more than some windows of another."""


def neighbors(view: View, asked: Sequence[TileKey], *, most: int) -> list[TileKey]:
    """Return at most `most` tiles of a slide that weren't asked for, the likeliest first.

    Args:
        asked: tiles that were asked for, the last one last; those of its level count.
    """
    if not asked:
        return []
    there = [key for key in asked if key.level == asked[-1].level]
    likely = itertools.chain(_around(there), _coarser(view, there), _finer(view, there), _whole(view, there))
    found = dict.fromkeys(key for key in likely if view.holds(key))
    for key in asked:
        found.pop(key, None)
    return list(found)[:most]


def first_tiles(slide: str, view: View, *, most: int) -> list[TileKey]:
    """Return the tiles of the finest level that has at most `most`, which a window shows first; [] where none has."""
    found = (level_tiles(slide, view, level, most=most) for level in range(len(view.levels)))
    return next(filter(None, found), [])


def level_tiles(slide: str, view: View, number: int, *, most: int) -> list[TileKey]:
    """Return all tiles of a level in rows; [] where there are more than `most`."""
    level = view.levels[number]
    if level.columns * level.rows > most:
        return []
    return [TileKey(slide, number, column, row) for row in range(level.rows) for column in range(level.columns)]


def _around(asked: Sequence[TileKey]) -> Iterator[TileKey]:
    """Yield the tiles around each, the nearest first, those around the last one before the others."""
    for ring in range(1, RINGS + 1):
        edge = [step for step in _steps(ring) if max(map(abs, step)) == ring]
        for key in reversed(asked):
            for right, down in edge:
                yield TileKey(key.slide, key.level, key.column + right, key.row + down)


def _coarser(view: View, asked: Sequence[TileKey]) -> Iterator[TileKey]:
    """Yield the tiles of the next coarser level that these are parts of."""
    number = asked[-1].level + 1
    if number < len(view.levels):
        share = view.tile_px0(number - 1) / view.tile_px0(number)
        for key in asked:
            yield TileKey(key.slide, number, int((key.column + 0.5) * share), int((key.row + 0.5) * share))


def _finer(view: View, asked: Sequence[TileKey]) -> Iterator[TileKey]:
    """Yield tiles of the next finer level around the middle of these, the nearest first."""
    number = asked[-1].level - 1
    if number >= 0:
        share = view.tile_px0(number + 1) / view.tile_px0(number)
        column, row = (int(share * (mean + 0.5)) for mean in _middle(asked))
        for right, down in sorted(_steps(CLOSER), key=lambda step: step[0] ** 2 + step[1] ** 2):
            yield TileKey(asked[-1].slide, number, column + right, row + down)


def _whole(view: View, asked: Sequence[TileKey]) -> Iterator[TileKey]:
    """Yield all tiles of this level and of the next finer one, where they are few."""
    slide, number = asked[-1].slide, asked[-1].level
    for level in (number, number - 1) if number else (number,):
        yield from level_tiles(slide, view, level, most=FEW)


def _middle(asked: Sequence[TileKey]) -> tuple[float, float]:
    return sum(key.column for key in asked) / len(asked), sum(key.row for key in asked) / len(asked)


def _steps(reach: int) -> list[tuple[int, int]]:
    span = range(-reach, reach + 1)
    return [(right, down) for down in span for right in span]
