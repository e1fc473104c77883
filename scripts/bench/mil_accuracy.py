"""Accuracy of every head on MUSK1, FOX and ELEPHANT, over folds that come with the data, beside published figures."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from form import Claim
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from wsi.mil import HEADS, Head, HeadSpec
from wsi.train.recipe import Recipe, rate_at
from wsi.train.start import fit_standard, start_head

SETS = ("musk1", "fox", "elephant")
ROUND = 10
"""Folds of a round: each bag is held back once."""
PUBLISHED = {
    "mi-Net": {"musk1": (0.889, 0.039), "fox": (0.613, 0.035), "elephant": (0.858, 0.037)},
    "MI-Net": {"musk1": (0.887, 0.041), "fox": (0.622, 0.038), "elephant": (0.862, 0.034)},
    "gated attention": {"musk1": (0.900, 0.050), "fox": (0.603, 0.029), "elephant": (0.857, 0.027)},
}
"""Mean and standard error over five rounds of ten folds. Source: Ilse et al. 2018, table 1."""
BESIDE = {"mean": "MI-Net", "max": "mi-Net"}
"""Which of them a head is held against; the others against gated attention."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How heads are trained: always through all epochs, as no bag of a fold is put aside to stop by."""

    learning_rate: float
    weight_decay: float
    dropout: float

    @property
    def recipe(self) -> Recipe:
        return Recipe(epochs=40, patience=0, learning_rate=self.learning_rate, weight_decay=self.weight_decay)


SETTINGS = {
    "defaults": Setting(2e-4, 1e-2, 0.25),  # those of `wsi-run train`
    "strong": Setting(3e-3, 1.0, 0.5),
    "less dropout": Setting(3e-3, 1.0, 0.25),
}
"""One is taken for all heads of a set: the one with which gated attention does best on the two other sets."""
STAND_IN = "gated-attention"


@dataclass(frozen=True, slots=True)
class Trial:
    """One fold of one set for one head and setting."""

    name: str
    head: str
    setting: str
    fold: int


@dataclass(frozen=True, slots=True)
class Held:
    """The bags that a fold held back, and those of them that the head got wrong."""

    tested: tuple[int, ...]
    wrong: tuple[int, ...]


def spec_of(head: str, *, dropout: float) -> HeadSpec:
    return HeadSpec(head, hidden=128, width=64, dropout=dropout, instances=2, heads=4, landmarks=64)


def run_trial(folder: Path, trial: Trial) -> Held:
    """Train a head on a fold's training bags and read those that it held back."""
    setting = SETTINGS[trial.setting]
    with np.load(folder / f"{trial.name}.npz") as file:
        tiles, places, labels = file["x"], file["bag"], file["y"].astype(np.float32)
        training: NDArray[np.bool_] = file["folds"].reshape(-1, len(labels))[trial.fold]
    bags = [tiles[places == i] for i in np.unique(places)]
    padded, mask = pad(bags)
    head = start_head(spec_of(trial.head, dropout=setting.dropout), tiles.shape[1], seed=trial.fold)
    fit_standard(head, bags.__getitem__, np.flatnonzero(training).tolist())
    kept = torch.from_numpy(training)
    fit(head, padded[kept], mask[kept], torch.from_numpy(labels[training]), recipe=setting.recipe, seed=trial.fold)
    with torch.no_grad():
        logits = head(padded[~kept], mask[~kept])[0][:, 0].numpy()
    tested = np.flatnonzero(~training)
    wrong = tested[(logits > 0) != (labels[tested] > 0.5)]
    return Held(tuple(tested.tolist()), tuple(wrong.tolist()))


