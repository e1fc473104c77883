"""A small space of features in which stain, scale and focus count for little."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.linalg
from cohort import Bag
from numpy.typing import NDArray

Array = NDArray[np.float64]
Features = NDArray[np.float32]
REDUCED = 200
"""Principal components kept before anything else: 73 % of the variance."""
NUISANCE = 0.2
"""Ridge on the covariance between views of one tile, as a share of its mean: smaller ignores the views' differences more."""
LEAST_STD = 0.02


@dataclass(frozen=True, slots=True)
class Sample:
    """A bag with its features, and the sums over them that `fit_space` needs."""

    bag: Bag
    views: Features
    """`(V, N, D)`, the first view is the tile itself."""
    bloody: Features
    """`(N, D)`, the same tiles without nuclei."""
    shifted: Features
    """`(S, N, D)`, the tiles in other colors and at other scales: for tests alone."""
    mean: Array
    """`(D,)`."""
    second: NDArray[np.float32]
    """`(D, D)`, mean over tiles of the outer product of the tile's mean over views."""
    within: NDArray[np.float32]
    """`(D, D)`, mean covariance between the views of a tile."""


def read_sample(bag: Bag, path: Path) -> Sample:
    """Return a bag's features from the file that `features.extract` made."""
    with np.load(path, allow_pickle=False) as stored:
        clean, views, bloody, shifted = (
            stored[name].astype(np.float32) for name in ("clean", "views", "bloody", "shifted")
        )
    seen = np.concatenate([clean[None], views])
    tile = seen.mean(axis=0)  # (N, D)
    off = (seen - tile).reshape(-1, seen.shape[-1])  # (V * N, D)
    mean, second, within = tile.mean(axis=0).astype(np.float64), tile.T @ tile / len(tile), off.T @ off / len(off)
    return Sample(bag, seen, bloody, shifted, mean, second, within)


@dataclass(frozen=True, slots=True)
class Space:
    """`((features - mean) / std) @ axes`: `(..., D)` to `(..., K)`, the axes most telling first, of unit variance."""

    mean: Array
    std: Array
    axes: Array

    def project(self, features: Features) -> Array:
        """Return `(..., K)`."""
        found: Array = ((features - self.mean) / self.std) @ self.axes
        return found


def fit_space(samples: Sequence[Sample], *, dim: int) -> Space:
    """Return the space in which tiles differ most, relative to how much the views of one tile differ.

    No label is used. Source of the idea: within-class covariance normalization, with "class" the tile.
    """
    mean = np.mean([s.mean for s in samples], axis=0)
    second = np.mean([s.second for s in samples], axis=0, dtype=np.float64)
    within = np.mean([s.within for s in samples], axis=0, dtype=np.float64)
    between = second - np.outer(mean, mean)
    std = np.sqrt(np.diag(between) + np.diag(within)) + LEAST_STD
    scale = np.outer(std, std)
    values, vectors = _largest((between + within) / scale, REDUCED)
    first = vectors / np.sqrt(values)  # (D, R), to unit variance
    between, within = (first.T @ (matrix / scale) @ first for matrix in (between, within))  # (R, R)
    values, vectors = np.linalg.eigh(within + NUISANCE * np.trace(within) / REDUCED * np.eye(REDUCED))
    whiten = vectors / np.sqrt(values) @ vectors.T  # (R, R)
    values, vectors = _largest(whiten @ between @ whiten, dim)
    return Space(mean, std, first @ whiten @ vectors / np.sqrt(values))


def _largest(symmetric: Array, n: int) -> tuple[Array, Array]:
    """Return the n largest eigenvalues and their vectors in columns, each with its largest entry positive."""
    size = len(symmetric)
    values, vectors = scipy.linalg.eigh(symmetric, subset_by_index=[size - n, size - 1])
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(n)])
    return values[::-1], vectors[:, ::-1]
