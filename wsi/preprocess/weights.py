"""Weights by which the samples of one axis become those of another grid: sparse matrices, one row a new sample."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

THIN, TINY = 1e-3, 1e-12
Weights = Any
"""`(new, old)` scipy.sparse.csr_array of float32; each row sums to 1."""


def area_weights(old: int, new: int) -> Weights:
    """Return weights of the mean over the part of the axis that each new sample covers, shares of samples counted."""
    edges = np.arange(new + 1) * (old / new)
    edges[-1] = old
    rows, columns, weights = [], [], []
    for reach in range(int(np.ceil(old / new)) + 1):
        column = np.floor(edges[:-1]).astype(int) + reach
        covered = np.minimum(edges[1:], column + 1) - np.maximum(edges[:-1], column)
        used = (covered > 0) & (column < old)
        rows.append(np.flatnonzero(used))
        columns.append(column[used])
        weights.append(covered[used])
    return _matrix(rows, columns, weights, (new, old))


def linear_weights(old: int, new: int, scale: float, start: float) -> Weights:
    """Return weights of linear interpolation at the indices start + n x scale, held at the ends.

    Where `scale` is above 1 it is the interpolant's mean over sqrt(scale^2 - 1) samples around the index, which makes
    the new sample as wide as its step and still gives a linear ramp exactly.
    """
    width = math.sqrt(max(0.0, scale**2 - 1))
    place = start + np.arange(new) * scale
    first = np.floor(place - width / 2 - 1).astype(int) + 1
    rows, columns, weights = [], [], []
    for reach in range(math.ceil(width + 2) + 1):
        away = first + reach - place
        weight = (_hat_sum(away + width / 2) - _hat_sum(away - width / 2)) / width if width > THIN else 1 - np.abs(away)
        used = weight > TINY
        rows.append(np.flatnonzero(used))
        columns.append(np.clip(first + reach, 0, old - 1)[used])
        weights.append(weight[used])
    return _matrix(rows, columns, weights, (new, old))


def _hat_sum(away: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the integral of max(0, 1 - |t|) from far left to `away`."""
    t = np.clip(away, -1.0, 1.0)
    return np.asarray(np.where(t < 0, (1 + t) ** 2 / 2, 1 - (1 - t) ** 2 / 2), np.float64)


def nearest_weights(old: int, new: int, scale: float, start: float) -> Weights:
    """Return weights of the sample nearest to each index start + n x scale."""
    column = np.clip(np.rint(start + np.arange(new) * scale), 0, old - 1).astype(int)
    return _matrix([np.arange(new)], [column], [np.ones(new)], (new, old))


def _matrix(
    rows: Sequence[NDArray[Any]],
    columns: Sequence[NDArray[Any]],
    weights: Sequence[NDArray[Any]],
    shape: tuple[int, int],
) -> Weights:
    row, column = np.concatenate(rows), np.concatenate(columns)
    weight = np.concatenate(weights)
    total = np.bincount(row, weight, minlength=shape[0])
    return sparse.csr_array(((weight / total[row]).astype(np.float32), (row, column)), shape=shape)


def weighted(values: NDArray[Any], weights: Sequence[Weights]) -> NDArray[np.float32]:
    """Return `(C, *old)` samples as `(C, *new)` float32, weighed along one axis after the other."""
    for axis, matrix in enumerate(weights, start=1):
        if matrix.shape[0] == matrix.shape[1] and matrix.nnz == matrix.shape[0] and (matrix.diagonal() == 1).all():
            continue
        moved = np.moveaxis(values, axis, 0)
        flat = np.ascontiguousarray(moved.reshape(len(moved), -1), np.float32)  # (old, rest)
        values = np.moveaxis((matrix @ flat).reshape(matrix.shape[0], *moved.shape[1:]), 0, axis)
    return np.ascontiguousarray(values, np.float32)
