"""Views of a tile as another laboratory and another scanner would have made it, drawn from a seed."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
"""Optical densities of hematoxylin, eosin and a rest. Source: Ruifrok and Johnston 2001."""
TILE_PX = 224

Pixels = NDArray[np.uint8]


def view(tile: Pixels, rng: np.random.Generator) -> Pixels:
    """Return `(224, 224, 3)`: turned, rescaled, restained, blurred or compressed again, at random."""
    turned = np.rot90(tile, int(rng.integers(4)))
    turned = turned[:, ::-1] if rng.random() < 0.5 else turned
    pixels = restain(rescale(turned, float(np.exp(rng.uniform(-0.4, 0.4)))), rng)
    image = Image.fromarray(pixels)
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
    if rng.random() < 0.6:
        image = recompress(image, int(rng.integers(40, 90)))
    return np.asarray(image)


def bloody(tile: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a view of `tile` without nuclei and with strong eosin: what blood, clot, fibrin and muscle look like."""
    turned = np.rot90(tile, int(rng.integers(4)))
    density = stain_density(turned)
    density[..., 0] *= rng.uniform(0.0, 0.35)
    density[..., 1] = density[..., 1] * rng.uniform(0.6, 1.3) + rng.uniform(0.15, 0.5)
    return restain(from_density(density, STAINS), rng)


def restain(tile: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the tile with other amounts and hues of each stain, and another brightness."""
    density = stain_density(tile)
    density = density * np.exp(rng.normal(0, 0.25, 3)) + rng.normal(0, 0.03, 3)
    pixels = from_density(density, STAINS + rng.normal(0, 0.06, (3, 3))).astype(np.float32)
    gains = rng.normal(1, 0.03, 3) * rng.uniform(0.92, 1.06)
    return np.clip(np.rint(pixels * gains), 0, 255).astype(np.uint8)


def stain_density(tile: Pixels) -> NDArray[np.float64]:
    """Return the amount of each stain a pixel, `(h, w, 3)`: Beer-Lambert, solved for `STAINS`."""
    return -np.log((tile.astype(np.float64) + 1) / 256) @ np.linalg.inv(STAINS)


def from_density(density: NDArray[np.float64], stains: NDArray[np.float64]) -> Pixels:
    """Return the pixels of given amounts of stains: the inverse of `stain_density`."""
    return np.clip(np.rint(256 * np.exp(-(density @ stains)) - 1), 0, 255).astype(np.uint8)


def rescale(tile: Pixels, zoom: float) -> Pixels:
    """Return the tile `zoom` times as large: cropped in the middle, or mirrored at its border where it shrinks."""
    side = max(round(tile.shape[0] * zoom), TILE_PX // 2 + 1)
    image = np.asarray(Image.fromarray(np.ascontiguousarray(tile)).resize((side, side), Image.Resampling.BICUBIC))
    missing = max(TILE_PX - side, 0)
    before, after = missing // 2, missing - missing // 2
    padded = np.pad(image, ((before, after), (before, after), (0, 0)), mode="symmetric")
    start = (padded.shape[0] - TILE_PX) // 2
    return padded[start : start + TILE_PX, start : start + TILE_PX]


def recompress(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after one more JPEG compression."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