def pad(bags: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Return bags `(B, N, D)` with zeros after their tiles, and which tiles are real `(B, N)`."""
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(bag).float() for bag in bags], batch_first=True)
    sizes = torch.tensor([len(bag) for bag in bags])
    return padded, torch.arange(padded.shape[1]) < sizes[:, None]


def fit(head: Head, bags: Tensor, mask: Tensor, labels: Tensor, *, recipe: Recipe, seed: int) -> None:
    """Train the head by the recipe; bags this small go through it padded, a batch at once."""
    torch.manual_seed(seed)
    rate, decay = recipe.learning_rate, recipe.weight_decay
    optimizer = torch.optim.AdamW(head.parameters(), rate, weight_decay=decay, fused=True)
    auxiliary = getattr(head, "auxiliary_loss", None)
    batches = math.ceil(len(bags) / recipe.batch)
    head.train()
    for epoch in range(recipe.epochs):
        for n, batch in enumerate(torch.split(torch.randperm(len(bags)), recipe.batch)):
            for group in optimizer.param_groups:
                group["lr"] = rate_at(epoch * batches + n, recipe.epochs * batches, recipe)
            optimizer.zero_grad()
            longest = int(mask[batch].sum(dim=1).max())
            some, real, wanted = bags[batch, :longest], mask[batch, :longest], labels[batch]
            loss = binary_cross_entropy_with_logits(head(some, real)[0][:, 0], wanted)
            extra = 0.0 if auxiliary is None else auxiliary(some, real, wanted[:, None])
            torch.autograd.backward(loss + extra)
            torch.nn.utils.clip_grad_norm_(head.parameters(), recipe.clip or math.inf)
            optimizer.step()
    head.eval()


class Trials:
    """Trials that are run once: what came of each is kept in a CSV, where one is named, and taken from there again."""

    def __init__(self, folder: Path, *, jobs: int, kept: Path | None = None) -> None:
        self.folder, self.jobs, self.kept = folder, jobs, kept
        self.found: dict[Trial, Held] = {}
        if kept is not None and kept.exists():
            with kept.open() as file:
                for name, head, setting, fold, tested, wrong in csv.reader(file):
                    self.found[Trial(name, head, setting, int(fold))] = Held(_numbers(tested), _numbers(wrong))

    def run(self, trials: Sequence[Trial]) -> list[Held]:
        """Return what came of the trials, in their order."""
        missing = [trial for trial in trials if trial not in self.found]
        with ProcessPoolExecutor(self.jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for trial, held in zip(missing, pool.map(run_trial, [self.folder] * len(missing), missing), strict=True):
                self.found[trial] = held
                if self.kept is not None:
                    with self.kept.open("a", newline="") as file:
                        cells = (trial.name, trial.head, trial.setting, trial.fold)
                        csv.writer(file).writerow((*cells, *(" ".join(map(str, b)) for b in (held.tested, held.wrong))))
        return [self.found[trial] for trial in trials]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


def right(held: Sequence[Held]) -> tuple[float, float]:
    """Return the share of bags that were right and its standard error, over the bags: rounds test the same ones again."""
    tested, wrong = (np.bincount([bag for one in held for bag in getattr(one, side)]) for side in ("tested", "wrong"))
    shares = 1 - np.pad(wrong, (0, len(tested) - len(wrong)))[tested > 0] / tested[tested > 0]
    return float(shares.mean()), float(shares.std(ddof=1)) / math.sqrt(len(shares))


def choose(trials: Trials, *, folds: int) -> dict[str, str]:
    """Return the setting for each set: that with which the stand-in's mean share right on the other sets is greatest."""
    shares: dict[tuple[str, str], float] = {}
    for name, setting in product(SETS, SETTINGS):
        held = trials.run([Trial(name, STAND_IN, setting, fold) for fold in range(min(folds, ROUND))])
        shares[name, setting] = right(held)[0]
        print(f"{name} {STAND_IN}, setting {setting}: {shares[name, setting]:.3f}", flush=True)
    return {
        name: max(SETTINGS, key=lambda setting: sum(shares[other, setting] for other in SETS if other != name))
        for name in SETS
    }


def accuracy(
    folder: Path, *, folds: int, jobs: int, kept: Path | None = None
) -> tuple[list[str], list[list[str]], list[Claim]]:
    """Return the table's head and rows, and the claims: no more errors than published plus one standard error."""
    trials = Trials(folder, jobs=jobs, kept=kept)
    chosen = choose(trials, folds=folds)
    claims, cells = [], {}
    for name, head in product(SETS, HEADS):
        mean, error = right(trials.run([Trial(name, head, chosen[name], fold) for fold in range(folds)]))
        cells[head, name] = f"{mean:.3f} ± {error:.3f}"
        published, spread = PUBLISHED[BESIDE.get(head, "gated attention")][name]
        claims.append(Claim(f"{name}, {head}: share of bags wrong", 1 - mean, 1 - published + spread))
        print(f"{name} {head} {cells[head, name]}", flush=True)
    rows = [[head, *(cells[head, name] for name in SETS)] for head in HEADS]
    return ["head", *SETS], [*rows, *_published(), *_settings(chosen)], claims


def _published() -> Iterator[list[str]]:
    for name, told in PUBLISHED.items():
        yield [f"{name}, published", *(f"{told[one][0]:.3f} ± {told[one][1]:.3f}" for one in SETS)]


def _settings(chosen: Mapping[str, str]) -> Iterator[list[str]]:
    yield ["setting, chosen on the other sets", *(chosen[name] for name in SETS)]
