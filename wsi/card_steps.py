"""The closed list of steps from an image as it is read to what a network sees: names with a version, and numbers.

A step of another meaning gets another version: a card keeps saying what its network was trained on. What each does is
in `wsi.preprocess`; this side is only what a card may say.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wsi.card_head import Count, Finite, FromYaml
from wsi.config import Positive, Share

__all__ = [
    "Clahe", "ClipPercentiles", "CropBorder", "CropSquare", "CropToFieldOfView", "Gray", "Invert", "LocalMean", "Normalize",
    "Orient", "Pad", "Resample", "Resize", "Scale", "Select", "ShadesOfGray", "Step", "Window", "ZScore",
]  # fmt: skip

Order = Annotated[int, Field(ge=0, le=3)]


class CropToFieldOfView(FromYaml):
    """Cut off the dark surround of a round field of view, and set what is left of it to `outside`."""

    op: Literal["crop-to-field-of-view@1"]
    dark: Share = 0.06
    """Share of the greatest value below which a sample is surround."""
    outside: Finite | None = None
    """What samples outside of the field of view become; None leaves them."""


class CropBorder(FromYaml):
    """Cut off this share of each side's length at both ends."""

    op: Literal["crop-border@1"]
    share: Annotated[float, Field(gt=0.0, lt=0.5)]


class CropSquare(FromYaml):
    """Keep the middle of the longer axes, as long as the shortest; the odd sample is cut off at the end."""

    op: Literal["crop-square@1"]


class Select(FromYaml):
    """Keep these channels, in this order."""

    op: Literal["select@1"]
    channels: Annotated[list[str], Field(min_length=1)]


class Gray(FromYaml):
    """R, G, B to one channel: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); one channel stays as it is."""

    op: Literal["gray@1"]


class Invert(FromYaml):
    """Each value to the greatest less the value, where the greatest is the image's own unless given."""

    op: Literal["invert@1"]
    greatest: Finite | None = None


class ShadesOfGray(FromYaml):
    """Take a color cast out: each channel over its Minkowski mean (Finlayson and Trezzi 2004); p 1 is gray world."""

    op: Literal["shades-of-gray@1"]
    p: Annotated[float, Field(ge=1.0, le=64.0)] = 6.0
    top: Positive = 255.0
    """Values are cut off above this."""


class LocalMean(FromYaml):
    """gain x (value - its local mean) + offset, inside the field of view (Graham 2015)."""

    op: Literal["local-mean@1"]
    sigma: Share = 1 / 30
    """Of the Gaussian, over the longest side."""
    gain: Finite = 4.0
    offset: Finite = 128.0
    top: Positive = 255.0


class Clahe(FromYaml):
    """Contrast-limited adaptive histogram equalization of each channel (Zuiderveld 1994)."""

    op: Literal["clahe@1"]
    tiles: Annotated[int, Field(ge=1, le=64)] = 8
    clip: Positive = 2.0
    """A bin holds at most this many times the mean."""
    top: Positive = 255.0


class Window(FromYaml):
    """Values from `low` to `high` to 0-`top`, cut off at both ends: a scanner's window, in its own units."""

    op: Literal["window@1"]
    low: Finite
    high: Finite
    top: Positive = 1.0

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} isn't below high {self.high}")
        return self


class ClipPercentiles(FromYaml):
    """As `window@1`, between two percentiles of the image's own values."""

    op: Literal["clip-percentiles@1"]
    low: Annotated[float, Field(ge=0.0, le=100.0)]
    high: Annotated[float, Field(ge=0.0, le=100.0)]
    top: Positive = 1.0
    over: Literal["all", "nonzero"] = "all"
    """Which samples the percentiles are of."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} isn't below high {self.high}")
        return self


class ZScore(FromYaml):
    """(value - mean) / standard deviation, of each channel by itself."""

    op: Literal["z-score@1"]
    over: Literal["all", "nonzero"] = "all"
    """Which samples mean and deviation are of."""


class Normalize(FromYaml):
    """(value - mean) / std by the card's own figures, one a channel."""

    op: Literal["normalize@1"]
    mean: Annotated[list[Finite], Field(min_length=1)]
    std: Annotated[list[Positive], Field(min_length=1)]


class Scale(FromYaml):
    """value x factor + offset."""

    op: Literal["scale@1"]
    factor: Finite
    offset: Finite = 0.0


class Orient(FromYaml):
    """Turn and flip the axes of a volume so that they run as `to` says, nothing resampled."""

    op: Literal["orient@1"]
    to: Annotated[str, Field(pattern=r"^[LRAPSI]{3}$")] = "RAS"


class Resample(FromYaml):
    """To this step along each axis, in the units of the image's world."""

    op: Literal["resample@1"]
    step: Annotated[list[Positive], Field(min_length=1, max_length=3)]
    order: Order = 1
    """Of the spline: 0 nearest, 1 linear, 3 cubic."""


class Resize(FromYaml):
    """To a size in samples, means where it gets smaller: `longest` and `shortest` keep the shape, `exact` doesn't."""

    op: Literal["resize@1"]
    px: Annotated[list[Count], Field(min_length=1, max_length=3)]
    """One number for longest and shortest, one an axis for exact."""
    side: Literal["longest", "shortest", "exact"] = "longest"

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.side != "exact" and len(self.px) != 1:
            raise ValueError(f"{self.side} takes one number, found {self.px}")
        return self


class Pad(FromYaml):
    """Up to a square or cube, or to a size, with the image in the middle."""

    op: Literal["pad@1"]
    px: Annotated[list[Count], Field(min_length=1, max_length=3)] | None = None
    """Least size, one number an axis; None: as long as the longest side."""
    value: Finite = 0.0


Step = Annotated[
    CropToFieldOfView
    | CropBorder
    | CropSquare
    | Select
    | Gray
    | Invert
    | ShadesOfGray
    | LocalMean
    | Clahe
    | Window
    | ClipPercentiles
    | ZScore
    | Normalize
    | Scale
    | Orient
    | Resample
    | Resize
    | Pad,
    Field(discriminator="op"),
]
