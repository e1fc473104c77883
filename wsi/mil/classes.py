"""From an embedding to class probabilities: binary, several classes, ordered grades."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["binary", "multiclass", "ordinal"]


class OrderedCuts(nn.Module):
    """One score and a cut between each two neighboring grades: `(..., H)` to the log odds of being above each, `(..., K - 1)`.

    All cuts share the weights, so with biases that fall the log odds fall too, and no grade is less than nothing.

    Source: McCullagh 1980, cumulative link model; Cao et al. 2020, eq. 4 (CORAL).
    """

    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        alike = [math.log(classes / k - 1) for k in range(1, classes)]  # log odds of being above, all grades alike
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, hidden)))
        self.bias = nn.Parameter(torch.tensor(alike))

    def forward(self, embedding: Tensor) -> Tensor:
        return embedding @ self.weight.T + self.bias  # (..., K - 1)


def make_classifier(kind: Kind, hidden: int, classes: int) -> nn.Linear | OrderedCuts:
    """Return the layer from an embedding `(..., hidden)` to the logits that `class_probabilities` takes.

    Raises:
        ValueError: a binary head of more or less than two classes, or any head of one.
    """
    if classes < 2 or (kind == "binary" and classes != 2):
        raise ValueError(f"a {kind} head can't have {classes} classes")
    if kind == "ordinal":
        return OrderedCuts(hidden, classes)
    return nn.Linear(hidden, 1 if kind == "binary" else classes)


def class_probabilities(logits: Tensor, kind: Kind) -> Tensor:
    """Return the probability of each class, `(..., K)`, sums to 1.

    Args:
        logits: binary `(..., 1)`: log odds of the second class. multiclass `(..., K)`. ordinal `(..., K - 1)`:
            log odds of being above each grade but the last, falling; where they rise they are made to fall.

    Source: McCullagh 1980, cumulative link model.
    """
    if kind == "multiclass":
        return torch.softmax(logits, dim=-1)
    if kind == "ordinal":
        logits = torch.cummin(logits, dim=-1).values
    above, below = torch.sigmoid(logits), torch.sigmoid(-logits)  # (..., K - 1)
    between = above[..., :-1] - above[..., 1:]  # (..., K - 2)
    return torch.cat([below[..., :1], between, above[..., -1:]], dim=-1)  # (..., K)
