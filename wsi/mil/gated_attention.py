"""Gated-attention multiple-instance learning, and its plain neighbor, the mean of all tiles."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from wsi.mil.attention import attend, attention_weights
from wsi.mil.classes import Kind, make_classifier

BLOCK = 16384
"""Tiles looked at together: 16,384 x 1,536 floats are 100 MB."""
Activation = Literal["relu", "tanh", "identity"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "identity": nn.Identity}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a head says of one bag.

    logits `(C,)` of the bag; attention `(N,)`, sums to 1, no probability; tile_logits `(N, C)` of each tile alone.
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


class GatedScore(nn.Module):
    """w^T (tanh(V h) * sigmoid(U h)): one score a tile. Source: Ilse et al. 2018, eq. 9."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.tanh = nn.Linear(hidden, width)
        self.gate = nn.Linear(hidden, width)
        self.score = nn.Linear(width, 1)

    def forward(self, embedded: Tensor) -> Tensor:
        gated = torch.tanh(self.tanh(embedded)) * torch.sigmoid(self.gate(embedded))  # (..., width)
        score: Tensor = self.score(gated)  # (..., 1)
        return score[..., 0]


class GatedAttention(nn.Module):
    """Embed the tiles, weigh them by gated attention, classify the weighted mean.

    Args of the constructor: dim, width of a feature; hidden, of an embedded tile; width, of the attention; kind and
    classes, what the logits mean (see `class_probabilities`); aggregate "mean" weighs all tiles alike.

    Source: Ilse et al. 2018, eq. 8-9.
    """

    def __init__(
        self,
        dim: int,
        *,
        hidden: int,
        width: int,
        kind: Kind = "binary",
        classes: int = 2,
        activation: Activation = "relu",
        aggregate: Literal["gated-attention", "mean"] = "gated-attention",
    ) -> None:
        super().__init__()
        self.norm = Standardize(dim)
        self.embed = nn.Linear(dim, hidden)
        self.activation = _ACTIVATIONS[activation]()
        self.attention = GatedScore(hidden, width) if aggregate == "gated-attention" else None
        self.classifier = make_classifier(kind, hidden, classes)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read padded bags.

        Args:
            features: `(B, N, D)` float; what lies on padding is ignored.
            mask: `(B, N)` bool, True = a real tile. None: all are.

        Returns:
            logits `(B, C)` and attention `(B, N)`, 0 on padding, sums to 1.

        Raises:
            EmptyBagError: a bag has no real tile.
        """
        if mask is not None:
            features = features.masked_fill(~mask[..., None], 0.0)
        embedded, scores = self._embed(features)  # (B, N, H), (B, N)
        attention = attention_weights(scores, mask)  # (B, N)
        pooled = torch.einsum("bn,bnh->bh", attention, embedded)  # (B, H)
        return self.classifier(pooled), attention

    @torch.inference_mode()
    def read(self, features: Tensor, *, block: int = BLOCK) -> Reading:
        """Read one bag `(N, D)` of any size, `block` tiles at a time; as `forward` reads it, to rounding.

        Raises:
            EmptyBagError: the bag has no tile.
        """
        tile_logits: list[Tensor] = []

        def blocks() -> Iterator[tuple[Tensor, Tensor]]:
            for start in range(0, len(features), block):
                embedded, scores = self._embed(features[start : start + block])  # (n, H), (n,)
                tile_logits.append(self.classifier(embedded))  # (n, C)
                yield scores, embedded

        pooled, attention = attend(blocks())  # (H,), (N,)
        logits = self.classifier(pooled.to(self.classifier.weight.dtype))  # (C,)
        return Reading(logits, attention.float(), torch.cat(tile_logits))

    def _embed(self, features: Tensor) -> tuple[Tensor, Tensor]:
        embedded: Tensor = self.activation(self.embed(self.norm(features)))  # (..., H)
        scores = torch.zeros_like(embedded[..., 0]) if self.attention is None else self.attention(embedded)  # (...,)
        return embedded, scores
