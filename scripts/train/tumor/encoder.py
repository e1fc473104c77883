"""Turn the public int8 MobileNetV2 archive into models/encoders/mobilenetv2-imagenet/weights.safetensors.

The archive holds each convolution as int8 with a scale a channel and a bias (batch norm folded in). timm's
network has no bias there but a batch norm, so the batch norm carries both: the convolution keeps the
integers divided by 128, which float16 stores exactly, and `weight = 128 * scale`, `bias = bias`. Nothing is rounded.
"""

import argparse
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor, nn

from wsi.publish import publish, sha256_file

STEP = 128
"""int8 / 128 lies in -1..1: products stay far from float16's and bfloat16's limits."""


def build_network() -> nn.Module:
    """Return timm's MobileNetV2 without a classifier: `(B, 3, 224, 224)` in -1..1 to `(B, 1280)`.

    pad_type same: the archive's network was trained with padding on the bottom and the right only.
    """
    return timm.create_model("mobilenetv2_100", pretrained=False, num_classes=0, pad_type="same").eval()


def load_network(weights: Path) -> nn.Module:
    """Return the network with the shipped weights, float32, in evaluation mode."""
    network = build_network()
    network.load_state_dict(load_file(weights), strict=True)
    return network


def layers(network: nn.Module) -> list[tuple[str, str]]:
    """Return the names of each convolution and of the batch norm behind it, from input to output."""
    convolutions = [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    norms = [name for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    return list(zip(convolutions, norms, strict=True))


def archive_names() -> list[str]:
    """Return the archive's names of the same convolutions, from input to output."""
    names = ["Conv1", "expanded_conv_depthwise", "expanded_conv_project"]
    for block in range(1, 17):
        names += [f"block_{block}_{part}" for part in ("expand", "depthwise", "project")]
    return [*names, "Conv_1"]


def state_dict(archive: dict[str, NDArray[np.generic]]) -> dict[str, Tensor]:
    """Return timm's tensors for the arrays `<layer>.w` (int8), `.s` (scale) and `.b` (bias) of the archive."""
    network = build_network()
    state = dict(network.state_dict())
    for (convolution, norm), name in zip(layers(network), archive_names(), strict=True):
        integers = archive[f"{name}.w"]
        # A depthwise layer is stored as (1, 3, 3, C), any other as (O, h, w, I).
        order = (3, 0, 1, 2) if name.endswith("depthwise") else (0, 3, 1, 2)
        weight = torch.from_numpy(np.ascontiguousarray(integers.transpose(order))).float() / STEP
        assert weight.shape == state[f"{convolution}.weight"].shape
        state[f"{convolution}.weight"] = weight.half()
        # A batch norm divides by sqrt(variance + eps): a variance of 1 - eps makes that 1.
        eps = network.get_submodule(norm).eps
        state[f"{norm}.running_var"] = torch.full_like(state[f"{norm}.running_var"], 1 - float(eps))  # type: ignore[arg-type]
        state[f"{norm}.weight"] = torch.from_numpy(archive[f"{name}.s"].astype(np.float32)) * STEP
        state[f"{norm}.bias"] = torch.from_numpy(archive[f"{name}.b"].astype(np.float32))
    return state


def main() -> None:
    """Write the weights and say their sha256."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, required=True, help="mobilenetv2_imagenet_int8.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder of the encoder")
    chosen = parser.parse_args()
    with np.load(chosen.archive, allow_pickle=False) as archive:
        state = state_dict({name: archive[name] for name in archive.files})
    path = chosen.out / "weights.safetensors"
    publish(path, save({name: tensor.contiguous() for name, tensor in sorted(state.items())}))
    print(sha256_file(path))


if __name__ == "__main__":
    main()
