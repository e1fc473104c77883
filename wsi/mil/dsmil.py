"""DSMIL: the tile that says most, and all tiles weighed by how alike they are to it."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from wsi.mil.attention import attend, attention_weights
from wsi.mil.classes import make_classifier
from wsi.mil.head import BLOCK, Head, HeadSpec, Reading, in_blocks, real_tiles
from wsi.mil.own_class import classify_own


class DualStream(Head):
    """The mean of two streams: the largest tile logit, and a classifier of the tiles weighed by likeness.

    For each logit, the critical tile m is the one that says most: U_i = softmax over i of <q_i, q_m> / sqrt(width),
    c = (max_i W_0 h_i + W_b sum_i U_i v_i) / 2, with q = W_q h and v = W_v h. The cuts of ordered grades share one
    critical tile. The attention that is shown is U, the mean over the logits.

    Source: Li et al. 2021, masked non-local block; the scale of the softmax is that of the authors' experiments.
    """

    width_tensor = "query.weight"
    logit_layers = ("classifier", "instance")

    def __init__(self, spec: HeadSpec, dim: int) -> None:
        super().__init__(spec, dim)
        self.instance = make_classifier(spec.kind, spec.hidden, spec.classes, cuts=spec.cuts)
        self.query = nn.Linear(spec.hidden, spec.width)
        self.value = nn.Linear(spec.hidden, spec.hidden)
        self.classifier = make_classifier(spec.kind, spec.hidden, spec.classes, cuts=spec.cuts)
        self.branches = len(self.classifier.weight)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read padded bags; see `Head.forward`."""
        real = real_tiles(features, mask)  # (B, N)
        embedded = self.embedded(features, mask)  # (B, N, H)
        hidden = self.instance(embedded).masked_fill(~real[..., None], -torch.inf)  # (B, N, C)
        most, at = hidden.max(dim=1)  # (B, C)
        places = at[:, : self.branches, None].expand(-1, -1, embedded.shape[2])  # (B, M, H)
        scores = self._alike(embedded, embedded.gather(1, places))  # (B, M, N)
        weights = attention_weights(scores, real[:, None].expand_as(scores))  # (B, M, N)
        return self._logits(most, weights @ embedded), weights.mean(dim=1)

    @torch.inference_mode()
    def read(self, features: Tensor, *, block: int = BLOCK) -> Reading:
        """Read one bag of any size, in two passes; see `Head.read`."""
        hidden = torch.cat([self.instance(self.embedded(part)) for part in in_blocks(features, block)])  # (N, C)
        most, at = hidden.max(dim=0)  # (C,)
        critical = self.embedded(features[at[: self.branches]])  # (M, H)
        tile_logits: list[Tensor] = []

        def blocks() -> Iterator[tuple[Tensor, Tensor]]:
            for part in in_blocks(features, block):
                embedded = self.embedded(part)  # (n, H)
                alone = self.instance(embedded) + self.classifier(self.value(embedded))  # (n, C)
                tile_logits.append(alone / 2)
                yield self._alike(embedded, critical), embedded

        pooled, attention = attend(blocks())  # (M, H), (M, N)
        logits = self._logits(most, pooled.to(most.dtype))  # (C,)
        return Reading(logits, attention.mean(dim=0).float(), torch.cat(tile_logits))

    def _alike(self, embedded: Tensor, critical: Tensor) -> Tensor:
        """Return how alike tiles `(..., N, H)` are to the critical ones `(..., M, H)`: `(..., M, N)`."""
        queries = self.query(embedded)  # (..., N, Q)
        found: Tensor = self.query(critical) @ queries.mT / math.sqrt(queries.shape[-1])  # (..., M, N)
        return found

    def _logits(self, most: Tensor, pooled: Tensor) -> Tensor:
        """Return both streams' mean `(..., C)`; v is linear and U sums to 1, so v of the mean is the mean of v."""
        return (most + classify_own(self.classifier, self.value(pooled))) / 2  # (..., C)
