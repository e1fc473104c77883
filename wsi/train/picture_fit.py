"""The training loop of a classifier of pictures: views, steps, a running mean of the weights. A rerun gives the same.

Order and views of an epoch come from (seed, epoch) alone, so a fit that was killed goes on from its last whole epoch.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsi.card import Transform
from wsi.encode.device import find_device
from wsi.encode.precision import cpu_has_bf16
from wsi.encode.transform import prepare
from wsi.errors import UsageError
from wsi.mil import HeadSpec
from wsi.train.checkpoint import Epoch, Snapshot, read_snapshot, write_snapshot
from wsi.train.finetune import layer_groups
from wsi.train.loop import Cases, Fit
from wsi.train.picture_network import Perceptron, PictureNetwork, keep_cuts_in_order, perceptron_weights
from wsi.train.picture_settings import PictureFit
from wsi.train.picture_views import PictureViews, Pixels, views_of
from wsi.train.probe import Span, fit_ridge
from wsi.train.recipe import rate_at
from wsi.train.repeatable import repeatable
from wsi.train.running_mean import remember
from wsi.train.start import start_head
from wsi.train.tasks import Floats, Task, is_known, loss_mass, loss_sum

GROUP = 8
"""Pictures that go through the network at once on a CPU."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned from: pictures by place, and for each task its labels `(cases, W)` and the weight of its loss."""

    read: Callable[[Sequence[int]], Pixels]
    """Places to `(B, h, w, 3)` uint8, preprocessed."""
    tasks: tuple[Task, ...]
    labels: tuple[Floats, ...]
    weights: tuple[float, ...]
    transform: Transform


