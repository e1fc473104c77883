"""Fine-tune an encoder on labeled tiles: a linear probe beside it, its last blocks, or all of it.

Under torchrun each process takes its share of every batch; the gradients are those of the whole batch.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, distributed, nn

from wsi.card import EncoderCard
from wsi.config import Positive, Share, Strict
from wsi.encode.build import Pooled
from wsi.encode.device import find_device
from wsi.encode.light_timm import timm
from wsi.encode.transform import prepare
from wsi.errors import ModelError, UsageError
from wsi.train.augment import Jitter, Pixels, view
from wsi.train.checkpoint import Epoch, Snapshot, read_snapshot, write_snapshot
from wsi.train.recipe import Count, Recipe, rate_at
from wsi.train.repeatable import repeatable
from wsi.train.tasks import Task, loss_mass, loss_sum
from wsi.train.tiles import TileSet

GROUP = 8
"""Tiles that go through the network at once on a CPU."""


class LayerRates(Strict):
    """Which layers of an encoder are trained, and how fast."""

    train: Literal["classifier", "last", "all"] = "last"
    """classifier: what stands on the encoder; last: its last blocks as well; all: the whole network."""
    blocks: Count = 2
    """How many, for `last`: blocks of a transformer, stages of a convolutional network, as timm groups them."""
    learning_rate: Positive = 3e-4
    """Of the classifier; each block below it gets `layer_decay` of that of the block above."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.75
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.05


class TuneConfig(LayerRates):
    """How an encoder is fine-tuned."""

    train: Literal["last", "all"] = "last"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Split, first weights, order and views of the tiles: all of chance comes from it."""
    epochs: Count = 10
    patience: Annotated[int, Field(ge=0)] = 3
    batch: Count = 32
    """Tiles a step, over all processes."""
    stain: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2
    """Spread of the factors on each stain's amount; 0 leaves the colors."""
    turns: bool = True
    """Turn and mirror the tiles."""
    validation: Share = 0.15
    """Share of the groups that stops the training."""
    test: Share = 0.2
    """Share of the groups that is tested."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: str = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads of the network; other numbers give other last bits."""

    @property
    def recipe(self) -> Recipe:
        """The part that the learning rate's schedule reads."""
        return Recipe(epochs=self.epochs, learning_rate=self.learning_rate)


class Tuned(nn.Module):
    """An encoder and a linear classifier over its embedding: `(B, 3, h, w)` to logits `(B, C)`."""

    def __init__(self, encoder: Pooled, dim: int, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(dim, outputs)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.encoder(images))
        return logits

    def train(self, mode: bool = True) -> "Tuned":
        """Batch normalization keeps the statistics that the encoder came with: batches of a few patients have others."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


@dataclass(frozen=True, slots=True)
class Portion:
    """Which part of each batch this process takes."""

    rank: int
    world: int


def this_process() -> Portion:
    """Return this process's part as torchrun tells it, the only one without it; joins the group of processes."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Portion(int(os.environ.get("RANK", "0")), world)


def parameter_groups(model: Tuned, config: TuneConfig) -> list[dict[str, object]]:
    """Return AdamW's groups, each with a `share` of the learning rate; freezes what isn't trained.

    Raises:
        UsageError: timm doesn't tell this network's blocks.

    Source: Bao et al. 2022 (BEiT), layer-wise decay of the rate.
    """
    return layer_groups(model.encoder.network, model.classifier, config)


def layer_groups(network: nn.Module, classifier: nn.Module, config: LayerRates) -> list[dict[str, object]]:
    """Return the groups of a network of timm and what classifies its embedding; see `parameter_groups`."""
    matcher = getattr(network, "group_matcher", None)
    if matcher is None:
        raise UsageError("timm doesn't tell the blocks of this network; it can't be fine-tuned block by block")
    depth: dict[str, int] = timm.models.group_parameters(network, matcher(coarse=False), reverse=True)
    top = max(depth.values())
    first = {"all": 0, "last": top - config.blocks + 1}.get(config.train, top + 1)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        parameter.requires_grad = depth[name] >= first
        if parameter.requires_grad:
            share = config.layer_decay ** (top - depth[name] + 1)
            groups.setdefault((share, _decay(parameter, config)), []).append(parameter)
    for parameter in classifier.parameters():
        groups.setdefault((1.0, _decay(parameter, config)), []).append(parameter)
    return [{"params": found, "share": share, "weight_decay": decay} for (share, decay), found in groups.items()]


def _decay(parameter: nn.Parameter, config: LayerRates) -> float:
    return config.weight_decay if parameter.ndim > 1 else 0.0


