"""What a network of masks learns by: cross-entropy, which is smooth, and soft Dice, which small structures count in."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

IGNORED = 255
"""Label of px that nobody has looked at, or that lie outside the field of view."""
SMOOTH = 1.0
"""px added to both sides of Dice, so that a class that neither shows nor is shown costs nothing."""


def mask_loss(scores: Tensor, labels: Tensor, *, dice: float = 1.0) -> Tensor:
    """Return the mean cross-entropy of the px plus `dice` times 1 - the mean soft Dice of the classes but the first.

    Dice is taken over the whole batch, so that a window without a structure doesn't weigh as much as one that shows it.

    Args:
        scores: `(B, K, *size)` before softmax; class 0 is the background.
        labels: `(B, *size)` int64, 0 to K - 1, or IGNORED. All ignored: the loss is 0.

    Source: Drozdzal et al. 2016, eq. 1; Isensee et al. 2021 for the sum of both.
    """
    kept = labels != IGNORED
    safe = torch.where(kept, labels, 0)
    each = cross_entropy(scores.float(), safe, reduction="none")  # (B, *size)
    entropy = (each * kept).sum() / kept.sum().clamp(min=1)
    return entropy + dice * (1 - soft_dice(scores.float().softmax(1), safe, kept))


def soft_dice(probabilities: Tensor, labels: Tensor, kept: Tensor) -> Tensor:
    """Return the mean over the classes but the first of `(2 Σpt + s) / (Σp + Σt + s)` over the px that are `kept`."""
    classes = probabilities.shape[1]
    truth = one_hot(labels, classes).movedim(-1, 1).to(probabilities.dtype)  # (B, K, *size)
    weight = kept.unsqueeze(1)
    over = [0, *range(2, probabilities.ndim)]
    both = (probabilities * truth * weight).sum(over)  # (K,)
    either = ((probabilities + truth) * weight).sum(over)
    found: Tensor = ((2 * both + SMOOTH) / (either + SMOOTH))[1:].mean()
    return found
