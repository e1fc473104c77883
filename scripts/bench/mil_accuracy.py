"""Accuracy of every head on MUSK1, FOX and ELEPHANT, over folds that come with the data, beside published figures."""

import math
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from form import Claim
from numpy.typing import NDArray

from wsi.mil import HEADS, HeadSpec
from wsi.train.loop import Cases, Fit, read_logits
from wsi.train.recipe import Recipe
from wsi.train.start import start_head
from wsi.train.tasks import Task

SETS = ("musk1", "fox", "elephant")
PUBLISHED = {
    "mi-Net": {"musk1": (0.889, 0.039), "fox": (0.613, 0.035), "elephant": (0.858, 0.037)},
    "gated attention": {"musk1": (0.900, 0.050), "fox": (0.603, 0.029), "elephant": (0.857, 0.027)},
}
"""Mean and standard error. Source: Ilse et al. 2018, table 1."""
BESIDE = {"mean": "mi-Net", "max": "mi-Net"}
"""Which of them a head is held against; the others against gated attention."""
RECIPE = Recipe(epochs=30, patience=0, batch=4, learning_rate=5e-4, balanced=False, device="cpu")
"""One for all heads and sets: the epochs are fixed, so no bag that a fold holds back is looked at in training."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One fold of one set for one head."""

    data: Path
    head: str
    fold: int


def spec_of(head: str) -> HeadSpec:
    return HeadSpec(head, hidden=128, width=64, dropout=0.5, instances=2, heads=4, landmarks=64)


def run_trial(trial: Trial) -> float:
    """Return the share of the fold's held-out bags that the head gets right."""
    with np.load(trial.data) as file:
        tiles, places, labels = file["x"], file["bag"], file["y"].astype(np.float64)
        training: NDArray[np.bool_] = file["folds"].reshape(-1, len(labels))[trial.fold]
    bags = [tiles[places == i] for i in np.unique(places)]
    cases = Cases(lambda i: bags[i], labels[:, None])
    train, held_out = np.flatnonzero(training).tolist(), np.flatnonzero(~training).tolist()
    head = start_head(spec_of(trial.head), tiles.shape[1], seed=trial.fold)
    with tempfile.TemporaryDirectory() as folder:
        fit = Fit(head, Task("binary", ("no", "yes")), RECIPE, cases, train, [], trial.fold)
        fit.run(Path(folder) / "checkpoint.safetensors", key="bench")
    logits = read_logits(head, cases.read, held_out)[:, 0].numpy()
    return float(np.mean((logits > 0) == (labels[held_out] > 0.5)))


def accuracy(folder: Path, *, folds: int, jobs: int) -> tuple[list[str], list[list[str]], list[Claim]]:
    """Return the table's head and rows, and the claims: no more errors than published plus one standard error."""
    claims, cells = [], {}
    with ProcessPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for name, head in product(SETS, HEADS):
            right = list(pool.map(run_trial, [Trial(folder / f"{name}.npz", head, fold) for fold in range(folds)]))
            mean, error = float(np.mean(right)), float(np.std(right)) / math.sqrt(len(right))
            cells[head, name] = f"{mean:.3f} ± {error:.3f}"
            published, spread = PUBLISHED[BESIDE.get(head, "gated attention")][name]
            claims.append(Claim(f"{name}, {head}: share of bags wrong", 1 - mean, 1 - published + spread))
            print(f"{name} {head} {cells[head, name]}", flush=True)
    rows = [[head, *(cells[head, name] for name in SETS)] for head in HEADS] + list(_published())
    return ["head", *SETS], rows, claims


def _published() -> Iterator[list[str]]:
    for name, told in PUBLISHED.items():
        yield [f"{name}, published", *(f"{told[one][0]:.3f} ± {told[one][1]:.3f}" for one in SETS)]
