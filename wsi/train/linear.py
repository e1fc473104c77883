"""Fit the linear head: to its one optimum, without epochs or chance; tiles like those of a background are passed over."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from wsi.mil import Head, make_head
from wsi.train.background import background_tiles, some_tiles
from wsi.train.linear_head import SLOPE, Direction, cost_of, set_weights
from wsi.train.probe import Span, fit_ridge
from wsi.train.settings import LinearConfig
from wsi.train.start import fit_standard
from wsi.train.study import Study
from wsi.train.tasks import Floats, Task, fitted, is_known

GATE_RIDGE = 0.15
"""Penalty of the regression against background, a tile."""


def fit_linear_head(study: Study, task: Task, train: Sequence[int]) -> Head:
    """Return the head fitted to these cases; all cases count as the task's weights say.

    Raises:
        UsageError: the background holds no tile.
    """
    config = study.config.linear
    known = is_known(study.labels, task)
    places = [i for i in train if known[i]]
    head = make_head(study.spec, study.bags.dim)
    fit_standard(head, study.bags.__getitem__, places)
    foreground = _fit_foreground(study, head, places)
    if places:
        weights, bias = _fit_cases(study, task, places, head, foreground)
        set_weights(head, weights, bias, foreground, config)
    return head.eval()


def _standard(head: Head, features: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        found: NDArray[np.float32] = head.norm(torch.from_numpy(features)).numpy()
    return found


def _fit_foreground(study: Study, head: Head, places: Sequence[int]) -> Direction | None:
    """Return what tells the cases' tiles from background, both counting alike; None without a background."""
    bags = study.background.for_cases(places)
    if not study.background.bags:
        return None
    tiles = np.concatenate([some_tiles(study.bags[i]) for i in places])
    others = background_tiles(bags, header=study.bags.header)
    labels = np.repeat([1.0, 0.0], [len(tiles), len(others)])[:, None]
    task = fitted(Task("binary", ("background", "foreground")), labels, balanced=True)
    rows = torch.from_numpy(_standard(head, np.concatenate([tiles, others]))).double()
    found = fit_ridge(rows, torch.from_numpy(labels), task, GATE_RIDGE * len(rows))
    weights, bias = found.arrays()
    return Direction(weights[:, 0], float(bias[0]))


def _fit_cases(
    study: Study, task: Task, places: Sequence[int], head: Head, foreground: Direction | None
) -> tuple[Floats, Floats]:
    """Return the weights `(D, M)` on standardized features and the biases `(C,)`."""
    config = study.config.linear
    read = [_read(_standard(head, study.bags[i]), foreground, config) for i in places]
    rows, lacks = np.stack([row for row, _ in read]), np.array([lack for _, lack in read])
    span = Span(rows, least=1e-6)
    offset = -cost_of(task.kind, config) * torch.from_numpy(lacks)[:, None]  # (n, 1)
    labels = torch.from_numpy(study.labels[list(places)])
    return span.arrays(fit_ridge(span.project(rows), labels, task, config.ridge, offset=offset))


def _read(tiles: NDArray[np.float32], foreground: Direction | None, config: LinearConfig) -> tuple[Floats, float]:
    """Return the mean of a bag's tiles `(N, D)`, weighed by attention, and of what they lack."""
    if foreground is None:
        return tiles.mean(axis=0, dtype=np.float64), 0.0
    lack = np.maximum(config.margin - foreground.bias - tiles @ foreground.weight, 0.0)  # (N,)
    attention = np.exp(-config.silence * np.tanh(lack / SLOPE))
    attention /= attention.sum()
    return attention @ tiles, float(attention @ lack)
