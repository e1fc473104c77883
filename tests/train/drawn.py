"""Drawn cohorts: bags of features of which some tiles carry what the label says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi.train.loop import Cases

DIM = 5


@dataclass(frozen=True, slots=True)
class Bags:
    """Bags `(N, D)`, kept in memory."""

    bags: tuple[NDArray[np.float32], ...]

    def __call__(self, case: int) -> NDArray[np.float32]:
        return self.bags[case]


def draw_bags(
    strengths: NDArray[np.float64], *, tiles: tuple[int, int] = (3, 9), share: float = 0.5, seed: int = 0
) -> Bags:
    """Return a bag a case; a share of its tiles (at least one) is moved by the case's strength along feature 0."""
    rng = np.random.default_rng(seed)
    made = []
    for strength in strengths:
        bag = rng.normal(0, 1, (int(rng.integers(*tiles)), DIM))
        bag[: max(1, round(share * len(bag))), 0] += strength
        made.append((10 * bag + 3).astype(np.float32))
    return Bags(tuple(made))


def two_classes(cases: int, *, strength: float = 4.0, seed: int = 0) -> Cases:
    """Return cases of classes 0 and 1 in turn; those of class 1 hold tiles that are moved."""
    labels = (np.arange(cases) % 2).astype(np.float64)
    return Cases(draw_bags(strength * labels, seed=seed), labels[:, None])
