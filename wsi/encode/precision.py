"""Which precisions a network can run in when nobody said: half of it on a CPU that has it, if the features stay the same."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity

from wsi.card import Transform
from wsi.encode.transform import fit

LEAST_COSINE = 0.9995
"""Between features in bf16 and in fp32, of every probe: flat glass, on which errors of rounding add up, fares as badly as
the palest tiles of a slide (1 - cosine 4.2e-4 and 3.9e-4 for a resnet50, 6.3e-3 and 3.5e-3 for mobilenetv2), and tissue
several times better. Networks of narrow layers, as the mobilenets are, don't keep it in bf16 alone."""
PROBES = 4
"""As many as a CPU takes at once: a graph takes no other number."""
_AFTER = "bf16-after-"
LOWER = ("bf16", f"{_AFTER}1", f"{_AFTER}16")
"""Precisions to try on a CPU that has bf16, in that order: all layers in bf16, or all after the first one or sixteen. The
first layers lose the most: weights of a few inputs each, rounded, err alike on every px. One in fp32 brings a resnet50 ten
times nearer, sixteen a mobilenetv3 near enough."""
_GLASS = (235, 245)
_HEMATOXYLIN, _EOSIN = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11)
"""Optical density of the two stains in R, G and B. Source: Ruifrok and Johnston 2001, table 1."""


def whole_layers(precision: str) -> int:
    """Return how many of a network's first layers compute in fp32 in a lower precision."""
    return int(precision.removeprefix(_AFTER)) if precision.startswith(_AFTER) else 0


def cpu_has_bf16() -> bool:
    """Return whether this processor multiplies bf16 by itself; without it bf16 is slower than fp32."""
    asks = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return any(bool(ask()) for ask in asks if ask is not None)


def least_cosine(ones: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Return the least cosine between features `(N, D)` of the same tiles; NaN where one isn't finite."""
    return float(cosine_similarity(torch.from_numpy(ones).double(), torch.from_numpy(others).double()).min())


def fitted_probes(tile_px: int, transform: Transform) -> Tensor:
    """Return the drawn tiles as they go into a network but for the normalization, `(PROBES, 3, h, w)` uint8."""
    return fit(torch.from_numpy(draw_probes(tile_px)), transform)


def draw_probes(tile_px: int) -> NDArray[np.uint8]:
    """Return tiles `(PROBES, tile_px, tile_px, 3)`: flat glass, darker and lighter, and what looks like pale and dense tissue."""
    random = np.random.default_rng(0)
    tiles = [np.full((tile_px, tile_px, 3), level, np.uint8) for level in _GLASS]
    for dense in (0.2, 1.0):
        nuclei = _field(random, tile_px, grain_px=8) > 1 - 0.4 * dense
        stroma = _field(random, tile_px, grain_px=40) * dense
        density = np.multiply.outer(nuclei * 0.9 + stroma * 0.1, _HEMATOXYLIN) + np.multiply.outer(stroma, _EOSIN)
        tiles.append(np.clip(255 * 10**-density + random.normal(0, 3, density.shape), 0, 255).astype(np.uint8))
    return np.stack(tiles)


def _field(random: np.random.Generator, side: int, *, grain_px: int) -> NDArray[np.float64]:
    """Return a smooth random field `(side, side)` from 0 to 1."""
    coarse = random.random((max(2, side // grain_px), max(2, side // grain_px))).astype(np.float32)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC), np.float64)
    return np.clip(smooth, 0.0, 1.0)