class Tuning:
    """One fine-tuning, from its first epoch or from where a checkpoint left it."""

    def __init__(self, model: Tuned, card: EncoderCard, tiles: TileSet, task: Task, config: TuneConfig) -> None:
        self.model, self.card, self.tiles, self.task, self.config = model, card, tiles, task, config
        self.portion = this_process()
        name = (
            f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
            if self.portion.world > 1 and torch.cuda.is_available()
            else config.device
        )
        self.device = find_device(name)
        self.model.to(self.device)
        self.optimizer = torch.optim.AdamW(parameter_groups(model, config), config.learning_rate)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self._dtype() is torch.float16)
        self.readers = ThreadPoolExecutor(max(2, config.threads), "tiles")

    def run(
        self,
        train: Sequence[int],
        validation: Sequence[int],
        checkpoint: Path,
        *,
        key: str,
        watch: Callable[[Epoch], None] | None = None,
    ) -> tuple[Epoch, ...]:
        """Fine-tune, leave the model with its best weights, and return what each epoch gave; see `wsi.train.loop.Fit`."""
        with repeatable(self.device, threads=self.config.threads):
            snapshot = read_snapshot(checkpoint, key=key) or Snapshot.of(self.model, self.optimizer, self.scaler)
            snapshot.restore(self.model, self.optimizer, self.scaler)
            while not self._is_over(snapshot):
                epoch = self._epoch(len(snapshot.epochs), train, validation)
                snapshot = snapshot.after(epoch, self.model, self.optimizer, self.scaler)
                if self.portion.rank == 0:
                    write_snapshot(checkpoint, snapshot, key=key)
                if watch is not None:
                    watch(epoch)
            self.model.load_state_dict(dict(snapshot.best))
            self.model.eval()
        return snapshot.epochs

    def _is_over(self, snapshot: Snapshot) -> bool:
        done, waited = len(snapshot.epochs), len(snapshot.epochs) - 1 - snapshot.best_epoch
        return done >= self.config.epochs or 0 < self.config.patience <= waited

    def _epoch(self, epoch: int, train: Sequence[int], validation: Sequence[int]) -> Epoch:
        torch.manual_seed(int(np.random.SeedSequence([self.config.seed, epoch]).generate_state(1)[0]))
        order = np.random.default_rng([self.config.seed, epoch]).permutation(list(train)).tolist()
        batches = [order[at : at + self.config.batch] for at in range(0, len(order), self.config.batch)]
        self.model.train()
        total = rate = 0.0
        for n, batch in enumerate(batches):
            rate = rate_at(epoch * len(batches) + n, self.config.epochs * len(batches), self.config.recipe)
            total += self._step(batch, epoch, rate) * len(batch)
        if not math.isfinite(total):
            raise UsageError(
                f"the loss is {total} in epoch {epoch + 1}: lower learning_rate ({self.config.learning_rate:g})"
            )
        logits = self.logits(validation)
        mass = loss_mass(self._labels(validation), self.task)
        loss = float(loss_sum(logits, self._labels(validation), self.task)) / mass if mass else math.nan
        return Epoch(epoch, total / len(order), loss, rate)

    def _step(self, batch: list[int], epoch: int, rate: float) -> float:
        """Take one step over this process's part of a batch; return the mean loss over the whole batch."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self.optimizer.zero_grad(set_to_none=False)
        mass, told = loss_mass(self._labels(batch), self.task), 0.0
        mine = batch[self.portion.rank :: self.portion.world]
        for places in _parts(mine, self._group()):
            tiles = np.stack(list(self.readers.map(lambda i: self._view(i, epoch), places)))
            with torch.autocast(self.device.type, dtype=self._dtype(), enabled=self._dtype() is not torch.float32):
                logits = self.model(self._images(tiles))
            loss = loss_sum(logits, self._labels(places).to(logits.device), self.task) / mass
            torch.autograd.backward(self.scaler.scale(loss))
            told += float(loss.detach())
        told = self._gather(told)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return told

    def _gather(self, told: float) -> float:
        """Sum the gradients and the loss over all processes."""
        if self.portion.world == 1:
            return told
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)
        loss = torch.tensor(told, dtype=torch.float64, device=self.device)
        distributed.all_reduce(loss)
        return float(loss)

    @torch.inference_mode()
    def logits(self, places: Sequence[int]) -> Tensor:
        """Return the logits `(n, C)` float32 of tiles as they are."""
        self.model.eval()
        found = [self.model(self._images(tiles)).float().cpu() for tiles in self._read(places)]
        return torch.cat(found) if found else torch.zeros(0, self.task.outputs)

    @torch.inference_mode()
    def embeddings(self, places: Sequence[int]) -> np.ndarray:
        """Return what the encoder says of tiles as they are, `(n, D)` float64."""
        self.model.eval()
        found = [self.model.encoder(self._images(tiles)).double().cpu().numpy() for tiles in self._read(places)]
        return np.concatenate(found)

    def _read(self, places: Sequence[int]) -> Iterator[Pixels]:
        for part in _parts(list(places), self._group()):
            yield np.stack(list(self.readers.map(self._tile, part)))

    def _tile(self, place: int) -> Pixels:
        return self.tiles.pixels(place, self.card.input.tile_px)

    def _view(self, place: int, epoch: int) -> Pixels:
        rng = np.random.default_rng([self.config.seed, epoch, place])
        return view(self._tile(place), rng, Jitter(self.config.stain, self.config.stain / 10, self.config.turns))

    def _images(self, tiles: Pixels) -> Tensor:
        return prepare(torch.from_numpy(tiles).to(self.device), self.card.transform)

    def _labels(self, places: Sequence[int]) -> Tensor:
        return torch.tensor([[float(self.tiles.tiles[i].label)] for i in places], dtype=torch.float64).reshape(-1, 1)

    def _group(self) -> int:
        return GROUP if self.device.type == "cpu" else max(1, self.config.batch // self.portion.world)

    def _dtype(self) -> torch.dtype:
        names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        if self.config.precision != "auto":
            return names[self.config.precision]
        if self.device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _parts(places: list[int], size: int) -> Iterator[list[int]]:
    for at in range(0, len(places), size):
        yield places[at : at + size]


def make_tuned(card: EncoderCard, network: nn.Module, task: Task, *, seed: int) -> Tuned:
    """Return the encoder with an untrained classifier; ModelError for a network that isn't timm's."""
    if not isinstance(network, Pooled):
        raise ModelError(f"{card.id}: only networks of timm are fine-tuned here")
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return Tuned(network, card.dim, task.outputs)
