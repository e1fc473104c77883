"""Softmax attention over bags: padded batches for training, and bags of any size in bounded memory."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from wsi.errors import EmptyBagError


def attention_weights(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the attention of the tiles of each bag.

    Args:
        scores: `(..., N)` float, any finite numbers.
        mask: `(..., N)` bool, True = a real tile. None: all are.

    Returns:
        `(..., N)`; 0 on padding, sums to 1 over each bag.

    Raises:
        EmptyBagError: a bag has no real tile (softmax would give NaN).

    Source: Ilse et al. 2018, eq. 9.
    """
    real = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    if scores.shape[-1] == 0 or not bool(real.any(dim=-1).all()):
        raise EmptyBagError("a bag holds no tile, so there is nothing to attend to")
    hidden = scores.masked_fill(~real, -torch.inf)  # (..., N)
    return torch.softmax(hidden, dim=-1)


@dataclass(slots=True)
class RunningAttention:
    """The attention-weighted sum of values that come block by block, equal to the softmax over all of them.

    Scores are `(n,)`, or `(..., M, n)` for M attentions over the same values `(..., n, D)`.

    Only three things are kept: the largest score so far, the sum of exp(score - largest) and the sum of
    exp(score - largest) * value; both sums are rescaled when a larger score comes.

    Source: Milakov and Gimelshein 2018, alg. 3.
    """

    largest: Tensor | None = None
    total: Tensor | None = None
    weighted: Tensor | None = None

    def add(self, scores: Tensor, values: Tensor) -> None:
        """Take in the scores `(..., n)` and values `(..., n, D)` of a block of tiles."""
        if not scores.shape[-1]:
            return
        scores, values = scores.double(), values.double()
        most = scores.amax(dim=-1)  # (...)
        largest = most if self.largest is None else torch.maximum(self.largest, most)
        weights = torch.exp(scores - largest[..., None])  # (..., n)
        total, weighted = weights.sum(dim=-1), weights @ values  # (...), (..., D)
        if self.largest is not None:
            assert self.total is not None
            assert self.weighted is not None
            shrink = torch.exp(self.largest - largest)
            total, weighted = self.total * shrink + total, self.weighted * shrink[..., None] + weighted
        self.largest, self.total, self.weighted = largest, total, weighted

    def mean(self) -> Tensor:
        """Return the weighted mean of the values, `(..., D)` float64; EmptyBagError when there were none."""
        if self.weighted is None or self.total is None:
            raise EmptyBagError("a bag holds no tile, so there is nothing to attend to")
        return self.weighted / self.total[..., None]

    def weights(self, scores: Tensor) -> Tensor:
        """Return the attention of tiles whose scores were taken in, `(..., n)` float64."""
        if self.largest is None or self.total is None:
            raise EmptyBagError("a bag holds no tile, so there is nothing to attend to")
        return torch.exp(scores.double() - self.largest[..., None]) / self.total[..., None]


def attend(blocks: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Attend to a bag that comes in blocks of scores `(..., n)` and values `(..., n, D)`.

    Returns:
        embedding `(..., D)` and attention `(..., N)`, both float64; memory holds one block and the scores.

    Raises:
        EmptyBagError: no block has a tile.
    """
    running, kept = RunningAttention(), []
    for scores, values in blocks:
        running.add(scores, values)
        kept.append(scores.double())
    embedding = running.mean()
    return embedding, running.weights(torch.cat(kept, dim=-1))
