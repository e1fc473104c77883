"""A picture as another camera, another hand or another file would have given it, drawn from a seed."""

import io
import math
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from wsi.config import Share, Strict

Pixels = NDArray[np.uint8]
Spread = Annotated[float, Field(ge=0.0, le=2.0)]


class PictureViews(Strict):
    """How far the views of a picture go from it; 0 and false leave it as it is."""

    mirror: bool = True
    """Swap left and right in half of the views."""
    flip: bool = False
    """Swap top and bottom in half of them."""
    turn: Annotated[float, Field(ge=0.0, le=180.0)] = 10.0
    """Most degrees of a turn, either way."""
    scale: Spread = 0.1
    """Most log of a change of size, either way."""
    shift: Share = 0.05
    """Most shift along each side, as a share of it."""
    border: Literal["zeros", "reflection", "border"] = "zeros"
    """What lies beyond the picture."""
    gain: Spread = 0.1
    """Standard deviation of the log of a factor on all channels."""
    tint: Spread = 0.05
    """Of the log of a factor on each channel."""
    gamma: Spread = 0.1
    """Of the log of an exponent."""
    blur: Share = 0.3
    """Share of the views that are made smaller and larger again."""
    smallest: Annotated[float, Field(gt=0.0, le=1.0)] = 0.4
    """The least of what those keep of their sides."""
    noise: Spread = 0.02
    """Most standard deviation of noise, the greatest value being 1."""
    jpeg: Share = 0.0
    """Share of the views that went through a JPEG file."""
    quality: Annotated[tuple[int, int], Field(strict=False)] = (30, 90)
    """Of these files: least and most."""


def views_of(pictures: Pixels, views: PictureViews, seeds: list[tuple[int, ...]]) -> Pixels:
    """Return one view of each picture, `(B, h, w, 3)`; each depends on its own seed and nothing else.

    Args:
        pictures: `(B, h, w, 3)`, all of one size. seeds: one a picture.
    """
    drawn = [np.random.default_rng(seed) for seed in seeds]
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255  # (B, 3, h, w)
    images = _moved(images, views, drawn)
    images = _recolored(images, views, drawn)
    images = torch.stack([_worn(image, views, rng) for image, rng in zip(images, drawn, strict=True)])
    bytes_ = images.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return np.stack([_through_jpeg(one, views, rng) for one, rng in zip(bytes_, drawn, strict=True)])


def placement(views: PictureViews, rng: np.random.Generator, *, aspect: float = 1.0) -> NDArray[np.float64]:
    """Return the matrix `(2, 3)` from a place in a view to one in the picture, both (x, y) from -1 to 1.

    Args:
        aspect: width over height: a turn leaves shapes as they are.
    """
    angle = math.radians(rng.uniform(-1, 1) * views.turn)
    size = math.exp(rng.uniform(-1, 1) * views.scale)
    across = -1 if views.mirror and rng.random() < 0.5 else 1
    down = -1 if views.flip and rng.random() < 0.5 else 1
    shift = 2 * views.shift * rng.uniform(-1, 1, 2)
    cos, sin = size * math.cos(angle), size * math.sin(angle)
    return np.array([[across * cos, -sin * down / aspect, shift[0]], [across * sin * aspect, cos * down, shift[1]]])


def _moved(images: Tensor, views: PictureViews, drawn: list[np.random.Generator]) -> Tensor:
    aspect = images.shape[-1] / images.shape[-2]
    matrices = np.stack([placement(views, rng, aspect=aspect) for rng in drawn]).astype(np.float32)
    grid = affine_grid(torch.from_numpy(matrices), list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode=views.border, align_corners=False)


def _recolored(images: Tensor, views: PictureViews, drawn: list[np.random.Generator]) -> Tensor:
    """Return `gain x image ^ gamma`, the gain with a tint."""
    gamma = np.exp([rng.normal(0, views.gamma) for rng in drawn])
    gain = np.exp([rng.normal(0, views.gain) + rng.normal(0, views.tint, 3) for rng in drawn])
    exponent = torch.from_numpy(gamma.astype(np.float32))[:, None, None, None]
    factor = torch.from_numpy(gain.astype(np.float32))[:, :, None, None]
    return (factor * images.clamp(min=0) ** exponent).clamp(0, 1)


def _worn(image: Tensor, views: PictureViews, rng: np.random.Generator) -> Tensor:
    """Return an image `(3, h, w)` blurred and noisy."""
    if rng.random() < views.blur:
        kept = rng.uniform(views.smallest, 1.0)
        small = [max(2, round(side * kept)) for side in image.shape[1:]]
        less = interpolate(image[None], small, mode="bilinear", antialias=True, align_corners=False)
        image = interpolate(less, image.shape[1:], mode="bilinear", align_corners=False)[0]
    if views.noise:
        spread = float(rng.uniform(0, views.noise))
        image = image + spread * torch.from_numpy(rng.standard_normal(image.shape, np.float32))
    return image


def _through_jpeg(picture: Pixels, views: PictureViews, rng: np.random.Generator) -> Pixels:
    if rng.random() >= views.jpeg:
        return picture
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=int(rng.integers(views.quality[0], views.quality[1] + 1)))
    with Image.open(file) as image:
        return np.asarray(image)
