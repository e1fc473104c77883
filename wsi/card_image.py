"""What a card says of images that are read whole: what it eats, and the structures that a dense model marks."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wsi.card_head import Color, Count, Finite, FromYaml
from wsi.card_steps import Step
from wsi.config import Positive, Share
from wsi.errors import UsageError

__all__ = [
    "AcceptsField", "Fill", "Foreground", "InsideRoundView", "LargestComponent", "LeastSize", "MaskSelftest", "Network", "Postprocess", "Structure",
]  # fmt: skip

Side = Annotated[int, Field(ge=1, le=8192)]
Foreground = Literal["all", "field-of-view", "body"]


class AcceptsField(FromYaml):
    """What a model eats: what a file must be, what is done to it, and the windows that the network sees.

    Nothing here is a kind of examination by name: `modality` holds the codes that DICOM files say of themselves, and
    `looks` are measured on the image, for files that say nothing.
    """

    axes: Literal[2, 3]
    """2: a picture, axes y and x; 3: a volume, axes i, j, k."""
    channels: Annotated[list[str], Field(min_length=1)]
    """As they are read: [R, G, B] or [gray] of a picture, [value] of a volume."""
    modality: list[str] = []
    """DICOM codes that are taken; [] takes all. A file of a format without such codes isn't asked."""
    body_part: list[str] = []
    """DICOM's terms of parts of the body that are taken; [] takes all. A file that names none isn't asked."""
    spacing_mm: tuple[Positive, Positive] | None = None
    """Least and most mm between two samples along every axis, before preprocessing; for files that say it."""
    shape: tuple[Count, Count] | None = None
    """Least and most samples along every axis, before preprocessing."""
    extent_mm: tuple[Positive, Positive] | None = None
    """Least and most mm that an image covers along every axis (samples x spacing); for files that say their spacing."""
    looks: dict[str, tuple[Finite, Finite]] = {}
    """Least and most of what `wsi.read.looks` measures: an image outside is of another kind."""
    preprocess: list[Step] = []
    step: Annotated[list[Positive], Field(min_length=2, max_length=3)] | None = None
    """What lies between two samples after preprocessing, to 0.5 %; None: it isn't asked."""
    window: Annotated[list[Side], Field(min_length=2, max_length=3)] | None = None
    """Samples of a window along each axis; None: the whole image is one."""
    overlap: Annotated[float, Field(ge=0.0, lt=0.95)] = 0.0
    pad: Finite | None = 0.0
    """Value beyond the end of an image smaller than a window; None repeats the last sample."""
    foreground: Foreground = "all"
    """Where windows may lie."""
    min_foreground: Share = 0.1
    """Least share of a window that must be foreground."""

    @property
    def told(self) -> str:
        """What the model eats, in words."""
        codes = f" (DICOM {', '.join(self.modality)})" if self.modality else ""
        window = f"windows of {' x '.join(map(str, self.window))}" if self.window else "whole"
        return f"{'pictures' if self.axes == 2 else 'volumes'} of {' '.join(self.channels)}{codes}, {window}"

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for name, found in (("step", self.step), ("window", self.window)):
            if found is not None and len(found) != self.axes:
                raise ValueError(f"{name} has one number an axis, {self.axes}, found {len(found)}")
        for name, (low, high) in self.looks.items():
            if low > high:
                raise ValueError(f"looks.{name}: least {low} is above most {high}")
        for bounds in (self.spacing_mm, self.shape, self.extent_mm):
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError(f"least {bounds[0]} is above most {bounds[1]}")
        return self


def check_flips(flips: Sequence[int], axes: int) -> None:
    """Raise UsageError unless images of so many axes can be mirrored along these."""
    if len(set(flips)) < len(flips) or max(flips, default=0) >= axes:
        raise UsageError(f"flips names each of the axes 0 to {axes - 1} at most once, found {list(flips)}")


class Network(FromYaml):
    """What a dense network is built from."""

    architecture: Literal["unet"]
    axes: Literal[2, 3]
    channels: Annotated[int, Field(ge=1, le=64)]
    """Of the image after preprocessing."""
    classes: Annotated[int, Field(ge=2, le=256)]
    """The background, which is class 0, counts."""
    widths: Annotated[list[Annotated[int, Field(ge=1, le=1024)]], Field(min_length=1, max_length=8)]
    """Channels of each level, the finest first; each has half the px of the one above."""
    stem: Annotated[int, Field(ge=1, le=4)] = 1
    """Px along each axis that the first layer takes together."""
    members: Annotated[int, Field(ge=1, le=16)] = 1
    """Networks of this shape that vote; what is said is the mean."""
    flips: list[Annotated[int, Field(ge=0, le=2)]] = []
    """Axes along which the image is also read mirrored; what is said is the mean."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        check_flips(self.flips, self.axes)
        return self

    @property
    def multiple(self) -> int:
        """Sizes of windows are multiples of this along every axis."""
        return self.stem << (len(self.widths) - 1)


class Structure(FromYaml):
    """One class of a mask; the first of the card is label 1."""

    name: str
    color: Color
    code: str | None = None
    """A terminology's code, e.g. SCT:61685007."""
    meaning: str | None = None
    """What the code means there."""
    unit: Literal["px", "mm2", "ml", "share"] = "px"
    """Of the amount that is told: ml of a volume; mm2 of a picture whose file says its spacing, px of others; share is
    that of the foreground."""
    usual: tuple[Finite, Finite] | None = None
    """Least and most amount that the model was tested on; outside a person is asked to look."""


def check_units(structures: Sequence[Structure], axes: int) -> None:
    """Raise UsageError for an amount in a unit that images of so many axes don't have."""
    kind, wrong, right = ("pictures", "ml", "mm2") if axes == 2 else ("volumes", "mm2", "ml")
    stray = [one.name for one in structures if one.unit == wrong]
    if stray:
        raise UsageError(f"{', '.join(stray)}: an amount in {wrong}, but {kind} are told in px, {right} or share")


class LargestComponent(FromYaml):
    """Keep the largest connected piece of each of these structures, [] of all."""

    op: Literal["largest-component@1"]
    structures: list[str] = []


class LeastSize(FromYaml):
    """Drop connected pieces of fewer samples."""

    op: Literal["least-size@1"]
    samples: Count
    structures: list[str] = []


class Fill(FromYaml):
    """Fill holes of a structure that nothing else reaches into."""

    op: Literal["fill@1"]
    structures: list[str] = []


class InsideRoundView(FromYaml):
    """Drop what lies outside of a picture's round field of view, and pieces that lie along its edge as a whole.

    Vessels and the like that reach further in stay up to the edge. A picture without a round view stays as it is.
    """

    op: Literal["inside-round-view@1"]
    margin: Annotated[float, Field(ge=0.0, lt=1.0)]
    """How far from the edge a piece must reach, as a share of the radius."""
    structures: list[str] = []


Postprocess = Annotated[LargestComponent | LeastSize | Fill | InsideRoundView, Field(discriminator="op")]


class MaskSelftest(FromYaml):
    """A small example and how many samples of each structure it must give."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+\.safetensors$")]
    """safetensors with image (C, *shape), as it is after preprocessing."""
    samples: list[Annotated[int, Field(ge=0)]]
    tolerance: Annotated[float, Field(gt=0.0, le=0.05)] = 0.01
    """Share of the image's samples that may differ."""
