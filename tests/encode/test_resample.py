"""Tiles resampled together are what Pillow makes of each alone."""

import math

import numpy as np
import pytest
from PIL import Image

from tests import make
from wsi.encode.resample import resample

PICTURE = make.draw_tissue(700, 700, seed=5)
SCALES = [(1.9, 1.9), (1.3, 1.3), (1.052, 1.052), (2.0, 2.0), (1.0, 1.5), (3.0, 3.0), (0.8, 0.8), (1.9, 1.87)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("tile_px", [97, 224])
def test_tile_differs_from_pillows_by_two_gray_levels_at_most(scale: tuple[float, float], tile_px: int) -> None:
    width, height = (math.ceil(tile_px * side - 1e-6) for side in scale)
    corners = [(0, 0), (13, 7)]
    windows = np.stack([PICTURE[y : y + height, x : x + width] for x, y in corners])
    found = resample(windows, scale=scale, tile_px=tile_px)
    assert found.shape == (2, tile_px, tile_px, 3)
    box = (0, 0, min(tile_px * scale[0], width), min(tile_px * scale[1], height))
    for window, tile in zip(windows, found, strict=True):
        plain = Image.fromarray(window).resize((tile_px, tile_px), Image.Resampling.BICUBIC, box=box)
        difference = np.abs(tile.astype(int) - np.asarray(plain))
        assert difference.max() <= 2
        assert difference.mean() <= 0.1


def test_tile_does_not_depend_on_its_batch() -> None:
    windows = np.stack([PICTURE[i : i + 300, i : i + 300] for i in range(9)])
    together = resample(windows, scale=(1.33, 1.33), tile_px=224)
    alone = np.concatenate([resample(windows[i : i + 1], scale=(1.33, 1.33), tile_px=224) for i in range(9)])
    assert np.array_equal(together, alone)


def test_no_window_gives_no_tile() -> None:
    assert resample(np.zeros((0, 300, 300, 3), np.uint8), scale=(1.33, 1.33), tile_px=224).shape == (0, 224, 224, 3)
