"""The training loop: bags through a head, steps, validation, early stopping. A rerun gives the same bytes.

Nothing is drawn from a state that is carried along: the order of the bags, the tiles drawn from them and the dropout of
an epoch come from (seed, epoch) alone, the learning rate from the number of the step. So a fit that was killed goes on
from its last whole epoch as if nothing had been.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsi.encode.device import find_device
from wsi.errors import UsageError
from wsi.mil import Head, OrderedCuts
from wsi.train.checkpoint import Epoch, Snapshot, read_snapshot, write_snapshot
from wsi.train.recipe import Recipe, rate_at
from wsi.train.repeatable import repeatable
from wsi.train.start import Bag, fit_standard, start_logits
from wsi.train.survival import base_logits
from wsi.train.tasks import Floats, Task, is_known, loss_mass, loss_sum

Watch = Callable[[Epoch], None]


@dataclass(frozen=True, slots=True)
class Cases:
    """What is learned from: `read(i)` returns the bag `(N, D)` of case i; labels `(cases, W)`, NaN = missing."""

    read: Callable[[int], Bag]
    labels: Floats


@dataclass(slots=True)
class Fit:
    """One fit of one head, from its first epoch or from where a checkpoint left it."""

    head: Head
    task: Task
    recipe: Recipe
    cases: Cases
    train: Sequence[int]
    validation: Sequence[int]
    seed: int
    shares: Floats | None = None
    """`(D,)`: what each standardized feature is multiplied by; None: 1."""
    device: torch.device = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)
    scaler: torch.amp.GradScaler = field(init=False)

    def __post_init__(self) -> None:
        known = is_known(self.cases.labels, self.task)
        self.train = [int(i) for i in self.train if known[i]]
        self.validation = [int(i) for i in self.validation if known[i]]
        self.device = find_device(self.recipe.device)
        self.head.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.head.parameters(), self.recipe.learning_rate, weight_decay=self.recipe.weight_decay
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self._dtype() is torch.float16)

    def run(self, checkpoint: Path, *, key: str, watch: Watch | None = None) -> tuple[Epoch, ...]:
        """Train the head, leave it with its best weights, and return what each epoch gave.

        Args:
            checkpoint: file that is published after each epoch; found there, it is gone on from.
            key: says what the fit depends on; ArtifactError when the checkpoint was made under another.
        """
        with repeatable(self.device, threads=self.recipe.threads):
            snapshot = read_snapshot(checkpoint, key=key)
            if snapshot is None:
                self._start()
                snapshot = Snapshot.of(self.head, self.optimizer, self.scaler)
            snapshot.restore(self.head, self.optimizer, self.scaler)
            while not self._is_over(snapshot):
                epoch = self._epoch(len(snapshot.epochs))
                snapshot = snapshot.after(epoch, self.head, self.optimizer, self.scaler)
                write_snapshot(checkpoint, snapshot, key=key)
                if watch is not None:
                    watch(epoch)
            self.head.load_state_dict(dict(snapshot.best))
            self.head.eval()
        return snapshot.epochs

    def _start(self) -> None:
        """Take from the training bags what isn't learned by steps."""
        fit_standard(self.head, self.cases.read, self.train)
        if self.shares is not None:
            self.head.norm.std.div_(torch.from_numpy(self.shares).to(self.device))
        if self.task.edges and self.train:
            times, events = self._labels(self.train).T
            start_logits(self.head, base_logits(times, events > 0, edges=torch.tensor(self.task.edges)))

    def _is_over(self, snapshot: Snapshot) -> bool:
        done, waited = len(snapshot.epochs), len(snapshot.epochs) - 1 - snapshot.best_epoch
        return done >= self.recipe.epochs or not self.train or 0 < self.recipe.patience <= waited

    def _epoch(self, epoch: int) -> Epoch:
        """Go once over the training bags, then look at the validation bags."""
        torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0]))
        order = np.random.default_rng([self.seed, epoch]).permutation(self.train).tolist()
        batches = [order[at : at + self.recipe.batch] for at in range(0, len(order), self.recipe.batch)]
        self.head.train()
        total, mass, rate = 0.0, 0.0, 0.0
        for n, batch in enumerate(batches):
            rate = rate_at(epoch * len(batches) + n, self.recipe.epochs * len(batches), self.recipe)
            loss, weight = self._step(batch, epoch=epoch, rate=rate)
            total, mass = total + loss * weight, mass + weight
        if not math.isfinite(total):
            raise UsageError(
                f"the loss is {total} in epoch {epoch + 1}: training ran off; "
                f"lower learning_rate ({self.recipe.learning_rate:g}) or set clip"
            )
        return Epoch(epoch, total / mass if mass else math.nan, self._validate(), rate)

    def _step(self, batch: list[int], *, epoch: int, rate: float) -> tuple[float, float]:
        """Take one step; return the mean loss over the batch and what it weighs."""
        weight = loss_mass(self._labels(batch), self.task)
        if not weight:  # a Cox model's batch in which nothing happened
            return 0.0, 0.0
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        chunks = _of_one_size((i, self._drawn(i, epoch)) for i in batch)
        told = 0.0
        for together in iter([list(chunks)]) if self.task.joint else ([chunk] for chunk in chunks):
            made = [self._forward(places, bags) for places, bags in together]
            places = [i for chunk, _ in together for i in chunk]
            bag_loss = loss_sum(torch.cat([logits for logits, _ in made]), self._labels(places), self.task) / weight
            extra = sum(aside * len(chunk) for (_, aside), (chunk, _) in zip(made, together, strict=True)) / len(batch)
            torch.autograd.backward(self.scaler.scale(bag_loss + extra))
            told += float(bag_loss.detach())
        self.scaler.unscale_(self.optimizer)
        if self.recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.head.parameters(), self.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.task.link == "cumulative":
            keep_cuts_in_order(self.head)
        return told, weight

    def _forward(self, places: list[int], bags: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits `(B, C)` of bags `(B, N, D)` and what the head adds to their loss."""
        dtype = self._dtype()
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not torch.float32):
            return self.head.forward_to_train(bags.to(self.device), None, self._labels(places))

    def _validate(self) -> float:
        """Return the mean loss over the validation bags; NaN when there is nothing to judge by."""
        mass = loss_mass(self._labels(self.validation), self.task)
        if not mass:
            return math.nan
        logits = read_logits(self.head, self.cases.read, self.validation)
        return float(loss_sum(logits, torch.from_numpy(self.cases.labels[self.validation]), self.task)) / mass

    def _drawn(self, case: int, epoch: int) -> Bag:
        """Return the tiles of a bag that this epoch sees."""
        bag, most = self.cases.read(case), self.recipe.instances
        if most is None or len(bag) <= most:
            return bag
        chosen = np.random.default_rng([self.seed, epoch, case]).choice(len(bag), most, replace=False)
        return bag[np.sort(chosen)]

    def _labels(self, places: Sequence[int]) -> Tensor:
        return torch.from_numpy(self.cases.labels[list(places)]).to(self.device)  # (B, W)

    def _dtype(self) -> torch.dtype:
        names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        if self.recipe.precision != "auto":
            return names[self.recipe.precision]
        if self.device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _of_one_size(bags: Iterable[tuple[int, Bag]]) -> Iterator[tuple[list[int], Tensor]]:
    """Yield neighbors whose bags have the same number of tiles together: their cases and bags `(B, N, D)`."""
    for _, group in groupby(bags, key=lambda pair: len(pair[1])):
        cases, found = zip(*group, strict=True)
        yield list(cases), torch.from_numpy(np.stack(found))


def keep_cuts_in_order(head: Head) -> None:
    """Let the cuts between ordered grades fall: a step may have carried one past its neighbor."""
    with torch.no_grad():
        for module in head.modules():
            if isinstance(module, OrderedCuts):
                module.bias.copy_(torch.cummin(module.bias, dim=0).values)


def read_logits(head: Head, read: Callable[[int], Bag], cases: Sequence[int]) -> Tensor:
    """Return the logits `(cases, C)` float32 of whole bags, read one after the other."""
    device = next(head.parameters()).device
    head.eval()
    found = [head.read(torch.from_numpy(read(i)).to(device)).logits.float().cpu() for i in cases]
    return torch.stack(found) if found else torch.zeros(0, head.spec.outputs)
