"""From an embedding to class probabilities: binary, several classes, several labels, ordered grades."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from wsi.errors import UsageError

Kind = Literal["binary", "multiclass", "multilabel", "ordinal", "regression", "survival"]
"""What a head's logits mean. survival: Cox without time bins, discrete-time with them."""
_LEAST = 1e-7
"""Nearer to 1 a float32 can't tell a probability from it."""


def logit_count(kind: Kind, classes: int, *, cuts: int = 0) -> int:
    """Return C, the number of logits of a bag.

    Args:
        classes: K of them; not looked at for regression and survival.
        cuts: time bins of discrete-time survival; 0 is Cox's model. No other kind has any.

    Returns:
        binary 1, multiclass K, multilabel K, ordinal K - 1, regression 1, Cox 1, discrete-time a logit a bin.

    Raises:
        UsageError: too few or too many classes or bins, or no such kind.
    """
    if kind not in get_args(Kind):
        raise UsageError(f"a target is one of {', '.join(get_args(Kind))}; found {kind!r}")
    if cuts < 0 or (cuts and kind != "survival"):
        raise UsageError(f"a {kind} head can't have {cuts} time bins")
    if kind in ("regression", "survival"):
        return max(cuts, 1)
    if classes < (1 if kind == "multilabel" else 2) or (kind == "binary" and classes != 2):
        raise UsageError(f"a {kind} head can't have {classes} classes")
    return {"binary": 1, "ordinal": classes - 1}.get(kind, classes)


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


def make_classifier(kind: Kind, hidden: int, classes: int, *, cuts: int = 0) -> nn.Linear | OrderedCuts:
    """Return the layer from an embedding `(..., hidden)` to the logits `(..., C)` of `logit_count`.

    Raises:
        UsageError: a number of classes or bins that this kind can't have.
    """
    outputs = logit_count(kind, classes, cuts=cuts)
    return OrderedCuts(hidden, classes) if kind == "ordinal" else nn.Linear(hidden, outputs)


def class_probabilities(logits: Tensor, kind: Kind) -> Tensor:
    """Return the probability of each class, `(..., K)`; sums to 1, but for multilabel, where each is by itself.

    Args:
        logits: binary `(..., 1)`: log odds of the second class. multiclass `(..., K)`. multilabel `(..., K)`: log odds
            of each label. ordinal `(..., K - 1)`: log odds of being above each grade but the last, falling; where
            they rise they are made to fall.

    Raises:
        UsageError: regression and survival have no classes.

    Source: McCullagh 1980, cumulative link model.
    """
    if kind in ("regression", "survival"):
        raise UsageError(f"a {kind} target has no classes, so no probability of one")
    if kind == "multiclass":
        return torch.softmax(logits, dim=-1)
    if kind == "multilabel":
        return torch.sigmoid(logits)
    if kind == "ordinal":
        logits = torch.cummin(logits, dim=-1).values
    above, below = torch.sigmoid(logits), torch.sigmoid(-logits)  # (..., K - 1)
    between = above[..., :-1] - above[..., 1:]  # (..., K - 2)
    return torch.cat([below[..., :1], between, above[..., -1:]], dim=-1)  # (..., K)


def cumulative_logits(conditional: Tensor) -> Tensor:
    """Return the log odds of being above each grade, `(..., K - 1)`, falling.

    Args:
        conditional: `(..., K - 1)` log odds of being above each grade for who is above the one before.

    Source: Shi et al. 2023 (CORN): P(above k) is the product of the conditional probabilities up to k.
    """
    log_above = logsigmoid(conditional).cumsum(dim=-1)  # log P(above k)
    return log_above - torch.log(-torch.expm1(log_above.clamp(max=-_LEAST)))
