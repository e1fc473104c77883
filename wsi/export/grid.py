"""Tile values laid out as a picture: one cell a stride, NaN where no tile lies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi.geometry import Bounds
from wsi.results import Scale


@dataclass(frozen=True, slots=True)
class Grid:
    """values `(rows, columns)` float32; x, y: level-0 px of its corner; cell_x, cell_y: level-0 px a cell."""

    values: NDArray[np.float32]
    x: int
    y: int
    cell_x: float
    cell_y: float


def lay_out(coords: NDArray[np.int32], values: NDArray[np.float32], scale: Scale) -> Grid:
    """Average the values of the tiles over each cell of the tile grid.

    Args:
        coords: `(N, 2)` level-0 top-left, N >= 1.
        values: `(N,)`.
        scale: a tile covers tile_px0 / stride_px0 cells along each axis, rounded, at least one.
    """
    corner = coords.min(axis=0)
    cell = np.array([scale.stride_px0_x, scale.stride_px0_y])
    first = np.rint((coords - corner) / cell).astype(np.int64)
    span = (_cells(scale.tile_px0_x / cell[0]), _cells(scale.tile_px0_y / cell[1]))
    total = _spread(first, values, span)
    count = np.rint(_spread(first, np.ones(len(values)), span))
    mean = np.full(total.shape, np.nan, np.float32)
    np.divide(total, count, out=mean, where=count > 0, casting="unsafe")
    return Grid(mean, int(corner[0]), int(corner[1]), float(cell[0]), float(cell[1]))


def _cells(ratio: float) -> int:
    return max(1, round(ratio))


def _spread(first: NDArray[np.int64], values: NDArray[np.floating], span: tuple[int, int]) -> NDArray[np.float64]:
    """Return the sum over the tiles of each cell: a difference at four corners of a tile, summed up twice."""
    columns, rows = first.max(axis=0) + span + 1
    steps = np.zeros(rows * columns)
    for right in (0, 1):
        for down in (0, 1):
            place = (first[:, 1] + down * span[1]) * columns + first[:, 0] + right * span[0]
            steps += np.bincount(place, weights=values * (-1) ** (right + down), minlength=steps.size)
    return steps.reshape(rows, columns).cumsum(axis=0).cumsum(axis=1)[:-1, :-1]


def sample(grid: Grid, area: Bounds, *, width: int, height: int, rows: slice) -> NDArray[np.float32]:
    """Return rows of a picture of `area` that is `width` x `height` px: the cell under each px, NaN for none."""
    x = _centers(area.location.x, area.size.width, width)
    y = _centers(area.location.y, area.size.height, height)[rows]
    column = np.floor((x - grid.x) / grid.cell_x).astype(np.int64)
    row = np.floor((y - grid.y) / grid.cell_y).astype(np.int64)
    return _cell(grid.values, row, column)


def smooth(grid: Grid, area: Bounds, *, width: int, height: int) -> NDArray[np.float32]:
    """Return a picture `(height, width)` of `area` with values blended between cells, NaN outside the tiles.

    Blending is bilinear over the cells that hold a tile, so empty neighbors don't cool the border.
    """
    x = (_centers(area.location.x, area.size.width, width) - grid.x) / grid.cell_x
    y = (_centers(area.location.y, area.size.height, height) - grid.y) / grid.cell_y
    total = np.zeros((height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    for down in (0, 1):
        row = np.floor(y - 0.5).astype(np.int64) + down
        share_y = 1 - np.abs(y - 0.5 - row)
        for right in (0, 1):
            column = np.floor(x - 0.5).astype(np.int64) + right
            share = np.outer(share_y, 1 - np.abs(x - 0.5 - column)).astype(np.float32)
            cell = _cell(grid.values, row, column)
            share[np.isnan(cell)] = 0
            total += share * np.nan_to_num(cell)
            weight += share
    inside = ~np.isnan(_cell(grid.values, np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)))
    picture = np.full((height, width), np.nan, np.float32)
    np.divide(total, weight, out=picture, where=inside & (weight > 0))
    return picture


def _centers(start: int, length: int, count: int) -> NDArray[np.float64]:
    return start + np.arange(0.5, count, dtype=np.float64) * (length / count)


def _cell(values: NDArray[np.float32], row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float32]:
    rows, columns = values.shape
    outside = ((row < 0) | (row >= rows))[:, None] | ((column < 0) | (column >= columns))[None, :]
    cell = values[np.ix_(np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1))]
    cell[outside] = np.nan
    return cell


def percentile(attention: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each tile the percentage of tiles with less attention, half of its equals counted in.

    Attention over many tiles is tiny and skewed; its rank is what can be seen in a picture.
    """
    _, group, size = np.unique(attention, return_inverse=True, return_counts=True)
    below = np.concatenate([[0], np.cumsum(size)[:-1]])
    return ((below + size / 2) / max(len(attention), 1) * 100)[group].astype(np.float32)


def fit(area: Bounds, longest: int, *, finest: float = 0.0) -> tuple[int, int]:
    """Return width and height of a picture of `area` no longer than `longest` px.

    It has at most one px for every `finest` level-0 px: beyond that there is nothing more to see.
    """
    factor = max(finest, max(area.size.width, area.size.height) / longest)
    return max(1, round(area.size.width / factor)), max(1, round(area.size.height / factor))
