"""Heads whose every number is drawn, and sums that all of them share, written out in numpy."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsi.mil import Head, HeadSpec, make_head

Floats = NDArray[np.float64]
DIM = 6


def drawn(spec: HeadSpec, *, scale: float = 1.0) -> tuple[Head, dict[str, Floats]]:
    """Return a head in float64 and its weights; the weights but those of the norm are `scale` times normal numbers."""
    generator = torch.Generator().manual_seed(7)
    made = make_head(spec, DIM).double().eval()
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            fresh = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(fresh.abs() + 0.5 if name == "norm.std" else fresh * scale)
    return made, {name: tensor.numpy().copy() for name, tensor in made.state_dict().items()}


def bag(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def embed(w: dict[str, Floats], features: Tensor) -> Floats:
    """Return relu(W (x - mean) / std + b), `(N, H)`."""
    standard = (features.numpy() - w["norm.mean"]) / w["norm.std"]
    return np.maximum(standard @ w["embed.weight"].T + w["embed.bias"], 0.0)


def linear(w: dict[str, Floats], name: str, x: Any) -> Floats:
    found: Floats = x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
    return found


def softmax(scores: Floats) -> Floats:
    """Return the softmax over the last axis."""
    odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
    found: Floats = odds / odds.sum(axis=-1, keepdims=True)
    return found


def gated_scores(w: dict[str, Floats], h: Floats) -> Floats:
    """Return W (tanh(V h) * sigmoid(U h)), `(N, M)`. Source: Ilse et al. 2018, eq. 9."""
    gate = 1 / (1 + np.exp(-linear(w, "attention.gate", h)))
    return linear(w, "attention.score", np.tanh(linear(w, "attention.tanh", h)) * gate)
