"""CLAM: gated attention whose most and least attended tiles are also told apart, class by class."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from wsi.mil.attention import attend, attention_weights
from wsi.mil.clustering import InstanceClusters
from wsi.mil.gated_attention import GatedAttention, GatedScore
from wsi.mil.head import BLOCK, Head, HeadSpec, Reading, in_blocks, real_tiles
from wsi.mil.own_class import classify_own


class ClamSingle(GatedAttention):
    """CLAM-SB: one attention for all classes.

    Source: Lu et al. 2021, eq. 1-2 with one branch, and "Instance-level clustering".
    """

    kinds = ("binary", "multiclass", "multilabel", "ordinal")

    def __init__(self, spec: HeadSpec, dim: int) -> None:
        super().__init__(spec, dim)
        self.clusters = InstanceClusters(spec)

    def forward_to_train(self, features: Tensor, mask: Tensor | None, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the clustering loss; see `Head.forward_to_train` and `InstanceClusters.loss`."""
        embedded = self.embedded(features, mask)  # (B, N, H)
        scores = self.score(embedded)  # (B, N)
        logits, _ = self.pool(embedded, scores, mask)
        real = real_tiles(features, mask)
        return logits, self.clusters.loss(embedded, real=real, scores=scores[..., None], labels=labels)


class ClamMulti(Head):
    """CLAM-MB: an attention and a classifier for each class.

    The score of class m is w_m^T (sum of a_m h); a binary head's logit is the score of its second class less that of
    its first. The attention that is shown is the mean of the branches.

    Source: Lu et al. 2021, eq. 1-2 and "Instance-level clustering".
    """

    kinds = ("binary", "multiclass", "multilabel")
    width_tensor = "attention.tanh.weight"

    def __init__(self, spec: HeadSpec, dim: int) -> None:
        super().__init__(spec, dim)
        self.attention = GatedScore(spec.hidden, spec.width, branches=spec.classes)
        self.classifier = nn.Linear(spec.hidden, spec.classes)
        self.clusters = InstanceClusters(spec)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read padded bags; see `Head.forward`."""
        embedded = self.embedded(features, mask)  # (B, N, H)
        return self._pool(embedded, self.attention(embedded), real_tiles(features, mask))

    @torch.inference_mode()
    def read(self, features: Tensor, *, block: int = BLOCK) -> Reading:
        """Read one bag of any size; see `Head.read`."""
        tile_logits: list[Tensor] = []

        def blocks() -> Iterator[tuple[Tensor, Tensor]]:
            for part in in_blocks(features, block):
                embedded = self.embedded(part)  # (n, H)
                tile_logits.append(self._logits(self.classifier(embedded)))  # (n, C)
                yield self.attention(embedded).T, embedded

        pooled, attention = attend(blocks())  # (M, H), (M, N)
        logits = self._logits(classify_own(self.classifier, pooled))  # (C,)
        return Reading(logits, attention.mean(dim=0).float(), torch.cat(tile_logits))

    def forward_to_train(self, features: Tensor, mask: Tensor | None, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the clustering loss; see `Head.forward_to_train` and `InstanceClusters.loss`."""
        embedded, real = self.embedded(features, mask), real_tiles(features, mask)  # (B, N, H), (B, N)
        scores: Tensor = self.attention(embedded)  # (B, N, M)
        logits, _ = self._pool(embedded, scores, real)
        return logits, self.clusters.loss(embedded, real=real, scores=scores, labels=labels)

    def _pool(self, embedded: Tensor, scores: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits `(B, C)` and the shown attention `(B, N)`; scores `(B, N, M)`, real `(B, N)`."""
        scores = scores.mT  # (B, M, N)
        weights = attention_weights(scores, real[:, None].expand_as(scores))
        return self._logits(classify_own(self.classifier, weights @ embedded)), weights.mean(dim=1)

    def _logits(self, scores: Tensor) -> Tensor:
        """Return the logits `(..., C)` of the scores of the classes, `(..., K)`."""
        return scores[..., 1:] - scores[..., :1] if self.spec.kind == "binary" else scores
