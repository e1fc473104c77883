"""Train a network of masks: windows of images through it, steps, epochs. A rerun gives the same bytes.

Nothing is drawn from a state that is carried along: the order of the images and the views of an epoch come from (seed,
epoch, image), so that a fit that was killed goes on from its last whole epoch as if nothing had been.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsi.encode.device import find_device
from wsi.encode.precision import cpu_has_bf16
from wsi.errors import UsageError
from wsi.segment.loss import mask_loss
from wsi.segment.unet import UNet, make_unet
from wsi.train.checkpoint import Epoch, Snapshot, read_snapshot, write_snapshot
from wsi.train.dense_cases import Prepared
from wsi.train.dense_plan import spec_of, window_of
from wsi.train.dense_settings import MaskConfig
from wsi.train.dense_views import drawn_window
from wsi.train.recipe import rate_at
from wsi.train.repeatable import repeatable
from wsi.train.running_mean import remember

Watch = Callable[[Epoch], None]


@dataclass(slots=True)
class MaskTraining:
    """One fit of one network on some of the images, from its first epoch or from where a checkpoint left it."""

    images: Sequence[Prepared]
    """All of the study; `train` says which of them teach."""
    train: Sequence[int]
    config: MaskConfig
    network: UNet = field(init=False)
    device: torch.device = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)

    def __post_init__(self) -> None:
        fit = self.config.fit
        self.device = find_device(fit.device)
        spec = spec_of(self.config)
        layout = torch.channels_last if spec.axes == 2 else torch.channels_last_3d  # a quarter faster on CPUs
        self.network = make_unet(spec, seed=self.config.seed).to(self.device).to(memory_format=layout)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), fit.learning_rate, weight_decay=fit.weight_decay)

    def run(self, checkpoint: Path, *, key: str, watch: Watch | None = None) -> tuple[Epoch, ...]:
        """Train the network, leave it ready to read with the running mean of its weights, and return what each epoch gave.

        Args:
            checkpoint: file that is published after each epoch; found there, it is gone on from.
            key: says what the fit depends on; ArtifactError when the checkpoint was made under another.

        Raises:
            UsageError: the loss runs off.
        """
        scaler = torch.amp.GradScaler(self.device.type, enabled=False)
        with repeatable(self.device, threads=self.config.fit.threads):
            snapshot = read_snapshot(checkpoint, key=key) or Snapshot.of(self.network, self.optimizer, scaler)
            snapshot.restore(self.network, self.optimizer, scaler)
            mean = {name: tensor.to(self.device, copy=True) for name, tensor in snapshot.best.items()}
            while len(snapshot.epochs) < self.config.fit.epochs:
                epoch = self._epoch(len(snapshot.epochs), mean)
                after = snapshot.after(epoch, self.network, self.optimizer, scaler)
                snapshot = replace(after, best={name: one.cpu().clone() for name, one in mean.items()})
                write_snapshot(checkpoint, snapshot, key=key)
                if watch is not None:
                    watch(epoch)
            self.network.load_state_dict(dict(snapshot.best))
            self.network.eval()
        return snapshot.epochs

    def _epoch(self, number: int, mean: dict[str, Tensor]) -> Epoch:
        """Go once over the training images, `windows` views of each; `mean` follows the weights."""
        fit = self.config.fit
        order = np.random.default_rng([self.config.seed, number]).permutation(list(self.train) * fit.windows).tolist()
        batches = [order[at : at + fit.batch] for at in range(0, len(order), fit.batch)]
        self.network.train()
        total = rate = 0.0
        for n, batch in enumerate(batches):
            rate = rate_at(number * len(batches) + n, fit.epochs * len(batches), fit.recipe)
            views = [self._view(i, [self.config.seed, number, n, place]) for place, i in enumerate(batch)]
            total += self._step(views, rate) * len(batch)
            remember(mean, self.network, keep=fit.keep, steps=number * len(batches) + n + 1)
        if not math.isfinite(total):
            raise UsageError(
                f"the loss is {total} in epoch {number + 1}: training ran off; "
                f"lower fit.learning_rate ({fit.learning_rate:g})"
            )
        return Epoch(number, total / len(order), math.nan, rate)

    def _view(self, image: int, seeds: list[int]) -> tuple[Tensor, Tensor]:
        one = self.images[image]
        rng = np.random.default_rng(seeds)
        return drawn_window(one.values, one.labels, window_of(self.config), self.config.views, rng)

    def _step(self, views: Sequence[tuple[Tensor, Tensor]], rate: float) -> float:
        """Take one step; return its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        images = torch.stack([image for image, _ in views]).to(self.device)  # (B, C, *window)
        labels = torch.stack([truth for _, truth in views]).to(self.device)  # (B, *window)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._is_half()):
            scores = self.network(images)  # (B, K, *window)
        loss = mask_loss(scores, labels, dice=self.config.fit.dice)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.fit.clip)
        self.optimizer.step()
        return float(loss.detach())

    def _is_half(self) -> bool:
        if self.config.fit.precision != "auto":
            return self.config.fit.precision == "bf16"
        return cpu_has_bf16() if self.device.type == "cpu" else torch.cuda.is_bf16_supported()