@dataclass(slots=True)
class Fitting:
    """One fit of one network, from its first epoch or from where a checkpoint left it."""

    network: PictureNetwork
    lesson: Lesson
    config: PictureFit
    views: PictureViews
    seed: int
    widths: tuple[int, ...]
    """How many of the encoder's numbers are of each of its layers."""
    known: Floats | None = None
    """What the encoder says of every picture as it is `(cases, D)`, where it stays as it was."""
    device: torch.device = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)
    steps: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.device = find_device(self.config.device)
        self.network.to(self.device).to(memory_format=torch.channels_last)
        groups = layer_groups(self.network.encoder.network, self.network.classifiers, self.config)
        self.optimizer = torch.optim.AdamW(groups, self.config.learning_rate)

    def run(
        self, train: Sequence[int], checkpoint: Path, *, key: str, watch: Callable[[Epoch], None] | None = None
    ) -> tuple[Epoch, ...]:
        """Train, leave the network with the running mean of its weights, and return what each epoch gave.

        Args:
            checkpoint: file that is published after each epoch; found there, it is gone on from.
            key: says what the fit depends on; ArtifactError when the checkpoint was made under another.

        Raises:
            UsageError: the loss isn't finite.
        """
        scaler = torch.amp.GradScaler(self.device.type, enabled=False)
        with repeatable(self.device, threads=self.config.threads):
            snapshot = read_snapshot(checkpoint, key=key) or Snapshot.of(self.network, self.optimizer, scaler)
            snapshot.restore(self.network, self.optimizer, scaler)
            mean = {name: tensor.to(self.device) for name, tensor in snapshot.best.items()}
            self.steps = len(snapshot.epochs) * math.ceil(len(train) / self.config.batch)
            while len(snapshot.epochs) < self.config.passes:
                is_fit = self.config.train == "classifier"
                epoch = self._fit(list(train), mean) if is_fit else self._epoch(len(snapshot.epochs), list(train), mean)
                after = snapshot.after(epoch, self.network, self.optimizer, scaler)
                snapshot = replace(after, best={name: one.cpu().clone() for name, one in mean.items()})
                write_snapshot(checkpoint, snapshot, key=key)
                if watch is not None:
                    watch(epoch)
            self.network.load_state_dict(dict(snapshot.best))
            self.network.eval()
        return snapshot.epochs

    def _fit(self, train: list[int], mean: dict[str, Tensor]) -> Epoch:
        """Fit the classifiers to what the encoder says of the pictures: regressions to their one optimum."""
        rows, lesson = self.embeddings(train), self.lesson
        span = Span(rows)
        for classifier, task, labels in zip(self.network.classifiers, lesson.tasks, lesson.labels, strict=True):
            if isinstance(classifier, Perceptron):
                classifier.load_state_dict(self._perceptron(rows.astype(np.float32), task, labels[train]))
                continue
            known = is_known(labels[train], task)
            found = fit_ridge(
                span.project(rows[known]), torch.from_numpy(labels[train][known]), task, self.config.ridge
            )
            weights, bias = span.arrays(found)
            classifier.load_state_dict({"weight": torch.from_numpy(weights.T), "bias": torch.from_numpy(bias)})
        mean.update(self.weights())
        places = np.arange(len(train))
        with torch.inference_mode():
            told = self._loss(self.network.read(torch.from_numpy(rows).to(self.device)), train, places)
        return Epoch(0, float(told), math.nan, 0.0)

    def _perceptron(self, rows: NDArray[np.float32], task: Task, labels: Floats) -> dict[str, Tensor]:
        """Return the weights of a Perceptron that was trained on `(n, D)` as bags of one."""
        config = self.config
        spec = HeadSpec("mean", task.kind, len(task.classes) or 2, hidden=config.hidden, dropout=config.dropout)
        head = start_head(spec, rows.shape[1], seed=self.seed)
        cases = Cases(lambda i: rows[i : i + 1], labels)
        fit = Fit(head, task, config.hidden_recipe, cases, range(len(rows)), (), self.seed, self._shares())
        with TemporaryDirectory() as folder:  # seconds that are gone through again after a kill
            fit.run(Path(folder) / "checkpoint", key="")
        return perceptron_weights(head.cpu())

    def _shares(self) -> Floats:
        """Return what lets all layers count alike, however many numbers each gives, `(D,)`; 1 on average of squares."""
        widths = np.array(self.widths)
        return np.repeat(np.sqrt(widths.sum() / (len(widths) * widths)), widths)

    def _epoch(self, epoch: int, train: list[int], mean: dict[str, Tensor]) -> Epoch:
        torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0]))
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(train).tolist()
        batches = [order[at : at + self.config.batch] for at in range(0, len(order), self.config.batch)]
        self.network.train()
        total = rate = 0.0
        for n, batch in enumerate(batches):
            rate = rate_at(epoch * len(batches) + n, self.config.epochs * len(batches), self.config.recipe)
            total += self._step(batch, epoch, rate, rng) * len(batch)
            remember(mean, self.network, keep=self.config.keep, steps=self.steps)
        if not math.isfinite(total):
            raise UsageError(f"the loss is {total} in epoch {epoch + 1}: lower learning_rate")
        return Epoch(epoch, total / len(order), math.nan, rate)

    def _step(self, batch: list[int], epoch: int, rate: float, rng: np.random.Generator) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self.optimizer.zero_grad(set_to_none=True)
        pictures = views_of(self.lesson.read(batch), self.views, [(self.seed, epoch, place) for place in batch])
        images = prepare(torch.from_numpy(pictures).to(self.device), self.lesson.transform)
        own, partners = self._blend(len(batch), rng)
        images = own * images + (1 - own) * images[partners] if own < 1 else images
        told = 0.0
        for at in range(0, len(batch), self._group()):
            part = slice(at, at + self._group())
            logits = self.network_of(images[part])
            loss = own * self._loss(logits, batch, np.arange(len(batch))[part])
            if own < 1:
                loss = loss + (1 - own) * self._loss(logits, batch, partners[part])
            torch.autograd.backward(loss)
            told += float(loss.detach())
        trained = [one for group in self.optimizer.param_groups for one in group["params"]]
        torch.nn.utils.clip_grad_norm_(trained, self.config.clip)
        self.optimizer.step()
        keep_cuts_in_order(self.network)
        self.steps += 1
        return told

    def _blend(self, count: int, rng: np.random.Generator) -> tuple[float, NDArray[np.int64]]:
        """Return how much of each picture stays and the place in the batch that the rest is of.

        Source: Zhang et al. 2018, mixup; the larger share is the picture's own.
        """
        partners = rng.permutation(count)
        share = float(rng.beta(self.config.mix, self.config.mix)) if self.config.mix else 1.0
        return max(share, 1 - share), partners

    def _loss(self, logits: list[Tensor], batch: list[int], places: NDArray[np.int64]) -> Tensor:
        """Return the part that these places of the batch have in its mean loss."""
        total = logits[0].new_zeros(())
        for said, task, labels, weight in zip(
            logits, self.lesson.tasks, self.lesson.labels, self.lesson.weights, strict=True
        ):
            whole = torch.from_numpy(labels[batch]).to(self.device)
            mass = loss_mass(whole, task)
            if mass:
                total = total + weight * loss_sum(said, whole[places.tolist()], task) / mass
        return total

    def network_of(self, images: Tensor) -> list[Tensor]:
        """Return the logits of prepared images, in the precision of the settings."""
        images = images.contiguous(memory_format=torch.channels_last)
        dtype = self._dtype()
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not torch.float32):
            embeddings = self.network.encoder(images)
        return self.network.read(embeddings)

    @torch.inference_mode()
    def embeddings(self, places: Sequence[int], *, read: Callable[[Sequence[int]], Pixels] | None = None) -> Floats:
        """Return what the encoder says of pictures as they are, `(n, D)` float64.

        Args:
            read: other pictures of the same places; None takes the lesson's.
        """
        self.network.eval()
        if read is None and self.known is not None:
            return self.known[list(places)]
        read = read or self.lesson.read
        return np.concatenate([self._embedded(read(part)) for part in _parts(list(places), self._group())])

    def _embedded(self, pictures: Pixels) -> Floats:
        images = prepare(torch.from_numpy(pictures).to(self.device), self.lesson.transform)
        images = images.contiguous(memory_format=torch.channels_last)
        dtype = self._dtype()
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not torch.float32):
            found: Floats = self.network.encoder(images).double().cpu().numpy()
        return found

    @torch.inference_mode()
    def logits(self, embeddings: Floats) -> list[Floats]:
        """Return each task's logits `(n, C)` of embeddings `(n, D)`."""
        self.network.eval()
        said = self.network.read(torch.from_numpy(embeddings).float().to(self.device))
        return [one.double().cpu().numpy() for one in said]

    def weights(self) -> Mapping[str, Tensor]:
        """Return a copy of the network's weights on the CPU."""
        return {name: one.detach().cpu().clone().contiguous() for name, one in self.network.state_dict().items()}

    def _group(self) -> int:
        return GROUP if self.device.type == "cpu" else self.config.batch

    def _dtype(self) -> torch.dtype:
        if self.config.precision != "auto":
            return torch.bfloat16 if self.config.precision == "bf16" else torch.float32
        here = cpu_has_bf16() if self.device.type == "cpu" else torch.cuda.is_bf16_supported()
        return torch.bfloat16 if here else torch.float32


def _parts(places: list[int], size: int) -> Iterator[list[int]]:
    for at in range(0, len(places), size):
        yield places[at : at + size]
