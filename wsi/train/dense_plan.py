"""From what the data look like to how a network of masks reads them: fingerprint, then plan.

What a settings file leaves out is planned here; what it says stays. Source: Isensee et al. 2021 (nnU-Net), methods.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from wsi.card import AcceptsField
from wsi.card_image import check_flips, check_units
from wsi.card_steps import Orient
from wsi.errors import LabelsError
from wsi.field import Field
from wsi.preprocess.space import orient
from wsi.read.field_reader import read_field
from wsi.segment.unet import UNetSpec
from wsi.train.dense_cases import Example
from wsi.train.dense_settings import MaskConfig

LOOKED_AT = 50
"""Images that a fingerprint is taken of."""
LONGEST_PX = 768
"""A picture's longer side, at most."""
WINDOW_SAMPLES = {2: 320 * 320, 3: 64 * 64 * 64}
"""Most of a window: what two cores train on in reasonable time."""
OVERLAP = 0.5
"""Of windows that were planned, where the settings don't say."""
WIDTHS = {2: [24, 32, 48, 64], 3: [24, 40, 64, 80]}
UNEVEN = 0.01
"""Share by which steps may differ before volumes are resampled to one."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the images of a study look like, volumes once turned: axes and channels, and medians of shape and step."""

    axes: int
    channels: tuple[str, ...]
    shape: tuple[int, ...]
    steps: tuple[float, ...]
    spread: float
    """Largest step over the smallest along any axis, less 1."""

    def lines(self) -> list[str]:
        """Return it in words."""
        unit = "mm" if self.axes == 3 else "px"
        return [
            f"median shape {' x '.join(map(str, self.shape))}, channels {', '.join(self.channels)}",
            f"median step {' x '.join(f'{s:.3g}' for s in self.steps)} {unit}, differing by {self.spread:.1%} at most",
        ]


def fingerprint(examples: Sequence[Example], accepts: AcceptsField | None = None) -> Fingerprint:
    """Look at the images (the first LOOKED_AT of them); LabelsError when they differ in axes or channels.

    Args:
        accepts: what the settings say already; its turns are made before shape and steps are read off. None: those
            that `planned` will ask for.
    """
    fields = [_turned(read_field([one.image]).field, accepts) for one in examples[:LOOKED_AT]]
    kinds = {(len(field.axes), field.channels) for field in fields}
    if len(kinds) > 1:
        told = " and ".join(f"{axes} axes of {', '.join(names)}" for axes, names in sorted(kinds))
        raise LabelsError(f"the images are of several kinds, {told}; train a model for each")
    ((axes, channels),) = kinds
    steps = np.array([field.steps for field in fields])
    return Fingerprint(
        axes=axes,
        channels=channels,
        shape=tuple(int(n) for n in np.median([field.shape for field in fields], axis=0)),
        steps=tuple(float(s) for s in np.median(steps, axis=0)),
        spread=float((steps.max(axis=0) / steps.min(axis=0)).max() - 1),
    )


def _turned(field: Field, accepts: AcceptsField | None) -> Field:
    """Return a volume with its axes as they lie once preprocessing has turned them; a picture as it is."""
    if len(field.axes) != 3:
        return field
    steps = [Orient(op="orient@1")] if accepts is None else [one for one in accepts.preprocess if one.op == "orient@1"]
    return reduce(orient, steps, field)


def planned(config: MaskConfig, found: Fingerprint) -> MaskConfig:
    """Return settings in which nothing is left open; what they say already stays as it is.

    Raises:
        UsageError: images are to be mirrored along an axis, or told in a unit, that they don't have.
    """
    accepts = config.input or AcceptsField.model_validate(_input(found))
    check_flips(config.network.flips, accepts.axes)
    check_units(config.structures, accepts.axes)
    widths = config.network.widths or WIDTHS[found.axes]
    network = config.network.model_copy(update={"widths": widths})
    if accepts.window is None:
        multiple = network.stem << (len(widths) - 1)
        window = _window(_shape_after(accepts, found), WINDOW_SAMPLES[found.axes], multiple)
        overlap = accepts.overlap if "overlap" in accepts.model_fields_set else OVERLAP
        accepts = accepts.model_copy(update={"window": window, "overlap": overlap})
    return config.model_copy(update={"input": accepts, "network": network})


def _input(found: Fingerprint) -> dict[str, Any]:
    """Return the section `input` of a card for such images: one orientation and step, values without a scale."""
    steps: list[dict[str, Any]] = []
    if found.axes == 3:
        steps = [{"op": "orient@1"}]
        if found.spread > UNEVEN:
            steps.append({"op": "resample@1", "step": list(found.steps)})
        steps += [{"op": "clip-percentiles@1", "low": 0.5, "high": 99.5}, {"op": "z-score@1"}]
        return {"axes": 3, "channels": list(found.channels), "step": list(found.steps), "preprocess": steps}
    if max(found.shape) > LONGEST_PX:
        steps.append({"op": "resize@1", "px": [LONGEST_PX]})
    return {"axes": 2, "channels": list(found.channels), "preprocess": [*steps, {"op": "z-score@1"}]}


def _shape_after(accepts: AcceptsField, found: Fingerprint) -> tuple[int, ...]:
    """Return about how large an image is after the steps that change its size."""
    shape = np.array(found.shape, np.float64)
    for step in accepts.preprocess:
        if step.op == "crop-square@1":
            shape = np.full(len(shape), shape.min())
        elif step.op == "resize@1":
            wanted = np.array(step.px, np.float64)
            whole = {"longest": max, "shortest": min}.get(step.side)
            shape = wanted if whole is None else shape * wanted[0] / whole(shape.tolist())
        elif step.op == "resample@1":
            shape = shape * np.array(found.steps) / np.array(step.step)
    return tuple(round(n) for n in shape.tolist())


def _window(shape: Sequence[int], most: int, multiple: int) -> list[int]:
    """Return a window of the image's form, of at most so many samples, in multiples."""
    scale = min(1.0, (most / float(np.prod(shape))) ** (1 / len(shape)))
    return [max(multiple, int(np.ceil(n * scale / multiple)) * multiple) for n in shape]


def spec_of(config: MaskConfig) -> UNetSpec:
    """Return the network of settings that were planned."""
    assert config.input is not None
    channels = len(config.input.channels)
    for step in config.input.preprocess:
        channels = {"gray@1": 1, "select@1": len(getattr(step, "channels", []))}.get(step.op, channels)
    classes = len(config.structures) + 1
    return UNetSpec(config.input.axes, channels, classes, tuple(config.network.widths), config.network.stem)


def window_of(config: MaskConfig) -> tuple[int, ...]:
    """Return the window of settings that were planned."""
    assert config.input is not None
    assert config.input.window is not None
    return tuple(config.input.window)
