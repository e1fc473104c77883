"""What a network of masks says of a whole field: overlapping windows, mirrored views, stitched in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from wsi.field import Field
from wsi.segment.unet import UNet
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
    network: UNet,
    values: Floats,
    reading: Reading,
    *,
    foreground: NDArray[np.bool_] | None = None,
    least: float = 0.0,
    beat: Beat | None = None,
) -> Floats:
    """Return the probability of each class at each sample, `(K, *shape)`.

    Memory: `K + 1` float32 a sample and one batch of windows, however many windows there are.

    Args:
        values: `(C, *shape)` float32, preprocessed.
        foreground: `(*shape)`; windows of which no share above `least` is in it are left out: background.
        beat: called after each batch, for whoever waits.
    """
    plan = plan_windows(values.shape[1:], _window(network, values.shape[1:], reading), reading.overlap)
    stitch = Stitch(plan.shape, plan.window, network.spec.classes)
    corners = [corner for corner in plan.corners if _is_worth(foreground, corner, plan, least)]
    for at in range(0, len(corners), reading.batch):
        some = corners[at : at + reading.batch]
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


def _window(network: UNet, shape: tuple[int, ...], reading: Reading) -> tuple[int, ...]:
    """Return the window, rounded up to what the network can halve; no longer than the field needs."""
    multiple = network.spec.multiple
    wanted = shape if reading.window is None else reading.window
    return tuple(-(-min(side, length) // multiple) * multiple for side, length in zip(wanted, shape, strict=True))


def _is_worth(foreground: NDArray[np.bool_] | None, corner: NDArray[np.int64], plan: Windows, least: float) -> bool:
    if foreground is None:
        return True
    inside = foreground[tuple(slice(int(c), int(c) + w) for c, w in zip(corner, plan.window, strict=True))]
    return bool(inside.any()) and float(inside.mean()) >= least


@torch.inference_mode()
def mirrored_mean(network: UNet, windows: Tensor, flips: Sequence[int] = ()) -> Tensor:
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


def labels_on(found: Field, original: Field, *, threshold: float | None = None) -> NDArray[np.uint8]:
    """Return the class of each sample of the field as it was read, `(*shape)` of `original`.

    Probabilities are interpolated linearly between the samples of the preprocessed field, then the likeliest class is
    taken: an outline lies where the probability crosses, not at a border of coarse samples. Beyond the preprocessed
    field is background.

    Args:
        found: probabilities `(K, *other shape)` as values, with the affine of the preprocessed field.
        original: the field as it was read.
        threshold: of two classes, the probability from which a sample is class 1; None: the likeliest.
    """
    count = len(original.axes)
    matrix = np.linalg.inv(found.affine) @ original.affine  # an index of the original to one of `found`
    cut_off = 0.5 if threshold is None else threshold
    if len(found.values) == 2:
        return (_moved(found.values[1], matrix, original.shape, count) >= cut_off).astype(np.uint8)
    labels = np.zeros(original.shape, np.uint8)
    best = _moved(found.values[0] - 1.0, matrix, original.shape, count) + 1.0
    for label in range(1, len(found.values)):
        one = _moved(found.values[label], matrix, original.shape, count)
        np.copyto(labels, np.uint8(label), where=one > best)
        np.maximum(best, one, out=best)
    return labels


def _moved(values: Floats, matrix: NDArray[np.float64], shape: tuple[int, ...], count: int) -> Floats:
    """Return values read at the samples of another grid, linear between them and 0 beyond."""
    linear, shift = matrix[:count, :count], matrix[:count, count]
    if np.allclose(linear, np.eye(count), atol=1e-6) and np.allclose(shift, np.rint(shift), atol=1e-4):
        return _shifted(values, np.rint(shift).astype(int), shape)
    diagonal = np.diag(np.diag(linear))
    plain = np.diag(linear) if np.allclose(linear, diagonal, atol=1e-9) else linear
    moved: Floats = ndimage.affine_transform(
        values, plain, shift, output_shape=shape, output=np.float32, order=1, mode="grid-constant"
    )
    return moved


def _shifted(values: Floats, shift: NDArray[np.int_], shape: tuple[int, ...]) -> Floats:
    """Return `values[i + shift]` for each index i of `shape`, 0 beyond: a crop or pad undone, exactly."""
    found = np.zeros(shape, np.float32)
    here, there = [], []
    for start, length, have in zip(shift.tolist(), shape, values.shape, strict=True):
        low, high = max(0, -start), min(length, have - start)
        if high <= low:
            return found
        here.append(slice(low, high))
        there.append(slice(low + start, high + start))
    found[tuple(here)] = values[tuple(there)]
    return found
