"""What a result says of an image that was read whole, and the structures and further verdicts of its model."""

from typing import Annotated, Literal

from pydantic import Field

from wsi.config import Share, Strict
from wsi.printable import figure

Color = Annotated[list[int], Field(min_length=3, max_length=3)]


class ClassScore(Strict):
    """One class of the model and what this slide or image got for it."""

    name: str
    color: Color
    probability: Share


class ImageFacts(Strict):
    """The image as it was read."""

    format: str
    axes: list[str]
    shape: list[int]
    """Samples along each axis."""
    unit: str
    steps: list[float]
    """Of `unit` between two samples, along each axis."""
    channels: list[str]
    modality: str = ""
    """DICOM's code; "" where the file says none."""
    findings: list[str] = []
    """What was noticed while it was read."""
    window: list[float] = []
    """Of a picture cut into several windows: height and width of one, in px as read."""
    explained: str = ""
    """What heat above 0 in explanation.png speaks for; "" where there is none."""

    @property
    def told(self) -> str:
        """The image in a few words: 4288 x 2848 px."""
        size = " x ".join(map(str, reversed(self.shape) if len(self.shape) == 2 else self.shape))
        if self.unit != "mm":
            return f"{size} px"
        return f"{size} samples of {' x '.join(f'{step:.3g}' for step in self.steps)} mm"


class Structure(Strict):
    """One structure of a mask, and how much of it there is."""

    name: str
    color: Color
    code: str | None = None
    meaning: str | None = None
    samples: Annotated[int, Field(ge=0)]
    """Samples of the image as it was read."""
    amount: float
    unit: Literal["px", "mm2", "ml", "share"]
    share_of: Literal["image", "field of view", "body"] = "image"
    """What the amount is a share of, where its unit is share."""

    @property
    def told_unit(self) -> str:
        return {"px": "px", "mm2": "mm²", "ml": "ml", "share": f"of the {self.share_of}"}[self.unit]

    @property
    def told(self) -> str:
        """The amount as people read it."""
        if self.unit != "share":
            return f"{figure(self.amount, 4)} {self.told_unit}"
        return f"{self.amount * 100:.2g}%" if 0 < self.amount < 0.001 else f"{self.amount:.1%}"


class AlsoVerdict(Strict):
    """A second thing that the model says of the image."""

    name: str
    title: str
    classes: list[ClassScore]
    positive: str
    grade: str
    labels: list[str] = []
    confidence: Share
    threshold: Share | None = None
    refer: bool = False
    refer_reason: str = ""
