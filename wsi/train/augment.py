"""Tiles as another laboratory and another orientation would have given them, drawn from a seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
"""Optical densities of hematoxylin, eosin and a rest. Source: Ruifrok and Johnston 2001."""
_UNMIX = np.linalg.inv(STAINS)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Jitter:
    """How far views go: the spread of the factors and of the added amounts of each stain; turns and mirrors or not."""

    factor: float = 0.2
    amount: float = 0.02
    turns: bool = True


def view(tile: Pixels, rng: np.random.Generator, jitter: Jitter) -> Pixels:
    """Return a view `(S, S, 3)` of a tile: turned, mirrored, its stains stronger or weaker.

    Source: Tellez et al. 2018, HED color augmentation.
    """
    if jitter.turns:
        tile = np.rot90(tile, int(rng.integers(4)))
        tile = tile[:, ::-1] if rng.random() < 0.5 else tile
    factors, amounts = rng.normal(1, jitter.factor, 3), rng.normal(0, jitter.amount, 3)
    return np.ascontiguousarray(stained(tile, factors, amounts))


def stained(tile: Pixels, factors: NDArray[np.float64], amounts: NDArray[np.float64]) -> Pixels:
    """Return a tile `(S, S, 3)` whose amounts of hematoxylin, eosin and rest are `factors` times as large, plus `amounts`."""
    density = -np.log((tile.astype(np.float32) + 1) / 256)  # (S, S, 3)
    mix = (_UNMIX * factors) @ STAINS  # unmixing, factors and mixing in one
    changed = density @ mix.astype(np.float32) + (amounts @ STAINS).astype(np.float32)
    pixels: Pixels = np.clip(np.rint(256 * np.exp(-changed) - 1), 0, 255).astype(np.uint8)
    return pixels
