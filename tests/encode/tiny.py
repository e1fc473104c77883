"""Small networks with random weights, and tiles to put through them."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from wsi.card import Architecture, EncoderCard
from wsi.encode.build import build

SIDE = 32
DIM = 32


def tiny_vit(**more: bool | float | str | None) -> Architecture:
    """Return a ViT of two blocks, 32 wide, that sees 32 px as 4 x 4 patches."""
    arguments = {"img_size": SIDE, "patch_size": 8, "depth": 2, "embed_dim": DIM, "num_heads": 2, "init_values": 0.1}
    return Architecture(name="vit_tiny_patch16_224", arguments={**arguments, **more})


def with_random_weights(architecture: Architecture, *, seed: int = 0) -> nn.Module:
    """Return the network in memory, each of its values drawn from a seeded normal distribution."""
    network = build(architecture).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator).abs())
            else:
                tensor.zero_()
    return network


def save(network: nn.Module, path: Path) -> Path:
    """Write a network's tensors under their own names."""
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path


def card(**changes: object) -> EncoderCard:
    """Return the card of an encoder with a tiny ViT."""
    fields: dict[str, object] = {
        "kind": "encoder",
        "id": "tiny",
        "title": "A tiny ViT",
        "licence": {"weights": "CC0-1.0"},
        "architecture": tiny_vit().model_dump(),
        "weights": {},
        "input": {"tile_px": SIDE, "mpp": 0.5},
        "transform": {"mean": [0.5, 0.4, 0.6], "std": [0.2, 0.3, 0.25]},
        "pooling": "cls",
        "dim": DIM,
    }
    return EncoderCard.model_validate({**fields, **changes})


def tiles(n: int, *, side: int = SIDE, seed: int = 0) -> NDArray[np.uint8]:
    """Return `(n, side, side, 3)` tiles of soft blobs with some noise, in colors of H&E."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    dye = np.zeros((n, side, side))
    for _ in range(6):
        at, width = rng.uniform(0, 1, (n, 2, 1, 1)), rng.uniform(0.05, 0.3, (n, 1, 1))
        dye += np.exp(-((x - at[:, 0]) ** 2 + (y - at[:, 1]) ** 2) / width**2)
    dye = np.clip(dye + rng.normal(0, 0.05, dye.shape), 0, 3)[..., None]
    light = 245 * np.exp(-dye * np.array([0.35, 0.6, 0.2]))
    return np.asarray(light.round(), np.uint8)
