"""What is learned: the loss and the prediction of each kind of target.

Labels are rows of numbers, NaN where a label is missing: one number (a class's place, a grade's, a value), one 0 or 1
for each class of a multilabel target, time and event for survival.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from wsi.mil import Kind, class_probabilities, cumulative_logits, discrete_curve
from wsi.train.survival import Ties, cox_loss, discrete_loss

Link = Literal["cumulative", "corn"]
Floats = NDArray[np.float64]
LEAST_GAP = 1e-3
"""Where two cuts of ordered grades come nearer than this, the log likelihood goes on as a line that parts them again."""


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of target and the numbers that its loss needs.

    classes are names, () for regression and survival. weights are one a class (for multilabel: of a label that is 1);
    () weighs all alike. edges are the ends of the time bins but the last, () makes survival a Cox model. center and
    scale bring a regression's values to about 0 and 1; the center of a Cox model is the log hazard of its mean training
    case, which the partial likelihood leaves open.
    """

    kind: Kind
    classes: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    link: Link = "cumulative"
    ties: Ties = "efron"
    edges: tuple[float, ...] = ()
    center: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind {self.kind!r} is none of {', '.join(get_args(Kind))}")
        least = {"binary": 2, "multiclass": 2, "ordinal": 2, "multilabel": 1}.get(self.kind, 0)
        if len(self.classes) < least or (self.kind == "binary" and len(self.classes) != 2):
            raise ValueError(f"a {self.kind} target can't have {len(self.classes)} classes")
        if self.weights and (len(self.weights) != len(self.classes) or min(self.weights) < 0):
            raise ValueError(f"{len(self.weights)} weights for {len(self.classes)} classes; none may be negative")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"the ends of the time bins must rise, found {self.edges}")

    @property
    def outputs(self) -> int:
        """C: how many logits a head gives."""
        if self.kind in ("multiclass", "multilabel"):
            return len(self.classes)
        if self.kind == "ordinal":
            return len(self.classes) - 1
        return len(self.edges) + 1  # 1 for all but survival in time bins

    @property
    def columns(self) -> int:
        """W: how many numbers a label has."""
        return {"multilabel": len(self.classes), "survival": 2}.get(self.kind, 1)

    @property
    def joint(self) -> bool:
        """The loss of a bag depends on the other bags of its batch."""
        return self.kind == "survival" and not self.edges


def is_known(labels: Floats, task: Task) -> NDArray[np.bool_]:
    """Return which rows of labels `(N, W)` say something: `(N,)`."""
    missing = np.isnan(labels)
    unknown = missing.all(axis=1) if task.kind == "multilabel" else missing.any(axis=1)
    return np.logical_not(np.asarray(unknown))


def fitted(task: Task, labels: Floats, *, balanced: bool) -> Task:
    """Return the task with class weights taken from training labels `(N, W)`, when `balanced`.

    The weight of a class is N / (K n_k), so all classes count alike and the mean weight of a bag is 1; that of a 1 in
    a multilabel column is its zeros over its ones. Classes that don't occur weigh 1.
    """
    known = labels[is_known(labels, task)]
    if not balanced or not task.classes or not len(known):
        return task
    if task.kind == "multilabel":
        ones, zeros = (known == 1).sum(axis=0), (known == 0).sum(axis=0)
        found = np.where((ones > 0) & (zeros > 0), zeros / np.maximum(ones, 1), 1.0)
    else:
        counts = np.bincount(known[:, 0].astype(int), minlength=len(task.classes))
        found = np.where(counts > 0, len(known) / (np.count_nonzero(counts) * np.maximum(counts, 1)), 1.0)
    return replace(task, weights=tuple(float(w) for w in found))


def loss_mass(labels: Tensor, task: Task) -> float:
    """Return what `loss_sum` over these labels `(B, W)` is divided by for a mean: weights of bags, or events."""
    if task.kind == "multilabel":
        return float(torch.isfinite(labels).sum())
    known = labels[torch.isfinite(labels).all(dim=1)]  # (B', W)
    if task.joint:
        return float((known[:, 1] > 0).sum())
    if task.weights:
        return float(_weights(known[:, 0].long(), task).sum())
    return float(len(known))


