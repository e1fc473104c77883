"""Heads that classify one weighted mean of the embedded tiles; how the tiles are weighed is the subclass's."""

from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from wsi.mil.attention import attend, attention_weights
from wsi.mil.classes import make_classifier
from wsi.mil.head import BLOCK, Head, HeadSpec, Reading, in_blocks


class PooledHead(Head):
    """Embed the tiles, weigh them by the softmax of a score, classify the weighted mean."""

    logit_layers = ("classifier",)

    def __init__(self, spec: HeadSpec, dim: int) -> None:
        super().__init__(spec, dim)
        self.classifier = make_classifier(spec.kind, spec.hidden, spec.classes, cuts=spec.cuts)

    @abstractmethod
    def score(self, embedded: Tensor) -> Tensor:
        """Return one score a tile, `(...)`, of embedded tiles `(..., H)`."""

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read padded bags; see `Head.forward`."""
        embedded = self.embedded(features, mask)  # (B, N, H)
        return self.pool(embedded, self.score(embedded), mask)

    def pool(self, embedded: Tensor, scores: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the logits `(B, C)` and attention `(B, N)` of embedded tiles `(B, N, H)` and their scores `(B, N)`."""
        attention = attention_weights(scores, mask)  # (B, N)
        pooled = torch.einsum("bn,bnh->bh", attention, embedded)  # (B, H)
        return self.classifier(pooled), attention

    @torch.inference_mode()
    def read(self, features: Tensor, *, block: int = BLOCK) -> Reading:
        """Read one bag of any size; see `Head.read`."""
        tile_logits: list[Tensor] = []

        def blocks() -> Iterator[tuple[Tensor, Tensor]]:
            for part in in_blocks(features, block):
                embedded = self.embedded(part)  # (n, H)
                tile_logits.append(self.classifier(embedded))  # (n, C)
                yield self.score(embedded), embedded

        pooled, attention = attend(blocks())  # (H,), (N,)
        logits = self.classifier(pooled.to(self.classifier.weight.dtype))  # (C,)
        return Reading(logits, attention.float(), torch.cat(tile_logits))
