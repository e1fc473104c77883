"""Tiles at their exact scale from the px that were read: an antialiased bicubic, as Pillow's but several times faster."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

_UP = 1 + 1e-9
"""torch rounds the size that comes out down: 768 px at 1/3 would be 255."""


def resample(windows: NDArray[np.uint8], *, scale: tuple[float, float], tile_px: int) -> NDArray[np.uint8]:
    """Return tiles `(B, tile_px, tile_px, 3)` uint8, resampled from windows `(B, height, width, 3)` uint8.

    Tile and window share their top-left corner; `scale` (x, y) is how many px of the window one of the tile covers,
    and needs not be whole. Differs from Pillow's by 2 gray levels at most and by 0.1 on average: the weights have
    16 bits here.

    Source: Keys 1981, a = -0.5; widened by the scale where it shrinks.
    """
    across, down = scale
    planes = torch.from_numpy(windows).permute(0, 3, 1, 2)  # (B, 3, height, width), in memory still px by px
    factors = (_UP / down, _UP / across)
    small = interpolate(planes, scale_factor=factors, mode="bicubic", antialias=True, recompute_scale_factor=False)
    tiles = small[:, :, :tile_px, :tile_px].permute(0, 2, 3, 1).contiguous()  # (B, tile_px, tile_px, 3)
    return np.asarray(tiles.numpy())
