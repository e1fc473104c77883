"""What every head is: told by a HeadSpec, trained through `forward`, read through `read`."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from wsi.errors import EmptyBagError, UsageError, did_you_mean
from wsi.mil.classes import Kind, logit_count

BLOCK = 16384
"""Tiles looked at together: 16,384 x 1,536 floats are 100 MB."""
Activation = Literal["relu", "tanh", "identity"]
InstanceLoss = Literal["smooth-svm", "cross-entropy"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "identity": nn.Identity}


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """All that makes a head but the width of a feature and the weights.

    aggregate: a name of `HEADS` or of a plug-in. kind, classes, cuts: what the logits mean (see `logit_count`).
    hidden: width of an embedded tile; width: of the attention or the queries; dropout: of the embedded tiles.
    instances, instance_weight, instance_loss: clam's clustering of tiles; the weight is relative to the bag's loss,
    0.3 : 0.7 in the paper's experiments. heads, landmarks: transmil's attention.

    Raises:
        UsageError: a number or name that no head can have.
    """

    aggregate: str = "gated-attention"
    kind: Kind = "binary"
    classes: int = 2
    cuts: int = 0
    hidden: int = 512
    width: int = 256
    activation: Activation = "relu"
    dropout: float = 0.0
    instances: int = 8
    instance_weight: float = 3 / 7
    instance_loss: InstanceLoss = "smooth-svm"
    heads: int = 8
    landmarks: int = 256

    def __post_init__(self) -> None:
        logit_count(self.kind, self.classes, cuts=self.cuts)
        for name in ("hidden", "width", "instances", "heads", "landmarks"):
            if getattr(self, name) < 1:
                raise UsageError(f"a head's {name} must be at least 1, found {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"a head's dropout must be at least 0 and under 1, found {self.dropout}")
        if not self.instance_weight >= 0:
            raise UsageError(f"a head's instance_weight must be at least 0, found {self.instance_weight}")
        _known("activation", self.activation, get_args(Activation))
        _known("instance_loss", self.instance_loss, get_args(InstanceLoss))

    @property
    def outputs(self) -> int:
        """Logits of a bag, C."""
        return logit_count(self.kind, self.classes, cuts=self.cuts)


def _known(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UsageError(f"a head's {what} is one of {', '.join(known)}; found {name!r}.{did_you_mean(name, known)}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a head says of one bag.

    logits `(C,)` of the bag; attention `(N,)`, sums to 1, no probability; tile_logits `(N, C)`: those of a bag that
    holds this tile alone.
    """

    logits: Tensor
    attention: Tensor
    tile_logits: Tensor


class Standardize(nn.Module):
    """(features - mean) / std, both kept with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std


class Head(nn.Module):
    """Base of all heads: embeds the tiles; what is made of them is the subclass's.

    Class attributes: kinds, the targets it can be trained for; any_order, whether the order of a bag's tiles means
    nothing; attends, whether `forward` returns an attention; width_tensor, the name of a weight with `spec.width` rows,
    None where no weight has that width; logit_layers, the names of the layers whose bias is a bag's logits before anything
    is seen of it.

    Args of the constructor: spec; dim, width of a feature.

    Raises:
        UsageError: the head isn't for targets of this kind.
    """

    kinds: ClassVar[tuple[Kind, ...]] = get_args(Kind)
    any_order: ClassVar[bool] = True
    attends: ClassVar[bool] = True
    width_tensor: ClassVar[str | None] = None
    logit_layers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, spec: HeadSpec, dim: int) -> None:
        super().__init__()
        if spec.kind not in self.kinds:
            raise UsageError(f"a {spec.aggregate} head is for {', '.join(self.kinds)} targets, found {spec.kind}")
        self.spec, self.dim = spec, dim
        self.norm = Standardize(dim)
        self.embed = nn.Linear(dim, spec.hidden)
        self.activation = _ACTIVATIONS[spec.activation]()
        self.dropout = nn.Dropout(spec.dropout)

    @abstractmethod
    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Read padded bags.

        Args:
            features: `(B, N, D)` float; what lies on padding is ignored.
            mask: `(B, N)` bool, True = a real tile. None: all are.

        Returns:
            logits `(B, C)` and attention `(B, N)`, 0 on padding, sums to 1; None where the head has none.

        Raises:
            EmptyBagError: a bag has no real tile.
        """

    def forward_to_train(self, features: Tensor, mask: Tensor | None, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Read padded bags whose labels are known, to learn from them.

        Args:
            features, mask: as in `forward`.
            labels: `(B, W)`; NaN where unknown.

        Returns:
            logits `(B, C)`, and a scalar that is added to the bags' loss, the mean over the bags: 0 unless a head has more to
            learn than the bags' labels.

        Raises:
            EmptyBagError: a bag has no real tile.
        """
        logits, _ = self(features, mask)
        return logits, logits.new_zeros(())

    @abstractmethod
    def read(self, features: Tensor, *, block: int = BLOCK) -> Reading:
        """Read one bag `(N, D)` of any size, `block` tiles at a time; as `forward` reads it, to rounding.

        Raises:
            EmptyBagError: the bag has no tile.
        """

    def embedded(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the embedded tiles `(..., N, H)` of features `(..., N, D)`; those of padding are of zeros."""
        if mask is not None:
            features = features.masked_fill(~mask[..., None], 0.0)
        found: Tensor = self.dropout(self.activation(self.embed(self.norm(features))))  # (..., N, H)
        return found


def real_tiles(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return which tiles of `(B, N, D)` are real, `(B, N)` bool.

    Raises:
        EmptyBagError: a bag has no real tile.
    """
    real = torch.ones(features.shape[:-1], dtype=torch.bool, device=features.device) if mask is None else mask
    if not real.shape[-1] or not bool(real.any(dim=-1).all()):
        raise EmptyBagError("a bag holds no tile, so there is nothing to read")
    return real


def in_blocks(features: Tensor, block: int) -> Iterator[Tensor]:
    """Yield a bag's tiles `(N, D)`, `block` at a time.

    Raises:
        EmptyBagError: the bag has no tile.
    """
    if not len(features):
        raise EmptyBagError("a bag holds no tile, so there is nothing to read")
    for start in range(0, len(features), block):
        yield features[start : start + block]
