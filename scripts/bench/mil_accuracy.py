"""Accuracy of every head on MUSK1, FOX and ELEPHANT, over folds that come with the data, beside published figures."""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from itertools import chain, product
from pathlib import Path

import numpy as np
import torch
from form import Claim
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from wsi.mil import HEADS, Head, HeadSpec
from wsi.train.recipe import Recipe, rate_at
from wsi.train.start import fit_standard, start_head

SETS = ("musk1", "fox", "elephant")
NORMAL = 1.96
"""Standard errors from a published mean to either end of its 95 % interval."""
ROUND = 10
"""Folds of a round: each bag is held back once."""
MEMBERS = 2
"""Heads of each setting; all of a fold's heads vote. Each saw all its training bags, as those of the published figures did,
from weights of its own."""
MARKS = 20
"""Moments of a training, alike in all settings, of which a rule by hindsight takes the best."""
HINDSIGHT = "dsmil, best epoch and cut of each fold"
PUBLISHED = {
    "mi-Net": {"musk1": (0.889, 0.039), "fox": (0.613, 0.035), "elephant": (0.858, 0.037)},
    "MI-Net": {"musk1": (0.887, 0.041), "fox": (0.622, 0.038), "elephant": (0.862, 0.034)},
    "gated attention": {"musk1": (0.900, 0.050), "fox": (0.603, 0.029), "elephant": (0.857, 0.027)},
    HINDSIGHT: {"musk1": (0.932, 0.023), "fox": (0.729, 0.018), "elephant": (0.925, 0.007)},
}
"""Mean and standard error. Source: Ilse et al. 2018, table 1; DSMIL: Li et al. 2021, on the classical sets.

The script that comes with DSMIL takes the best of all epochs, at the best threshold, on the bags that a fold tests. No model
can be chosen so; `Outcome.by_hindsight` is that rule, to compare like with like.
"""
BESIDE = {"mean": "MI-Net", "max": "mi-Net", HINDSIGHT: HINDSIGHT}
"""Which of them a head is held against; the others against gated attention."""


Places = NDArray[np.int64]
"""Places of bags in a set."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How heads are trained: through all epochs, as no bag is put aside to stop by."""

    learning_rate: float
    weight_decay: float
    dropout: float
    epochs: int

    @property
    def recipe(self) -> Recipe:
        return Recipe(epochs=self.epochs, patience=0, learning_rate=self.learning_rate, weight_decay=self.weight_decay)


SETTINGS = (Setting(1e-3, 1e-2, 0.25, 20), Setting(3e-3, 1.0, 0.5, 20), Setting(3e-3, 1.0, 0.5, 60))
"""Light, strong, and strong for longer. Heads of each vote, the same for every head and set, so that none is chosen."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One fold of one set for one head."""

    name: str
    head: str
    fold: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Bags that were tested, and those that were wrong.

    by_hindsight: those that the vote of the epoch, at the cut, that are best on the tested bags themselves got wrong.
    """

    tested: tuple[int, ...]
    wrong: tuple[int, ...]
    by_hindsight: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Bags:
    """Bags padded to `(B, N, D)`, which of their tiles are real `(B, N)`, and their labels `(B,)`, 0 or 1."""

    padded: Tensor
    mask: Tensor
    labels: Tensor

    def __getitem__(self, places: Places | Tensor) -> "Bags":
        """Return some of them, no longer than their longest."""
        at = torch.as_tensor(places)
        longest = int(self.mask[at].sum(dim=1).max())
        return Bags(self.padded[at, :longest], self.mask[at, :longest], self.labels[at])

    def positive(self, places: Places) -> NDArray[np.bool_]:
        return self.labels.numpy()[places] > 0.5

    def tiles(self, place: int) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.padded[place][self.mask[place]].numpy()
        return found


def read_bags(file: Path) -> tuple[Bags, NDArray[np.bool_]]:
    """Return a set's bags and which of them each fold trains on, `(folds, B)`."""
    with np.load(file) as data:
        tiles, places, labels, folds = data["x"], data["bag"], data["y"], data["folds"]
    bags = [torch.from_numpy(tiles[places == i]).float() for i in np.unique(places)]
    padded = torch.nn.utils.rnn.pad_sequence(bags, batch_first=True)
    mask = torch.arange(padded.shape[1]) < torch.tensor([len(bag) for bag in bags])[:, None]
    return Bags(padded, mask, torch.from_numpy(labels).float()), folds.reshape(-1, len(labels))


def run_trial(folder: Path, trial: Trial) -> Outcome:
    """Let heads that saw all training bags of a fold vote on those that it tests."""
    bags, folds = read_bags(folder / f"{trial.name}.npz")
    training, tested = np.flatnonzero(folds[trial.fold]), np.flatnonzero(~folds[trial.fold])
    logits = np.stack(
        [
            train(trial.head, setting, bags, training, read=tested, seed=MEMBERS * trial.fold + member)
            for setting in SETTINGS
            for member in range(MEMBERS)
        ]
    )  # (M, MARKS, tested)
    votes = np.mean(expit(logits), axis=0)  # (MARKS, tested)
    missed = [(vote > cut) != bags.positive(tested) for vote in votes for cut in (0.0, *votes.ravel())]
    last = (votes[-1] > 0.5) != bags.positive(tested)
    wrong, by_hindsight = (tuple(tested[some].tolist()) for some in (last, min(missed, key=np.sum)))
    return Outcome(tuple(tested.tolist()), wrong, by_hindsight)


