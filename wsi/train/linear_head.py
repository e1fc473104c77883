"""A linear head, written as a gated-attention head whose weights are set, so that whatever reads such a head reads it.

With z a tile's standardized features and n how far it is from background (the log odds of a logistic regression):

    lack = relu(margin - n)                              # 0 for a tile that is surely none of the background
    attention = softmax(-silence tanh(lack / 3))         # over the bag
    logits = W sum_i attention_i z_i + b - cost sum_i attention_i lack_i

The cost is paid where a lower logit says less: binary, multilabel and ordered targets.
"""

from dataclasses import dataclass

import numpy as np
import torch

from wsi.mil import Head, HeadSpec, Kind
from wsi.train.settings import LinearConfig
from wsi.train.tasks import Floats, Task

LINEAR = "linear"
"""Its name in the settings; a card calls it gated-attention, which it is."""
SLOPE = 3.0
OPEN = 30.0
"""Sigmoid of it is 1 in float32: the gate of the attention stands open."""
PAYING: tuple[Kind, ...] = ("binary", "multilabel", "ordinal")


@dataclass(frozen=True, slots=True)
class Direction:
    """A linear score of standardized features: weight `(D,)`, bias."""

    weight: Floats
    bias: float


def linear_spec(task: Task) -> HeadSpec:
    """Return the shape of a linear head: two units a direction, for its two signs, and one for what a tile lacks."""
    cuts = task.outputs if task.edges else 0
    classes, directions = len(task.classes) or 2, 1 if task.kind == "ordinal" else task.outputs
    return HeadSpec(kind=task.kind, classes=classes, cuts=cuts, hidden=2 * directions + 1, width=1)


def cost_of(kind: Kind, config: LinearConfig) -> float:
    """Return what the logits lose a unit of lack."""
    return config.cost if kind in PAYING else 0.0


@torch.no_grad()
def set_weights(head: Head, weights: Floats, bias: Floats, foreground: Direction | None, config: LinearConfig) -> None:
    """Write the directions into the head's units: relu(m), relu(-m) of each direction m, and the lack."""
    signed = np.stack([weights.T, -weights.T], axis=1).reshape(-1, len(weights))  # (2 M, D)
    classifier = np.zeros((weights.shape[1], len(signed) + 1))
    for at in range(weights.shape[1]):
        classifier[at, 2 * at : 2 * at + 2] = 1.0, -1.0
    lacking, margin, silence = np.zeros(len(weights)), 0.0, 0.0
    if foreground is not None:
        lacking, margin, silence = -foreground.weight, config.margin - foreground.bias, config.silence
        classifier[:, -1] = -cost_of(head.spec.kind, config)
    unit = np.eye(1, len(signed) + 1, len(signed))  # (1, H): the last unit alone
    arrays = {
        "embed.weight": np.concatenate([signed, lacking[None]]),
        "embed.bias": unit[0] * margin,
        "attention.tanh.weight": unit / SLOPE,
        "attention.tanh.bias": np.zeros(1),
        "attention.gate.weight": np.zeros_like(unit),
        "attention.gate.bias": np.full(1, OPEN),
        "attention.score.weight": np.full((1, 1), -silence),
        "attention.score.bias": np.zeros(1),
        "classifier.weight": classifier,
        "classifier.bias": bias,
    }
    for name, values in arrays.items():
        head.get_parameter(name).copy_(torch.from_numpy(values))