def loss_sum(logits: Tensor, labels: Tensor, task: Task) -> Tensor:
    """Return the loss, summed over the bags with a label.

    Args:
        logits: `(B, C)`.
        labels: `(B, W)`, NaN = missing: such a bag (of a multilabel target, such a class) adds nothing.
    """
    logits = logits.float() if logits.dtype.itemsize < 4 else logits
    if task.kind == "multilabel":
        return _multilabel_loss(logits, labels, task)
    known = torch.isfinite(labels).all(dim=1)
    logits, labels = logits[known], labels[known]  # (B', C), (B', W)
    if not len(logits):
        return logits.sum()
    if task.kind == "survival":
        times, events = labels[:, 0], labels[:, 1] > 0
        if task.joint:
            return cox_loss(logits[:, 0], times, events, ties=task.ties)
        return discrete_loss(logits, times, events, edges=torch.tensor(task.edges))
    if task.kind == "regression":
        wanted = ((labels[:, 0] - task.center) / task.scale).to(logits)
        return ((logits[:, 0] - wanted) ** 2).sum()
    at = labels[:, 0].long()  # (B',)
    return (_class_losses(logits, at, task) * _weights(at, task)).sum()


def _class_losses(logits: Tensor, at: Tensor, task: Task) -> Tensor:
    """Return minus the log likelihood of each bag, `(B,)`; at `(B,)` is the place of its class."""
    if task.kind == "binary":
        return binary_cross_entropy_with_logits(logits[:, 0], at.to(logits), reduction="none")
    if task.kind == "multiclass":
        return cross_entropy(logits, at, reduction="none")
    return _corn_losses(logits, at) if task.link == "corn" else _cumulative_losses(logits, at)


def _cumulative_losses(logits: Tensor, at: Tensor) -> Tensor:
    """Return -log P(grade), with P(above k) = sigmoid(logits[:, k]).

    sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which loses no digits where both are near 0 or 1.

    Source: McCullagh 1980, cumulative link model.
    """
    last = logits.shape[1]
    lower = logits.gather(1, (at - 1).clamp(min=0)[:, None])[:, 0]  # (B,), log odds of being at least this grade
    upper = logits.gather(1, at.clamp(max=last - 1)[:, None])[:, 0]  # (B,), log odds of being above it
    nothing = torch.zeros_like(lower)
    reached = torch.where(at == 0, nothing, logsigmoid(lower))
    not_above = torch.where(at == last, nothing, logsigmoid(-upper))
    share = torch.where((at == 0) | (at == last), nothing, _log_share(lower - upper))
    return -(reached + not_above + share)


def _log_share(gap: Tensor) -> Tensor:
    """Return log(1 - exp(-gap)), below LEAST_GAP its tangent there."""
    safe = gap.clamp(min=LEAST_GAP)
    return torch.log(-torch.expm1(-safe)) + (gap - safe) / LEAST_GAP


def _corn_losses(logits: Tensor, at: Tensor) -> Tensor:
    """Return -log P(grade), with P(above k, once above k - 1) = sigmoid(logits[:, k]).

    Source: Shi et al. 2023, eq. 7 (CORN), summed over the cuts that a grade has reached.
    """
    cuts = torch.arange(logits.shape[1], device=logits.device)[None, :]  # (1, K - 1)
    reached, passed = cuts <= at[:, None], cuts < at[:, None]  # (B, K - 1)
    each = binary_cross_entropy_with_logits(logits, passed.to(logits), reduction="none")
    return (each * reached).sum(dim=1)


def _multilabel_loss(logits: Tensor, labels: Tensor, task: Task) -> Tensor:
    known = torch.isfinite(labels)  # (B, K)
    wanted = torch.where(known, labels, torch.zeros_like(labels)).to(logits)
    weights = logits.new_tensor(task.weights) if task.weights else None
    each = binary_cross_entropy_with_logits(logits, wanted, pos_weight=weights, reduction="none")  # (B, K)
    return (each * known).sum()


def _weights(at: Tensor, task: Task) -> Tensor:
    if not task.weights:
        return torch.ones(len(at), device=at.device)
    return torch.tensor(task.weights, device=at.device)[at]


def predict(logits: Tensor, task: Task) -> Tensor:
    """Return what logits `(N, C)` say.

    Returns:
        `(N, K)` probabilities of the classes (of a multilabel target each by itself); the value `(N, 1)` of a
        regression; the log hazard `(N, 1)` of a Cox model; the share `(N, T)` that lives through each time bin.
    """
    if task.kind == "regression":
        return logits * task.scale + task.center
    if task.kind == "survival":
        return logits - task.center if task.joint else discrete_curve(logits)
    if task.kind == "multilabel":
        return torch.sigmoid(logits)
    return class_probabilities(cumulative(logits, task), task.kind)


def cumulative(logits: Tensor, task: Task) -> Tensor:
    """Return the log odds of being above each grade, `(..., K - 1)`, of CORN's logits; other tasks' as they are."""
    return cumulative_logits(logits) if task.kind == "ordinal" and task.link == "corn" else logits
