"""Windows of a labeled image as another camera, scanner or patient would have given them, drawn from a seed."""

import math
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from wsi.config import Share, Strict
from wsi.segment.loss import IGNORED

Amount = Annotated[float, Field(ge=0.0, le=2.0)]
Degrees = Annotated[float, Field(ge=0.0, le=180.0)]


class Views(Strict):
    """How far the views of an image go from it; 0 everywhere leaves it as it is."""

    flips: list[Annotated[int, Field(ge=0, le=2)]] = []
    """Axes that are mirrored, each in half of the views; an axis along which left is not right stays out."""
    turn: Degrees = 20.0
    """Most rotation, in degrees, about each axis."""
    scale: Amount = 0.15
    """Most change of size, as a share."""
    contrast: Amount = 0.25
    """Most change of the spread of each channel, as a share."""
    brightness: Amount = 0.25
    """Most shift of each channel, in its own units (after preprocessing: about standard deviations)."""
    gamma: Amount = 0.25
    """Most change of the exponent, as a logarithm to base e, that bends dark against bright."""
    noise: Amount = 0.1
    """Most spread of the added noise, in the channel's own units."""
    blur: Share = 0.2
    """Share of the views that are blurred, as out of focus or enlarged from a smaller picture."""
    centered: Share = 0.5
    """Share of the windows that are laid about a px of a structure, wherever it is; the others lie anywhere."""


def drawn_window(
    values: NDArray[np.float32],
    labels: NDArray[np.uint8],
    window: tuple[int, ...],
    views: Views,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Return one view: values `(C, *window)` float32 and labels `(*window)` int64.

    Args:
        values: `(C, *shape)`, preprocessed.
        labels: `(*shape)`; beyond the border of the image they are IGNORED in the view, and values are 0.

    Turns and changes of size are about the middle of the window, and values are interpolated linearly, labels not.
    """
    axes = len(window)
    center = _center(labels, window, views, rng)
    matrix = _turned(axes, views, rng)
    corner, size = _reach(labels.shape, window, center, matrix)
    inner = tuple(slice(a, a + b) for a, b in zip(corner, size, strict=True))
    grid = _grid(matrix, center - corner, size, window)
    image = torch.from_numpy(np.ascontiguousarray(values[(slice(None), *inner)]))[None]
    mask = torch.from_numpy(labels[inner].astype(np.float32) - IGNORED)[None, None]  # beyond the border: 0, ignored
    view = grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    told = grid_sample(mask, grid, mode="nearest", padding_mode="zeros", align_corners=False)[0, 0]
    mirrored = [1 + axis for axis in views.flips if axis < axes and rng.random() < 0.5]
    seen, truth = view.flip(mirrored), (told + IGNORED).round().long().flip([axis - 1 for axis in mirrored])
    return recolored(seen, views, rng), truth


def _center(
    labels: NDArray[np.uint8], window: tuple[int, ...], views: Views, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the middle of a window: at a px of a structure, or anywhere that keeps the window inside."""
    if rng.random() < views.centered:
        places = np.flatnonzero((labels > 0) & (labels != IGNORED))
        if places.size:
            at = np.unravel_index(places[rng.integers(places.size)], labels.shape)
            spread = rng.uniform(-0.25, 0.25, len(window)) * window
            return np.array(list(at), np.float64) + 0.5 + spread
    half = np.array(window) / 2
    low, high = (
        np.minimum(half, np.array(labels.shape) / 2),
        np.maximum(labels.shape - half, np.array(labels.shape) / 2),
    )
    return rng.uniform(low, high)


def _turned(axes: int, views: Views, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the matrix `(N, N)` from a place in the view to one in the image, about the middle, in px."""
    matrix = np.eye(axes) * math.exp(rng.uniform(-1, 1) * math.log1p(views.scale))
    for a in range(axes):
        for b in range(a + 1, axes):
            angle = math.radians(rng.uniform(-views.turn, views.turn))
            plane = np.eye(axes)
            plane[[a, a, b, b], [a, b, a, b]] = math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
            matrix = matrix @ plane
    return matrix


def _reach(
    shape: tuple[int, ...], window: tuple[int, ...], center: NDArray[np.float64], matrix: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return corner and size of the part of the image that a view can see: the rest isn't copied."""
    reach = np.abs(matrix) @ (np.array(window) / 2) + 1
    limits = np.array(shape)
    low = np.clip(np.floor(center - reach), 0, limits - 1).astype(np.int64)
    high = np.clip(np.ceil(center + reach), low + 1, limits).astype(np.int64)
    return low, high - low


def _grid(
    matrix: NDArray[np.float64], center: NDArray[np.float64], size: NDArray[np.int64], window: tuple[int, ...]
) -> Tensor:
    """Return the places `(1, *window, N)` in the part of the image, in torch's frame: -1 to 1, the last axis first."""
    to_unit = 2.0 / size
    linear = to_unit[:, None] * matrix * (np.array(window) / 2)[None, :]
    shift = to_unit * center - 1
    theta = np.concatenate([linear[::-1, ::-1], shift[::-1, None]], axis=1)  # (N, N + 1)
    return affine_grid(torch.from_numpy(theta.astype(np.float32))[None], [1, 1, *window], align_corners=False)


def recolored(image: Tensor, views: Views, rng: np.random.Generator) -> Tensor:
    """Return an image `(C, *size)` with other contrast, brightness, gamma, sharpness and noise."""
    channels = image.shape[0]
    each = (channels, *[1] * (image.ndim - 1))
    if rng.random() < views.blur:
        image = _blurred(image)
    if views.gamma:
        low, high = image.amin(), image.amax()
        span = (high - low).clamp(min=1e-6)
        image = ((image - low) / span) ** math.exp(rng.uniform(-views.gamma, views.gamma)) * span + low
    factors = torch.from_numpy(rng.uniform(-1, 1, each).astype(np.float32))
    shifts = torch.from_numpy(rng.uniform(-1, 1, each).astype(np.float32))
    image = image * (1 + views.contrast * factors) + views.brightness * shifts
    if views.noise:
        spread = rng.uniform(0, views.noise)
        image = image + spread * torch.from_numpy(rng.standard_normal(image.shape).astype(np.float32))
    return image


def _blurred(image: Tensor) -> Tensor:
    """Return each px as half itself and half the mean of its neighbors, along each axis."""
    for axis in range(1, image.ndim):
        ahead, behind = image.roll(1, axis), image.roll(-1, axis)
        image = 0.5 * image + 0.25 * (ahead + behind)
    return image
