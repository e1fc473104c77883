"""What the decoder process says of an image that it has read whole."""

import numpy as np
from numpy.typing import NDArray

from wsi.config import Strict
from wsi.field import Axis, Field
from wsi.geometry import Circle
from wsi.results import ImageFacts


class Grid(Strict):
    """Where the samples of a field lie, as it crosses a process border."""

    axes: list[str]
    unit: str
    steps: list[float]
    shape: list[int]
    affine: list[list[float]]
    channels: list[str]

    @classmethod
    def of(cls, field: Field) -> "Grid":
        return cls(
            axes=[axis.name for axis in field.axes],
            unit=field.axes[0].unit,
            steps=list(field.steps),
            shape=list(field.shape),
            affine=field.affine.tolist(),
            channels=list(field.channels),
        )

    def filled(self, values: NDArray[np.generic]) -> Field:
        """Return the field of values `(C, *shape)` on this grid."""
        axes = tuple(Axis(name, self.unit, step) for name, step in zip(self.axes, self.steps, strict=True))
        return Field(values, axes, np.array(self.affine, np.float64), tuple(self.channels))

    def empty(self) -> Field:
        """Return the field without its values, zeros that take no memory."""
        return self.filled(np.broadcast_to(np.zeros((), np.uint8), (len(self.channels), *self.shape)))


class FieldFacts(Strict):
    """An image in plain numbers: as it was read, and after the card's preprocessing."""

    reader: str
    """The format it was read from."""
    modality: str
    bits: int
    spacing: list[float] | None
    findings: list[str]
    looks: dict[str, float]
    read: Grid
    prepared: Grid
    round_view: list[float] | None
    """Row, column and radius of a round field of view, in px as read; None where there is none."""
    foreground: float
    """Share of the samples as read that are foreground."""

    @property
    def circle(self) -> Circle | None:
        """The round field of view, if there is one."""
        return None if self.round_view is None else Circle(*self.round_view)

    @property
    def image(self) -> ImageFacts:
        return ImageFacts(
            format=self.reader,
            axes=self.read.axes,
            shape=self.read.shape,
            unit=self.read.unit,
            steps=self.read.steps,
            channels=self.read.channels,
            modality=self.modality,
            findings=self.findings,
        )
