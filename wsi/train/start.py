"""A head before its first step: weights drawn from a seed, features' scale and bins' hazards of the training bags."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsi.mil import Head, HeadSpec, make_head

Bag = NDArray[np.float32]
LEAST_STD = 1e-6
"""A feature that varies less than this is only centered."""


def start_head(spec: HeadSpec, dim: int, *, seed: int) -> Head:
    """Return an untrained head whose weights depend on the spec and the seed alone."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return make_head(spec, dim)


def fit_standard(head: Head, read: Callable[[int], Bag], cases: Sequence[int]) -> None:
    """Let the head bring the features of these cases to mean 0 and deviation 1; all cases count alike."""
    if not cases:
        return
    first: NDArray[np.float64] = np.zeros(head.dim)
    second = np.zeros(head.dim)
    for i in cases:
        bag = read(i).astype(np.float64)
        first += bag.mean(axis=0) / len(cases)
        second += (bag**2).mean(axis=0) / len(cases)
    std = np.sqrt(np.maximum(second - first**2, 0.0))
    head.norm.mean.copy_(torch.from_numpy(first))
    head.norm.std.copy_(torch.from_numpy(np.where(std > LEAST_STD, std, 1.0)))


def start_logits(head: Head, logits: Tensor) -> None:
    """Let the head say about these logits `(C,)` of every bag until it has learned to tell them apart.

    Time bins need it: hazards of a few percent lie some thousand steps of Adam from the even odds that a head starts with.
    """
    for name in head.logit_layers:
        head.get_submodule(name).get_parameter("bias").data.copy_(logits)
