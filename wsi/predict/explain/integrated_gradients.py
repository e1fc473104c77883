"""Integrated gradients: the difference of a score from that of an empty picture, shared out among the px."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

STEPS = 24
"""Of the way from the baseline to the image; a smooth score's parts then add up to 1 % or so."""
Score = Callable[[Tensor], Tensor]


def integrated_gradients(score: Score, images: Tensor, baselines: Tensor, *, steps: int = STEPS) -> Tensor:
    """Return `(x - x') * mean over the way of the score's gradient`, `(B, 3, h, w)`.

    The parts of an image add up to `score(x) - score(x')` as steps grow (completeness); of a linear score they are
    `w * (x - x')` after one step.

    Args:
        images, baselines: x and x', `(B, 3, h, w)`. steps: places on the straight way between them, midpoints.

    Source: Sundararajan et al. 2017, eq. 1 and 3.
    """
    total = torch.zeros_like(images)
    for step in range(steps):
        share = (step + 0.5) / steps
        total += gradient(score, baselines + share * (images - baselines))
    return (images - baselines) * total / steps


def gradient(score: Score, images: Tensor) -> Tensor:
    """Return the score's gradient by each image, `(B, 3, h, w)`."""
    with torch.enable_grad():
        inputs = images.detach().requires_grad_()
        (found,) = torch.autograd.grad(score(inputs).sum(), inputs)
    return found.detach()


def smeared(images: Tensor, *, share: float = 0.25) -> Tensor:
    """Return images `(B, 3, h, w)` that only their coarse colors are left of: means over a share of their sides.

    A baseline of one color would itself be something to see in a picture with a dark surround.
    """
    window = [max(1, round(side * share)) | 1 for side in images.shape[2:]]
    edges = (window[1] // 2, window[1] // 2, window[0] // 2, window[0] // 2)
    found = images
    for _ in range(2):
        found = avg_pool2d(pad(found, edges, mode="replicate"), window, stride=1)
    return found if found.shape == images.shape else interpolate(found, images.shape[2:])
