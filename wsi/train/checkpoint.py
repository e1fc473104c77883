"""The state of a fit after an epoch, in one safetensors file that is published whole: no pickle, no half state."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from wsi.encode.weights import check_header
from wsi.errors import ArtifactError, WeightsError
from wsi.publish import publish

FORMAT = "wsi-checkpoint/1"
HEAD, BEST, OPTIMIZER = "head.", "best.", "optimizer."


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training bags: its number from 0, mean losses (validation NaN when there was none), last rate."""

    number: int
    train_loss: float
    validation_loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the next epoch depends on but the seed: weights, optimizer, loss scale, epochs so far, the best weights."""

    head: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    """`0.exp_avg` and so on: the number of a parameter and the name of its state."""
    scaler: Mapping[str, float]
    epochs: tuple[Epoch, ...] = ()
    best_epoch: int = 0

    @classmethod
    def of(cls, head: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> "Snapshot":
        """Return the state before the first epoch."""
        weights = _copied(head.state_dict())
        return cls(weights, weights, _state_of(optimizer), dict(scaler.state_dict()))

    def after(
        self, epoch: Epoch, head: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
    ) -> "Snapshot":
        """Return the state after one more epoch; its weights are the best when its validation loss is the least.

        Without a validation loss the last weights are the best.
        """
        weights = _copied(head.state_dict())
        least = min((e.validation_loss for e in self.epochs if not math.isnan(e.validation_loss)), default=math.inf)
        better = math.isnan(epoch.validation_loss) or epoch.validation_loss < least
        return Snapshot(
            head=weights,
            best=weights if better else self.best,
            optimizer=_state_of(optimizer),
            scaler=dict(scaler.state_dict()),
            epochs=(*self.epochs, epoch),
            best_epoch=epoch.number if better else self.best_epoch,
        )

    def restore(self, head: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
        """Bring a head, its optimizer and its loss scale to this state."""
        head.load_state_dict(dict(self.head))
        groups = optimizer.state_dict()["param_groups"]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self.optimizer.items():
            number, _, key = name.partition(".")
            state.setdefault(int(number), {})[key] = tensor.clone()
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        if self.scaler:
            scaler.load_state_dict(dict(self.scaler))


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _state_of(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return _copied({f"{number}.{key}": tensor for number, of in state.items() for key, tensor in of.items()})


def write_snapshot(path: Path, snapshot: Snapshot, *, key: str) -> None:
    """Publish a snapshot: a kill at any moment leaves the one before it or this one.

    Raises:
        NoSpaceError: the disk is full; the one before it stays.
    """
    told = {
        "format": FORMAT,
        "key": key,
        "epochs": [asdict(epoch) for epoch in snapshot.epochs],
        "best_epoch": snapshot.best_epoch,
        "scaler": dict(snapshot.scaler),
    }
    parts = ((HEAD, snapshot.head), (BEST, snapshot.best), (OPTIMIZER, snapshot.optimizer))
    tensors = {prefix + name: tensor.clone() for prefix, of in parts for name, tensor in of.items()}
    # One entry of text: safetensors writes several in any order.
    publish(path, safetensors.torch.save(tensors, {"wsi": json.dumps(told, sort_keys=True)}))


def read_snapshot(path: Path, *, key: str) -> Snapshot | None:
    """Return the snapshot at `path`; None when there is none.

    Raises:
        ArtifactError: damaged, not a checkpoint, or made under another key: of other data, splits or settings.
    """
    if not path.exists():
        return None
    try:
        check_header(path)
        with safe_open(path, framework="pt", device="cpu") as file:
            told = json.loads((file.metadata() or {}).get("wsi", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if told.get("format") != FORMAT:
            raise ArtifactError(f"{path}: not a checkpoint of this tool; remove it to train anew")
        if told["key"] != key:
            raise ArtifactError(
                f"{path}: made from other data, splits or settings; give another run folder, or remove this one"
            )
        return Snapshot(
            head=_named(tensors, HEAD),
            best=_named(tensors, BEST),
            optimizer=_named(tensors, OPTIMIZER),
            scaler=told["scaler"],
            epochs=tuple(Epoch(**epoch) for epoch in told["epochs"]),
            best_epoch=told["best_epoch"],
        )
    except (SafetensorError, WeightsError, OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path}: not a whole checkpoint ({error}); remove it to train anew") from error


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
