"""The U-Net of pictures and volumes: one builder, whose layers have as many axes as the image.

Its first and last layers may work on blocks of px: `stem` px along each axis become channels, and the scores of the
px of a block come back from one place. That costs a quarter (2 axes) or an eighth (3) of the work at full size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wsi.errors import ModelError

CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
SLOPE = 0.01
"""Of the leaky rectifier below 0."""
MOST_WIDTH, MOST_LEVELS, MOST_STEM = 1024, 8, 4


@dataclass(frozen=True, slots=True)
class UNetSpec:
    """What a U-Net is built from.

    widths: channels of each level, the finest first; each level has half the px of the one above along every axis.
    stem: px along each axis that the first layer takes together.
    """

    axes: int
    channels: int
    classes: int
    widths: tuple[int, ...] = (16, 32, 64, 96)
    stem: int = 1

    def __post_init__(self) -> None:
        if self.axes not in CONVOLUTIONS:
            raise ModelError(f"a U-Net has 2 or 3 axes, found {self.axes}")
        if self.channels < 1 or self.classes < 2:
            raise ModelError(f"a U-Net reads 1 channel or more and tells 2 classes or more apart, found {self}")
        if not 1 <= len(self.widths) <= MOST_LEVELS or not all(1 <= width <= MOST_WIDTH for width in self.widths):
            raise ModelError(
                f"a U-Net has 1 to {MOST_LEVELS} levels of 1 to {MOST_WIDTH} channels, found {self.widths}"
            )
        if not 1 <= self.stem <= MOST_STEM:
            raise ModelError(f"a U-Net's stem takes 1 to {MOST_STEM} px together, found {self.stem}")

    @property
    def multiple(self) -> int:
        """Sizes of windows are multiples of this along every axis."""
        return self.stem << (len(self.widths) - 1)


class UNet(nn.Module):
    """`(B, C, *size)` to the scores of the classes `(B, K, *size)`; sizes are multiples of `spec.multiple`.

    Each level: two convolutions of 3 px, each followed by instance normalization and a leaky rectifier; going down by a
    convolution of stride 2, up by a transposed one; what a level saw on the way down is joined on the way up.

    Source: Ronneberger et al. 2015; Çiçek et al. 2016 (3 axes); Isensee et al. 2021 for the normalization and strides;
    Shi et al. 2016, eq. 4, for the blocks.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        block = spec.stem**spec.axes
        widths = spec.widths
        before = (spec.channels * block, *widths[:-1])
        self.down = nn.ModuleList(
            _Level(spec.axes, a, b, stride=1 if level == 0 else 2)
            for level, (a, b) in enumerate(zip(before, widths, strict=True))
        )
        self.up = nn.ModuleList(
            TRANSPOSED[spec.axes](below, width, 2, stride=2)
            for width, below in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.join = nn.ModuleList(_Level(spec.axes, 2 * width, width) for width in widths[-2::-1])
        self.score = CONVOLUTIONS[spec.axes](widths[0], spec.classes * block, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores `(B, K, *size)`; ModelError for a size that can't be halved so often."""
        self._check(images)
        seen = [blocks(images, self.spec.stem)]
        for level in self.down:
            seen.append(level(seen[-1]))
        found = seen.pop()
        for up, join in zip(self.up, self.join, strict=True):
            found = join(torch.cat((up(found), seen.pop()), dim=1))
        return unblocked(self.score(found), self.spec.stem)

    def _check(self, images: Tensor) -> None:
        size = tuple(images.shape[2:])
        fits = len(size) == self.spec.axes and images.shape[1] == self.spec.channels
        if not fits or any(length == 0 or length % self.spec.multiple for length in size):
            raise ModelError(
                f"this U-Net reads (B, {self.spec.channels}, {self.spec.axes} axes) whose sizes are multiples of "
                f"{self.spec.multiple}, found {tuple(images.shape)}"
            )


class _Norm(nn.GroupNorm):
    """A group a channel: instance normalization. A level of 1 px becomes its shift; nn.GroupNorm itself refuses it."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.group_norm(maps, self.num_groups, self.weight, self.bias, self.eps)


class _Level(nn.Sequential):
    """Two convolutions of 3 px, `(B, a, *size)` to `(B, b, *size / stride)`."""

    def __init__(self, axes: int, a: int, b: int, *, stride: int = 1) -> None:
        convolution = CONVOLUTIONS[axes]
        super().__init__(
            convolution(a, b, 3, stride=stride, padding=1, bias=False),
            _Norm(b, b),
            nn.LeakyReLU(SLOPE, inplace=True),
            convolution(b, b, 3, padding=1, bias=False),
            _Norm(b, b),
            nn.LeakyReLU(SLOPE, inplace=True),
        )


def blocks(images: Tensor, size: int) -> Tensor:
    """Return images `(B, C, *n)` with the px of each block as channels, `(B, C·sizeᴺ, *n / size)`."""
    axes = images.ndim - 2
    split = [part for length in images.shape[2:] for part in (length // size, size)]
    parts = images.reshape(*images.shape[:2], *split)  # (B, C, n/s, s, n/s, s, …)
    order = [0, 1, *range(3, 3 + 2 * axes, 2), *range(2, 2 + 2 * axes, 2)]
    return parts.permute(order).reshape(images.shape[0], -1, *split[::2])


def unblocked(scores: Tensor, size: int) -> Tensor:
    """Undo `blocks`: `(B, K·sizeᴺ, *n)` to `(B, K, *n · size)`."""
    axes = scores.ndim - 2
    coarse = scores.shape[2:]
    parts = scores.reshape(scores.shape[0], -1, *[size] * axes, *coarse)  # (B, K, s, s, …, n, n, …)
    order = [0, 1] + [part for axis in range(axes) for part in (2 + axes + axis, 2 + axis)]
    return parts.permute(order).reshape(*parts.shape[:2], *[length * size for length in coarse])


def make_unet(spec: UNetSpec, *, seed: int) -> UNet:
    """Return an untrained U-Net; the same seed gives the same weights.

    Source: He et al. 2015, eq. 15, the spread of the first weights before a leaky rectifier.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = UNet(spec)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return network
