"""Self-attention of long sequences in linear time, by landmarks."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from wsi.errors import UsageError
from wsi.mil.attention import RunningAttention

STEPS = 6
"""Of the iteration for the pseudo-inverse, as in the paper."""
Blocks = Callable[[], Iterator[Tensor]]
"""A function that begins a pass over the tokens of sequences of one length, `(B, n, H)` at a time."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What every token of a sequence attends to, S keys and values a head.

    keys, values `(B, A, S, d)`. Where S is less than the length, they are landmarks: queries and mix `(B, A, S, d)` and
    `(B, A, S, S)` then spread attention to a key over the sequence; elsewhere both are None.
    """

    keys: Tensor
    values: Tensor
    queries: Tensor | None = None
    mix: Tensor | None = None


class NystromAttention(nn.Module):
    """Tokens plus the self-attention of their layer norm.

    softmax(Q K~^T) softmax(Q~ K~^T)^+ softmax(Q~ K^T) V, each softmax over its row and scaled by 1 / sqrt(d); Q~ and K~
    are means of `landmarks` even segments of Q and K. A sequence that is no longer than that is attended to exactly.

    Source: Xiong et al. 2021, softmax attention by the Nyström method with segment means as landmarks.
    """

    def __init__(self, hidden: int, *, heads: int, landmarks: int) -> None:
        super().__init__()
        if hidden % heads:
            raise UsageError(f"hidden {hidden} can't be shared by {heads} heads; take a multiple of {heads}")
        self.heads, self.landmarks = heads, landmarks
        self.norm = nn.LayerNorm(hidden)
        self.inward = nn.Linear(hidden, 3 * hidden, bias=False)
        self.outward = nn.Linear(hidden, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens `(B, n, H)` with what they attend to added."""
        return self.attend(tokens, self.summarize(tokens))

    def attend(self, tokens: Tensor, summary: Summary) -> Tensor:
        """Return tokens `(B, n, H)` of a sequence, with what they attend to in its summary added."""
        found = scaled_dot_product_attention(self._queries(tokens), summary.keys, summary.values)  # (B, A, n, d)
        added: Tensor = self.outward(found.transpose(1, 2).flatten(2))  # (B, n, H)
        return tokens + added

    def summarize(self, tokens: Tensor) -> Summary:
        """Return the summary of whole sequences `(B, n, H)`."""
        normed, n = self.norm(tokens), tokens.shape[1]
        keys, values = (self._part(normed, part) for part in (1, 2))  # (B, A, n, d)
        if n <= self.landmarks:
            return Summary(keys, values)
        means = normed.new_zeros(len(normed), self.landmarks, normed.shape[2])
        means = means.index_add(1, segments(0, n, n, self.landmarks, like=normed), normed)  # (B, S, H)
        queries, marks, mix = self._landmarks(means / self._sizes(n, like=normed))
        return Summary(marks, mix @ scaled_dot_product_attention(queries, keys, values), queries, mix)

    def summarize_blocks(self, blocks: Blocks, n: int) -> Summary:
        """Return the summary of sequences that come in blocks, in two passes; n is more than the landmarks."""
        start, like = 0, self.outward.weight
        means = like.new_zeros(1, self.landmarks, like.shape[0])  # (1, S, H)
        for block in blocks():
            at = segments(start, start + block.shape[1], n, self.landmarks, like=like)
            means = means.index_add(1, at, self.norm(block))  # (1, S, H)
            start += block.shape[1]
        queries, marks, mix = self._landmarks(means / self._sizes(n, like=like))
        running = RunningAttention()
        for block in blocks():
            normed = self.norm(block)  # (1, n, H)
            running.add(self._scores(queries, normed), self._part(normed, 2))
        return Summary(marks, mix @ running.mean().to(mix.dtype), queries, mix)

    def row(self, token: Tensor, summary: Summary, blocks: Blocks) -> Tensor:
        """Return how one token `(B, H)` attends to its sequence, the mean over the heads: `(B, n)`, sums to 1 or nearly.

        An approximated row may have negative parts: the pseudo-inverse has.
        """
        queries = self._queries(token[:, None])  # (B, A, 1, d)
        to_keys = torch.softmax(self._scale(queries) @ summary.keys.mT, dim=-1)  # (B, A, 1, S)
        if summary.queries is None or summary.mix is None:
            return to_keys[:, :, 0].mean(dim=1)  # (B, n)
        sums = to_keys.new_full(summary.queries.shape[:3], -torch.inf)  # (B, A, S), log of the softmax's denominators
        for block in blocks():
            sums = torch.logaddexp(sums, self._scores(summary.queries, self.norm(block)).logsumexp(dim=-1))
        to_marks, parts = (to_keys @ summary.mix)[:, :, 0], []  # (B, A, S)
        for block in blocks():
            shares = torch.exp(self._scores(summary.queries, self.norm(block)) - sums[..., None])  # (B, A, S, n)
            parts.append(torch.einsum("bas,basn->bn", to_marks, shares) / self.heads)
        return torch.cat(parts, dim=1)

    def _part(self, normed: Tensor, part: int) -> Tensor:
        """Return the queries (0), keys (1) or values (2) of normed tokens `(B, n, H)`: `(B, A, n, d)`."""
        weight: Tensor = self.inward.weight.chunk(3)[part]  # (H, H)
        found = normed @ weight.T  # (B, n, H)
        parts: Tensor = found.reshape(*found.shape[:2], self.heads, -1).transpose(1, 2)
        return parts

    def _queries(self, tokens: Tensor) -> Tensor:
        return self._part(self.norm(tokens), 0)

    def _scale(self, queries: Tensor) -> Tensor:
        return queries / math.sqrt(queries.shape[-1])

    def _scores(self, queries: Tensor, normed: Tensor) -> Tensor:
        """Return the scores of landmark queries `(B, A, S, d)` for normed tokens `(B, n, H)`: `(B, A, S, n)`."""
        return self._scale(queries) @ self._part(normed, 1).mT

    def _landmarks(self, means: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries and keys of the landmarks and the pseudo-inverse of their attention; means `(B, S, H)`."""
        queries, keys = self._part(means, 0), self._part(means, 1)  # (B, A, S, d); means of what is linear
        return queries, keys, pseudo_inverse(torch.softmax(self._scale(queries) @ keys.mT, dim=-1))

    def _sizes(self, n: int, *, like: Tensor) -> Tensor:
        """Return how many of n tokens each segment has, `(S, 1)`."""
        return segments(0, n, n, self.landmarks, like=like).bincount(minlength=self.landmarks)[:, None].to(like.dtype)


def segments(start: int, stop: int, n: int, count: int, *, like: Tensor) -> Tensor:
    """Return the segment of the tokens from `start` to `stop` where n tokens are cut in `count` even segments."""
    return torch.arange(start, stop, device=like.device) * count // n


def pseudo_inverse(attention: Tensor, *, steps: int = STEPS) -> Tensor:
    """Return nearly the Moore-Penrose inverse of square matrices `(..., S, S)` whose rows are shares.

    Z <- Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4, from Z = A^T / (|A|_1 |A|_inf).

    Source: Xiong et al. 2021, iteration for the Moore-Penrose inverse, after Razavi et al. 2014.
    """
    sums = attention.abs()
    norms = sums.sum(dim=-2).amax(dim=-1) * sums.sum(dim=-1).amax(dim=-1)  # (...)
    found = attention.mT / norms[..., None, None]  # (..., S, S)
    one = torch.eye(attention.shape[-1], dtype=attention.dtype, device=attention.device)
    for _ in range(steps):
        product = attention @ found
        found = found @ (13 * one - product @ (15 * one - product @ (7 * one - product))) / 4
    return found
