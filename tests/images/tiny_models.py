"""Draw pictures and volumes, and the folders of tiny models that read them; what they must say is plain to see.

The graded model's encoder is a small ResNet whose blocks pass their input on, so that the first of its features is the
mean brightness; its head says "bright" above a half. The dense model's network passes the brightness through: what is brighter than a half is marked.
"""

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from wsi.card import Architecture
from wsi.segment import UNet, UNetSpec, make_unet

SIDE = 32
DIM = 96
LARGEST = ({"op": "largest-component@1"},)
ABOUT: dict[str, Any] = {
    "version": "1",
    "title": "Drawn for tests",
    "licence": {"weights": "CC0-1.0"},
    "use": {"purpose": "tests", "not_for": ["patients"], "status": "research use only"},
    "evaluation": [{"name": "drawn", "metric": "AUC", "value": 0.5}],
    "training": {
        "data": ["drawn"],
        "data_licences": ["CC0-1.0"],
        "data_digest": "0",
        "split_digest": "0",
        "seed": 0,
        "versions": {},
        "script": "none",
    },
}


def photograph(path: Path, *, level: int, side: int = 96, gray: bool = False) -> Path:
    """Write a picture of one brightness with a darker left half, in color unless `gray`."""
    pixels = np.full((side, side + 32, 3), level, np.uint8)
    pixels[:, : side // 2] = level // 2
    if not gray:
        pixels[..., 2] //= 2
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if gray else pixels).save(path)
    return path


def scan(path: Path, *, shape: tuple[int, int, int] = (20, 24, 12), level: float = 100.0) -> NDArray[np.bool_]:
    """Write a volume with a bright box in it as NIfTI and return where the box is."""
    import nibabel

    box = np.zeros(shape, bool)
    box[5:13, 6:16, 3:9] = True
    affine = np.array([[-1.5, 0, 0, 20], [0, 1.5, 0, -10], [0, 0, 2, 5], [0, 0, 0, 1]], float)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.where(box, level, 0).astype(np.int16), affine), path)
    return box


def graded(folder: Path, **accepts: Any) -> Path:
    """Write a model that says whether a picture is bright, with a second head that says the same of "light"."""
    eats = {
        "axes": 2,
        "channels": ["R", "G", "B"],
        "preprocess": [{"op": "resize@1", "px": [SIDE, SIDE], "side": "exact"}],
        **accepts,
    }
    encoder = _encoder(folder / "encoder")
    head = {
        "norm.mean": torch.zeros(DIM),
        "norm.std": torch.ones(DIM),
        "embed.weight": torch.eye(1, DIM),
        "embed.bias": torch.zeros(1),
        "classifier.weight": torch.full((1, 1), 20.0),
        "classifier.bias": torch.full((1,), -10.0),
    }
    tensors = {**head, **{f"also.light.{name}": tensor for name, tensor in head.items()}}
    section = {
        "type": "binary",
        "aggregate": "mean",
        "activation": "identity",
        "classes": [{"name": "dark", "color": [0, 0, 90]}, {"name": "bright", "color": [250, 200, 0]}],
    }
    save_file({"features": torch.full((2, DIM), 0.5)}, _made(folder) / "selftest.safetensors")
    card = {
        "kind": "model",
        "id": folder.name,
        **ABOUT,
        "input": eats,
        "encoder": {"name": "./encoder", "sha256": encoder},
        "head": section,
        "also": [{"name": "light", "title": "Light", "head": deepcopy(section)}],
        "weights_sha256": _saved(tensors, folder / "weights.safetensors"),
        "thresholds": [{"name": "half", "value": 0.5, "chosen_by": "hand"}],
        "referral": {"low": 0.3, "high": 0.7, "reason": "neither bright nor dark"},
        "selftest": {"file": "selftest.safetensors", "probability": [0.5, 0.5]},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
    return folder


def _encoder(folder: Path) -> str:
    """Write an encoder whose first feature is about a picture's mean brightness, 0 to 1; return its weights' hash."""
    from wsi.encode.build import build

    architecture = Architecture(name="test_resnet")
    network = build(architecture).to_empty(device="cpu")
    state = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    for name, tensor in state.items():
        if name.startswith("conv1") and tensor.ndim == 4:
            tensor[0, 0 if tensor.shape[1] > 3 else slice(None), 1, 1] = 1 / 3 if tensor.shape[1] == 3 else 1
        elif "downsample" in name and tensor.ndim == 4:
            tensor[0, 0] = 1
        elif name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
            tensor.fill_(1)
    folder.mkdir(parents=True)
    digest = _saved(state, folder / "weights.safetensors")
    card = {
        "kind": "encoder",
        "id": "mean",
        "title": "Mean brightness",
        "licence": {"weights": "CC0-1.0"},
        "architecture": architecture.model_dump(),
        "weights": {"file": "weights.safetensors", "sha256": digest},
        "input": {"tile_px": SIDE, "mpp": 0.0},
        "transform": {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},
        "pooling": "model",
        "dim": DIM,
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
    return digest


def dense(folder: Path, *, axes: int, then: Sequence[dict[str, Any]] = LARGEST, **accepts: Any) -> Path:
    """Write a model that marks what is brighter than half of the brightest, in pictures (axes 2) or volumes (3).

    Args:
        then: what is done to its mask.
    """
    eats = {
        "axes": axes,
        "channels": ["R", "G", "B"] if axes == 2 else ["value"],
        "preprocess": [
            *([{"op": "gray@1"}] if axes == 2 else []),
            {"op": "clip-percentiles@1", "low": 0.0, "high": 100.0},
        ],
        "window": [16] * axes,
        "overlap": 0.5,
        **accepts,
    }
    tensors = passing(axes)
    image = torch.zeros((16,) * axes)
    image[tuple(slice(4, 12) for _ in range(axes))] = 1.0
    save_file({"image": image[None].clone()}, _made(folder) / "selftest.safetensors")
    card = {
        "kind": "model",
        "id": folder.name,
        **ABOUT,
        "input": eats,
        "network": {"architecture": "unet", "axes": axes, "channels": 1, "classes": 2, "widths": [1]},
        "structures": [
            {
                "name": "box",
                "color": [220, 30, 30],
                "code": "SCT:1",
                "meaning": "Box",
                "unit": "ml" if axes == 3 else "px",
            }
        ],
        "postprocess": list(then),
        "weights_sha256": _saved(tensors, folder / "weights.safetensors"),
        "selftest": {"file": "selftest.safetensors", "samples": [8**axes], "tolerance": 0.05},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
    return folder


def passing(axes: int) -> dict[str, Tensor]:
    """Return the weights of a U-Net of one level whose second class is likelier where a window is above its mean."""
    network: UNet = make_unet(UNetSpec(axes, 1, 2, widths=(1,)), seed=0)
    found = {}
    for name, tensor in network.state_dict().items():
        if tensor.ndim == axes + 2 and tensor.shape[2] == 3:
            tensor = torch.zeros_like(tensor)
            tensor[(0, 0, *[1] * axes)] = 1.0
        elif tensor.ndim == axes + 2:
            tensor = torch.tensor([-4.0, 4.0]).reshape(2, *[1] * (axes + 1))
        elif name.startswith("score"):
            tensor = torch.tensor([2.0, -2.0])
        found[name] = tensor
    return found


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _saved(tensors: dict[str, Tensor], path: Path) -> str:
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()
