"""Gated-attention multiple-instance learning."""

import torch
from torch import Tensor, nn

from wsi.mil.head import HeadSpec
from wsi.mil.pooled import PooledHead


class GatedScore(nn.Module):
    """w^T (tanh(V h) * sigmoid(U h)): one score a tile and branch, `(..., M)`. Source: Ilse et al. 2018, eq. 9."""

    def __init__(self, hidden: int, width: int, *, branches: int = 1) -> None:
        super().__init__()
        self.tanh = nn.Linear(hidden, width)
        self.gate = nn.Linear(hidden, width)
        self.score = nn.Linear(width, branches)

    def forward(self, embedded: Tensor) -> Tensor:
        gated = torch.tanh(self.tanh(embedded)) * torch.sigmoid(self.gate(embedded))  # (..., width)
        scores: Tensor = self.score(gated)  # (..., M)
        return scores


class GatedAttention(PooledHead):
    """Embed the tiles, weigh them by gated attention, classify the weighted mean.

    Source: Ilse et al. 2018, eq. 8-9.
    """

    width_tensor = "attention.tanh.weight"

    def __init__(self, spec: HeadSpec, dim: int) -> None:
        super().__init__(spec, dim)
        self.attention = GatedScore(spec.hidden, spec.width)

    def score(self, embedded: Tensor) -> Tensor:
        """Return the attention's scores before the softmax, `(...)`."""
        scores: Tensor = self.attention(embedded)  # (..., 1)
        return scores[..., 0]
