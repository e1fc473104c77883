"""The tile that says most decides: max pooling over the logits of the tiles."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from wsi.mil.classes import make_classifier
from wsi.mil.head import BLOCK, Head, HeadSpec, Reading, in_blocks, real_tiles


class MaxPool(Head):
    """Classify every tile; each logit of the bag is the largest of its tiles.

    The attention is the share of the bag's logits that came from a tile: with one logit, 1 on one tile.

    Source: Wang et al. 2018, mi-Net with max pooling.
    """

    logit_layers = ("classifier",)

    def __init__(self, spec: HeadSpec, dim: int) -> None:
        super().__init__(spec, dim)
        self.classifier = make_classifier(spec.kind, spec.hidden, spec.classes, cuts=spec.cuts)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read padded bags; see `Head.forward`."""
        real = real_tiles(features, mask)  # (B, N)
        tile_logits = self.classifier(self.embedded(features, mask))  # (B, N, C)
        logits, at = tile_logits.masked_fill(~real[..., None], -torch.inf).max(dim=1)  # (B, C)
        return logits, one_hot(at, real.shape[1]).to(logits.dtype).mean(dim=1)  # (B, C), (B, N)

    @torch.inference_mode()
    def read(self, features: Tensor, *, block: int = BLOCK) -> Reading:
        """Read one bag of any size; see `Head.read`."""
        tile_logits = torch.cat([self.classifier(self.embedded(part)) for part in in_blocks(features, block)])  # (N, C)
        logits, at = tile_logits.max(dim=0)  # (C,)
        attention = torch.bincount(at, minlength=len(features)) / len(logits)  # (N,)
        return Reading(logits, attention.float(), tile_logits)
