"""U-Nets of one shape that vote: each sees the image, and the mean of their probabilities is what is said."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wsi.segment.unet import UNet, UNetSpec


class Vote(nn.Module):
    """`(B, C, *size)` to the log of the mean probability of each class `(B, K, *size)`; its softmax is that mean.

    Source: Lakshminarayanan et al. 2017, section 2.4.
    """

    def __init__(self, members: Sequence[UNet]) -> None:
        super().__init__()
        self.spec = members[0].spec
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores; ModelError for a size that can't be halved so often."""
        said = [member(images).float().log_softmax(1) for member in self.members]
        return torch.stack(said).logsumexp(0) - math.log(len(said))


Network = UNet | Vote
"""What marks: one U-Net, or several that vote."""


def voting(members: Sequence[UNet]) -> Network:
    """Return one network for them all; a single one is itself, and so are the names of its weights."""
    return members[0] if len(members) == 1 else Vote(members)


def empty_network(spec: UNetSpec, *, members: int) -> Network:
    """Return a network of such members without memory for its weights."""
    with torch.device("meta"):
        return voting([UNet(spec) for _ in range(members)])
