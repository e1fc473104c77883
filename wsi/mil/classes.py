"""From logits to class probabilities: binary, several classes, ordered grades."""

from typing import Literal

import torch
from torch import Tensor

Kind = Literal["binary", "multiclass", "ordinal"]


def outputs_of(kind: Kind, classes: int) -> int:
    """Return how many logits a head of this kind has: 1 of 2 classes, K of K, K - 1 of K ordered ones."""
    if kind == "binary":
        if classes != 2:
            raise ValueError(f"a binary head has two classes, found {classes}")
        return 1
    return classes if kind == "multiclass" else classes - 1


def class_probabilities(logits: Tensor, kind: Kind) -> Tensor:
    """Return the probability of each class, `(..., K)`, sums to 1.

    Args:
        logits: binary `(..., 1)`: log odds of the second class. multiclass `(..., K)`. ordinal `(..., K - 1)`:
            log odds that the grade is above the k-th, falling; where they rise they are made to fall.

    Source: cumulative link model, McCullagh 1980; rank-consistent form, Cao et al. 2020 (CORAL).
    """
    if kind == "multiclass":
        return torch.softmax(logits, dim=-1)
    above = torch.sigmoid(logits)  # (..., K - 1)
    if kind == "ordinal":
        above = torch.cummin(above, dim=-1).values
    one, zero = torch.ones_like(above[..., :1]), torch.zeros_like(above[..., :1])
    edges = torch.cat([one, above, zero], dim=-1)  # (..., K + 1)
    return edges[..., :-1] - edges[..., 1:]  # (..., K)
