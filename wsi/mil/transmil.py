"""TransMIL: a transformer over all tiles of a bag, with their order as a position."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from wsi.mil.classes import make_classifier
from wsi.mil.head import BLOCK, Head, HeadSpec, Reading, in_blocks, real_tiles
from wsi.mil.nystrom import NystromAttention, Summary

TOKENS = 2048
"""Looked at together: the scores of 2,048 tokens for 256 landmarks and 8 heads are 32 MB in float64."""
CHANNELS = 32
"""Convolved together: 32 channels of 200,000 tokens are 26 MB."""
_KERNELS = (7, 5, 3)


class PositionGenerator(nn.Module):
    """Tokens on a square grid plus three depthwise convolutions of it (PPEG), as one of 7 x 7.

    Source: Shao et al. 2021, pyramid position encoding generator.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(hidden, hidden, size, padding=size // 2, groups=hidden) for size in _KERNELS
        )

    def forward(self, tiles: Tensor) -> Tensor:
        """Return tiles `(B, s * s, H)`, the rows of a square one after the other, with their neighbors mixed in."""
        side = math.isqrt(tiles.shape[1])
        weight, bias = self._kernel(side)
        grid = tiles.mT.reshape(len(tiles), -1, side, side)  # (B, H, s, s)
        found = conv2d(grid, weight, bias, padding=weight.shape[-1] // 2, groups=len(weight))
        return found.flatten(2).mT  # (B, s * s, H)

    def mix_in_place(self, tiles: Tensor) -> None:
        """Do the same to the tiles `(s * s, H)` of one bag, a few channels at a time."""
        side = math.isqrt(len(tiles))
        weight, bias = self._kernel(side)
        for first in range(0, tiles.shape[1], CHANNELS):
            some = slice(first, first + CHANNELS)
            grid = tiles[:, some].T.reshape(1, -1, side, side)  # (1, c, s, s)
            found = conv2d(grid, weight[some], bias[some], padding=weight.shape[-1] // 2, groups=grid.shape[1])
            tiles[:, some] = found.reshape(grid.shape[1], -1).T

    def _kernel(self, side: int) -> tuple[Tensor, Tensor]:
        """Return the weight `(H, 1, k, k)` and bias `(H,)` of all three and the tile itself; k reaches over the grid."""
        most = max(_KERNELS) // 2
        found = [pad(c.weight, [most - c.kernel_size[0] // 2] * 4) for c in self._all()]
        weight = torch.stack(found).sum(dim=0)  # (H, 1, 7, 7)
        itself = torch.zeros_like(weight[:1])
        itself[..., most, most] = 1
        reach = slice(most - min(most, side - 1), most + 1 + min(most, side - 1))
        bias = torch.stack([c.bias for c in self._all() if c.bias is not None]).sum(dim=0)  # (H,)
        return (weight + itself)[..., reach, reach], bias

    def _all(self) -> list[nn.Conv2d]:
        return [c for c in self.convolutions if isinstance(c, nn.Conv2d)]


class TransMil(Head):
    """A class token and all tiles attend to each other, twice; the class token's end is classified.

    The tiles are laid on a square in the order of the bag, the first of them again where it isn't full, so their
    order matters. The attention that is shown is the class token's row in the second layer, as magnitudes, with that
    of a repeated tile added up and without the token itself.

    Source: Shao et al. 2021, alg. 2 (TPT module); without the convolution that the authors' code adds to the values, and
    with segments of uneven length where it pads with zeros.
    """

    any_order = False
    logit_layers = ("classifier",)

    def __init__(self, spec: HeadSpec, dim: int) -> None:
        super().__init__(spec, dim)
        self.token = nn.Parameter(torch.randn(spec.hidden) * 0.02)
        self.first = NystromAttention(spec.hidden, heads=spec.heads, landmarks=spec.landmarks)
        self.position = PositionGenerator(spec.hidden)
        self.second = NystromAttention(spec.hidden, heads=spec.heads, landmarks=spec.landmarks)
        self.last = nn.LayerNorm(spec.hidden)
        self.classifier = make_classifier(spec.kind, spec.hidden, spec.classes, cuts=spec.cuts)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read padded bags, those on squares of one size together; see `Head.forward`.

        No gradient flows through the attention.
        """
        real = real_tiles(features, mask)  # (B, N)
        order = torch.argsort(real.to(torch.uint8), dim=1, descending=True, stable=True)  # (B, N), the real ones first
        sizes = real.sum(dim=1)  # (B,)
        sides = sizes.double().sqrt().ceil().long()
        places, logits = [], []
        attention = features.new_zeros(real.shape)  # (B, N)
        for side in torch.unique(sides).tolist():
            alike = (sides == side).nonzero()[:, 0]  # (b,)
            laid = order[alike].gather(1, _square(side, sizes[alike]))  # (b, s * s)
            tokens, summary = self._tokens(self.embedded(features[alike[:, None], laid]))  # (b, 1 + s * s, H)
            places.append(alike)
            logits.append(self._classify(tokens, summary))
            with torch.no_grad():
                attention[alike] = self._attention(tokens, summary, laid, real.shape[1]).to(attention)
        return torch.cat(logits)[torch.argsort(torch.cat(places))], attention

    @torch.inference_mode()
    def read(self, features: Tensor, *, block: int = BLOCK) -> Reading:
        """Read one bag of any size; memory holds its embedded tiles once. See `Head.read`."""
        n = len(features)
        # A block is embedded at once: allocations of 8 MB, one after the other, leave holes that aren't filled again.
        embedded = (some for part in in_blocks(features, block) for some in torch.split(self.embedded(part), TOKENS))
        alone = [self._classify(*self._tokens(some[:, None])) for some in embedded]
        laid = _square(math.isqrt(n - 1) + 1, torch.tensor([n], device=features.device))  # (1, s * s)
        if n < max(block, self.spec.landmarks):
            tokens, summary = self._tokens(self.embedded(features)[laid])
        else:
            tokens, summary = self._tokens_by_block(features, block)
        attention = self._attention(tokens, summary, laid, n)[0]  # (N,)
        return Reading(self._classify(tokens, summary)[0], attention.float(), torch.cat(alone))

    def _tokens(self, tiles: Tensor) -> tuple[Tensor, Summary]:
        """Return the class token and embedded tiles that fill a square `(B, s * s, H)` before the second layer.

        Returns:
            tokens `(B, 1 + s * s, H)` and their summary in the second layer.
        """
        tokens = torch.cat([self.token.expand(len(tiles), 1, -1), tiles], dim=1)  # (B, 1 + s * s, H)
        tokens = self.first(tokens)
        tokens = torch.cat([tokens[:, :1], self.position(tokens[:, 1:])], dim=1)
        return tokens, self.second.summarize(tokens)

    def _tokens_by_block(self, features: Tensor, block: int) -> tuple[Tensor, Summary]:
        """Do as `_tokens` does for one bag `(N, D)`, in place."""
        n = len(features)
        missing = (math.isqrt(n - 1) + 1) ** 2 - n
        tokens = self.token.new_empty(1, 1 + n + missing, len(self.token))  # (1, 1 + s * s, H)
        tokens[0, 0], start = self.token, 1
        for part in in_blocks(features, block):
            tokens[0, start : start + len(part)] = self.embedded(part)
            start += len(part)
        tokens[0, start:] = tokens[0, 1 : 1 + missing]
        size = min(block, TOKENS)
        summary = self.first.summarize_blocks(lambda: _blocks(tokens, size), tokens.shape[1])
        for some in _blocks(tokens, size):
            some.copy_(self.first.attend(some, summary))
        self.position.mix_in_place(tokens[0, 1:])
        return tokens, self.second.summarize_blocks(lambda: _blocks(tokens, size), tokens.shape[1])

    def _classify(self, tokens: Tensor, summary: Summary) -> Tensor:
        """Return the logits `(B, C)`; of the second layer only the class token's row is needed."""
        found: Tensor = self.classifier(self.last(self.second.attend(tokens[:, :1], summary)[:, 0]))
        return found

    def _attention(self, tokens: Tensor, summary: Summary, laid: Tensor, n: int) -> Tensor:
        """Return the attention `(B, n)` of the tiles of bags, sums to 1; laid `(B, s * s)`: which tile each token was."""
        row = self.second.row(tokens[:, 0], summary, lambda: _blocks(tokens, TOKENS))[:, 1:].abs()  # (B, s * s)
        attention = row.new_zeros(len(row), n).scatter_add(1, laid, row)
        return attention / attention.sum(dim=1, keepdim=True)


def _square(side: int, sizes: Tensor) -> Tensor:
    """Return which tile lies where on a square, `(B, side * side)`: all of each bag in order, then its first ones again."""
    return torch.arange(side * side, device=sizes.device) % sizes[:, None]


def _blocks(tokens: Tensor, size: int) -> Iterator[Tensor]:
    """Yield tokens `(B, n, H)`, `size` of each sequence at a time."""
    for start in range(0, tokens.shape[1], size):
        yield tokens[:, start : start + size]
