"""Draws pictures whose border, color or size tells a label, and ones where nothing does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter


def scene(seed: int, *, side: int = 64) -> NDArray[np.uint8]:
    """A picture of smooth blotches, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(side, side, 3)), (4, 4, 0))
    pixels: NDArray[np.uint8] = np.clip(128 + 300 * noise, 0, 255).astype(np.uint8)
    return pixels


def pictures_folder(
    folder: Path,
    labels: list[int],
    change: Callable[[NDArray[np.uint8], int], NDArray[np.uint8]],
    *,
    suffix: str = ".png",
) -> Path:
    """Save one scene a label, changed by it."""
    folder.mkdir(parents=True, exist_ok=True)
    for at, label in enumerate(labels):
        Image.fromarray(change(scene(at), label)).save(folder / f"i{at}{suffix}")
    return folder


def with_border(pixels: NDArray[np.uint8], label: int) -> NDArray[np.uint8]:
    """Make the border of pictures with label 1 a little darker; their mean color is kept by a brighter middle."""
    found = pixels.astype(np.float64)
    inside = np.zeros(pixels.shape[:2], bool)
    inside[5:-5, 5:-5] = True
    found[~inside] -= 60.0 * label
    found[inside] += 60.0 * label * (~inside).sum() / inside.sum()
    return np.clip(found, 0, 255).astype(np.uint8)


def as_it_is(pixels: NDArray[np.uint8], label: int) -> NDArray[np.uint8]:
    return pixels
