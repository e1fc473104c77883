"""Views of a bag as another laboratory and another scanner would have made it, drawn from a seed."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
"""Optical densities of hematoxylin, eosin and a rest. Source: Ruifrok and Johnston 2001."""
TILE_PX = 224
WHITE = 0.12
"""Mean optical density under which a px is glass, not tissue."""

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """What one laboratory and scanner do to every tile of a slide."""

    zoom: float
    amounts: Array
    """`(3,)`, factors on the amount of each stain."""
    offsets: Array
    """`(3,)`, optical density added to each stain."""
    stains: Array
    """`(3, 3)`, each stain's own color."""
    gains: Array
    """`(3,)`, factors on red, green and blue."""
    blur_px: float
    jpeg_quality: int
    """0: not compressed again."""


def draw_look(rng: np.random.Generator) -> Look:
    """Return another laboratory's and scanner's look, at random."""
    return Look(
        zoom=float(np.exp(rng.uniform(-0.4, 0.4))),
        amounts=np.exp(rng.normal(0, 0.25, 3)),
        offsets=rng.normal(0, 0.03, 3),
        stains=STAINS + rng.normal(0, 0.06, (3, 3)),
        gains=rng.normal(1, 0.03, 3) * rng.uniform(0.92, 1.06),
        blur_px=float(rng.uniform(0.3, 1.2)) if rng.random() < 0.4 else 0.0,
        jpeg_quality=int(rng.integers(40, 90)) if rng.random() < 0.6 else 0,
    )


def view(tiles: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the bag `(N, 224, 224, 3)` under one random look that all its tiles share, each tile turned by itself.

    One look a bag, because that is how slides differ: looks drawn tile by tile cancel in the bag's mean.
    """
    look = draw_look(rng)
    return np.stack([_under(look, _turned(tile, rng), rng) for tile in tiles])


def bloody(tiles: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the bag without nuclei and with strong eosin: what blood, clot, fibrin and muscle look like."""
    return np.stack([_bloody(tile, rng) for tile in tiles])


def elsewhere(tiles: Pixels, colors: Array, *, zoom: float = 1.0, blur_px: float = 0.0) -> Pixels:
    """Return the bag in the colors of another slide and at another scale: a test of what was not trained on.

    Args:
        colors: `(2, 3)`, mean and standard deviation of the other slide's optical density, as `tissue_colors` gives.
    """
    own = tissue_colors(tiles)
    made = []
    for tile in tiles:
        density = -np.log((tile.astype(np.float64) + 1) / 256)
        moved = (density - own[0]) / own[1] * colors[1] + colors[0]
        # Glass stays glass: the change grows from nothing with the density of the px.
        share = np.clip(density.mean(axis=-1, keepdims=True) / WHITE, 0, 1)
        pixels = rescale(_to_pixels(density + share * (moved - density)), zoom)
        image = Image.fromarray(pixels)
        made.append(np.asarray(image.filter(ImageFilter.GaussianBlur(blur_px)) if blur_px else image))
    return np.stack(made)


def tissue_colors(tiles: Pixels) -> Array:
    """Return mean and standard deviation of red, green and blue optical density over the tissue, `(2, 3)`."""
    density = -np.log((tiles[:, ::4, ::4].astype(np.float64) + 1) / 256).reshape(-1, 3)
    tissue = density[density.mean(axis=1) > WHITE]
    found = tissue if len(tissue) > 100 else density
    return np.stack([found.mean(axis=0), found.std(axis=0) + 1e-3])


def donors(colors: Sequence[Array], groups: Sequence[str], *, seed: int, count: int) -> list[list[Array]]:
    """Return for each bag the colors of `count` bags of other groups, drawn from a seed."""
    found = []
    for i, group in enumerate(groups):
        rng = np.random.default_rng([seed, i])
        others = [c for c, other in zip(colors, groups, strict=True) if other != group]
        found.append([others[n] for n in rng.choice(len(others), count, replace=False)])
    return found


def stain_density(tile: Pixels) -> Array:
    """Return the amount of each stain a pixel, `(h, w, 3)`: Beer-Lambert, solved for `STAINS`."""
    found: Array = -np.log((tile.astype(np.float64) + 1) / 256) @ np.linalg.inv(STAINS)
    return found


def rescale(tile: Pixels, zoom: float) -> Pixels:
    """Return the tile `zoom` times as large: cropped in the middle, or mirrored at its border where it shrinks."""
    if zoom == 1:
        return tile
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


def _turned(tile: Pixels, rng: np.random.Generator) -> Pixels:
    turned = np.rot90(tile, int(rng.integers(4)))
    return turned[:, ::-1] if rng.random() < 0.5 else turned


def _under(look: Look, tile: Pixels, rng: np.random.Generator) -> Pixels:
    density = stain_density(rescale(tile, look.zoom))
    density = density * look.amounts * np.exp(rng.normal(0, 0.06, 3)) + look.offsets
    pixels = _to_pixels(density @ look.stains).astype(np.float32) * look.gains
    image = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    if look.blur_px:
        image = image.filter(ImageFilter.GaussianBlur(look.blur_px))
    if look.jpeg_quality:
        image = recompress(image, look.jpeg_quality)
    return np.asarray(image)


def _bloody(tile: Pixels, rng: np.random.Generator) -> Pixels:
    density = stain_density(_turned(tile, rng))
    density[..., 0] *= rng.uniform(0.0, 0.35)
    density[..., 1] = density[..., 1] * rng.uniform(0.6, 1.3) + rng.uniform(0.15, 0.5)
    density = density * np.exp(rng.normal(0, 0.25, 3)) + rng.normal(0, 0.03, 3)
    pixels = _to_pixels(density @ (STAINS + rng.normal(0, 0.06, (3, 3)))).astype(np.float32)
    gains = rng.normal(1, 0.03, 3) * rng.uniform(0.92, 1.06)
    return np.clip(np.rint(pixels * gains), 0, 255).astype(np.uint8)


def _to_pixels(density: Array) -> Pixels:
    pixels: Pixels = np.clip(np.rint(256 * np.exp(-density) - 1), 0, 255).astype(np.uint8)
    return pixels
