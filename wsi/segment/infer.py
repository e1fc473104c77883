"""What a network of masks says of a whole field: overlapping windows, mirrored views, stitched in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsi.segment.vote import Network
from wsi.windows import Stitch, Windows, cut, plan_windows

Floats = NDArray[np.float32]
Beat = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a field is read.

    window: samples along each axis, None the whole field; overlap: share of a window; flips: axes along which it is
    also read mirrored, every combination; pad: value beyond the end, None repeats the last sample; batch: windows at a
    time.
    """

    window: tuple[int, ...] | None = None
    overlap: float = 0.5
    flips: tuple[int, ...] = ()
    pad: float | None = 0.0
    batch: int = 1


def probabilities(
    network: Network,
    values: Floats,
    reading: Reading,
    *,
    plan: Windows | None = None,
    beat: Beat | None = None,
) -> Floats:
    """Return the probability of each class at each sample, `(K, *shape)`.

    Memory: `K + 1` float32 a sample and one batch of windows, however many windows there are.

    Args:
        values: `(C, *shape)` float32, preprocessed.
        plan: the windows to read, what lies outside of them is background; None: those that `reading` says, all of them.
        beat: called after each batch, for whoever waits.
    """
    if plan is None:
        plan = plan_windows(values.shape[1:], reading.window, reading.overlap, multiple=network.spec.multiple)
    stitch = Stitch(plan.shape, plan.window, network.spec.classes)
    for at in range(0, len(plan), reading.batch):
        some = plan.corners[at : at + reading.batch]
        windows = np.stack([cut(values, corner, plan.window, pad=reading.pad) for corner in some])
        told = mirrored_mean(network, torch.from_numpy(np.ascontiguousarray(windows, np.float32)), reading.flips)
        for corner, said in zip(some, told.numpy(), strict=True):
            stitch.add(corner, said)
        if beat is not None:
            beat()
    found = stitch.result()
    bare = np.isnan(found[0])
    found[:, bare] = 0.0
    found[0, bare] = 1.0
    return found


@torch.inference_mode()
def mirrored_mean(network: Network, windows: Tensor, flips: Sequence[int] = ()) -> Tensor:
    """Return the probabilities `(B, K, *size)` of windows `(B, C, *size)`, the mean over their mirrored views."""
    network.eval()
    device = next(network.parameters()).device
    total = torch.zeros(())
    views = list(_mirrors(flips))
    for axes in views:
        scores = network(windows.to(device).flip(axes))
        total = total + scores.float().softmax(1).flip(axes).cpu()
    return total / len(views)


def _mirrors(flips: Sequence[int]) -> Iterator[list[int]]:
    """Yield each combination of axes to mirror, as axes of `(B, C, *size)`; the first is none."""
    for chosen in product((False, True), repeat=len(flips)):
        yield [2 + axis for axis, is_flipped in zip(flips, chosen, strict=True) if is_flipped]
