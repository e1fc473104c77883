"""The running mean of a network's weights over its steps, which is steadier than the weights of any one of them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

YOUNG = 10
"""The mean starts as that of the last few steps."""


def remember(mean: Mapping[str, Tensor], network: nn.Module, *, keep: float, steps: int) -> None:
    """Move the mean, in place, towards the network's weights after so many `steps`; counts become those of now.

    Args:
        mean: tensors of the network's state by name, on its device.
        keep: share of the mean that a step leaves; 0: the mean is the weights of now.

    Source: Polyak and Juditsky 1992; the rise of `keep` over the first steps as in Tarvainen and Valpola 2017.
    """
    left = min(keep, (1 + steps) / (YOUNG + steps))
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                mean[name].lerp_(tensor, 1 - left)
            else:
                mean[name].copy_(tensor)