def train(name: str, setting: Setting, bags: Bags, seen: Places, *, read: Places, seed: int) -> NDArray[np.float64]:
    """Return the logits of the bags to read at each moment, `(MARKS, read)`; bags this small go through padded."""
    recipe = setting.recipe
    spec = HeadSpec(name, hidden=128, width=64, dropout=setting.dropout, instances=2, heads=4, landmarks=64)
    head = start_head(spec, bags.padded.shape[2], seed=seed)
    fit_standard(head, bags.tiles, seen.tolist())
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(head.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    steps, step, asked, told = recipe.epochs * math.ceil(len(seen) / recipe.batch), 0, bags[read], []
    for epoch in range(1, recipe.epochs + 1):
        head.train()
        for batch in torch.split(torch.from_numpy(seen)[torch.randperm(len(seen))], recipe.batch):
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, steps, recipe)
            optimizer.zero_grad()
            torch.autograd.backward(loss_of(head, bags[batch]))
            torch.nn.utils.clip_grad_norm_(head.parameters(), recipe.clip or math.inf)
            optimizer.step()
            step += 1
        if epoch % (recipe.epochs // MARKS) == 0:
            head.eval()
            with torch.no_grad():
                told.append(head(asked.padded, asked.mask)[0][:, 0].double().numpy())
    return np.stack(told)


def loss_of(head: Head, bags: Bags) -> Tensor:
    labels = bags.labels[:, None]
    logits, extra = head.forward_to_train(bags.padded, bags.mask, labels)
    return binary_cross_entropy_with_logits(logits, labels) + extra


class Trials:
    """Trials that are run once: what came of each is kept in a CSV, where one is named, and taken from there again."""

    def __init__(self, folder: Path, *, jobs: int, kept: Path | None = None) -> None:
        self.folder, self.jobs, self.kept = folder, jobs, kept
        self.found: dict[Trial, Outcome] = {}
        if kept is not None and kept.exists():
            with kept.open() as file:
                for name, head, fold, *bags in csv.reader(file):
                    trial = Trial(name, head, int(fold))
                    self.found[trial] = Outcome(*(tuple(map(int, some.split())) for some in bags))

    def run(self, trials: Sequence[Trial]) -> list[Outcome]:
        """Return what came of the trials, in their order."""
        missing = [trial for trial in trials if trial not in self.found]
        with ProcessPoolExecutor(self.jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            found = pool.map(run_trial, [self.folder] * len(missing), missing)
            for trial, outcome in zip(missing, found, strict=True):
                self.found[trial] = outcome
                if self.kept is not None:
                    bags = (" ".join(map(str, some)) for some in astuple(outcome))
                    with self.kept.open("a", newline="") as file:
                        csv.writer(file).writerow((*astuple(trial), *bags))
        return [self.found[trial] for trial in trials]


def right(tested: Iterable[int], wrong: Iterable[int]) -> tuple[float, float]:
    """Return the share of bags that were right and its standard error, over the bags: rounds test the same ones again."""
    times, missed = Counter(tested), Counter(wrong)
    shares = np.array([1 - missed[bag] / times[bag] for bag in times])
    return float(shares.mean()), float(shares.std(ddof=1)) / math.sqrt(len(shares))


def accuracy(
    folder: Path, *, folds: int, jobs: int, kept: Path | None = None, sets: Sequence[str] = SETS
) -> tuple[list[str], list[list[str]], list[Claim]]:
    """Return the table's head and rows, and the claims: no more errors than the published figure's 95 % interval allows."""
    trials = Trials(folder, jobs=jobs, kept=kept)
    claims, cells = [], {}
    for name, head in product(sets, (*HEADS, HINDSIGHT)):
        by_hindsight = head == HINDSIGHT
        outcomes = trials.run([Trial(name, "dsmil" if by_hindsight else head, k) for k in range(folds)])
        wrong = (one.by_hindsight if by_hindsight else one.wrong for one in outcomes)
        mean, error = right(chain.from_iterable(one.tested for one in outcomes), chain.from_iterable(wrong))
        cells[head, name] = f"{mean:.3f} ± {error:.3f}"
        published, spread = PUBLISHED[BESIDE.get(head, "gated attention")][name]
        claims.append(Claim(f"{name}, {head}: share of bags wrong", 1 - mean, 1 - published + NORMAL * spread))
        print(f"{name} {head} {cells[head, name]}", flush=True)
    rows = [[head, *(cells[head, name] for name in sets)] for head in (*HEADS, HINDSIGHT)]
    beside = [
        [f"{name}, published", *(f"{told[one][0]:.3f} ± {told[one][1]:.3f}" for one in sets)]
        for name, told in PUBLISHED.items()
    ]
    return ["head", *sets], [*rows, *beside], claims
