"""The verdict on one slide, with all that is needed to show and to repeat it."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from wsi.config import Share, Strict
from wsi.results.image import AlsoVerdict, ClassScore, ImageFacts, Structure
from wsi.results.record import Status, TileCounts

RESEARCH_USE = "Research use only. Not for diagnosis."
OF_OTHER_IMAGES = frozenset({"image", "structures", "also"})


class Value(Strict):
    """What a model without classes says of a slide: a quantity, a log hazard or a risk."""

    name: str
    value: Annotated[float, Field(allow_inf_nan=False)]
    unit: str = ""
    low: float = 0.0
    """What a tile's own value is shown as cold at, and as hot at below."""
    high: float = 1.0

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} isn't below high {self.high}")
        return self


class Survival(Strict):
    """The share of slides like this one to which nothing has happened beyond each time."""

    event: str
    unit: str
    """Of the times."""
    times: list[float]
    shares: list[Share]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if len(self.times) != len(self.shares):
            raise ValueError(f"{len(self.times)} times and {len(self.shares)} shares")
        return self


class Scale(Strict):
    """How tiles lie on the slide. All px0 are level-0 px of the file, x to the right, y down."""

    width: int
    height: int
    bounds: Annotated[list[int], Field(min_length=4, max_length=4)]
    """x, y, width, height of the part that QuPath shows."""
    mpp_x: float
    mpp_y: float
    mpp_source: str
    tile_px: int
    tile_mpp: float
    tile_px0_x: float
    tile_px0_y: float
    """Footprint of a tile in level-0 px, exact (not rounded)."""
    stride_px0_x: float
    stride_px0_y: float


class Provenance(Strict):
    """Enough to say what made this and to make it again."""

    wsi_run: str
    slide_sha256: str
    reader: str
    model: str
    model_version: str
    model_sha256: str
    encoder: str
    encoder_sha256: str
    precision: str
    backend: str = "torch"
    """What ran the encoder."""
    key: str


class Result(Strict):
    """result.json: the verdict on one slide.

    `grade` and `confidence` are None when there is no verdict, and `reason` says why; a model without classes gives a
    `value` in their place.
    """

    slide: str
    path: str
    status: Status
    code: str = ""
    reason: str = ""
    classes: list[ClassScore] = []
    positive: str | None = None
    """The class whose tile scores the heatmap shows."""
    grade: str | None = None
    labels: list[str] = []
    """Of a model whose labels don't exclude each other: those the slide got; `grade` names them all."""
    confidence: Share | None = None
    value: Value | None = None
    survival: Survival | None = None
    refer: bool = True
    refer_reason: str = ""
    flags: list[str] = []
    """Short names: blur, pen, fold, bubble, stain, out-of-distribution, unreadable-tiles, few-tiles."""
    quality: dict[str, float] = {}
    """Share of the tissue that each flaw takes, 0-1."""
    tissue_mm2: float = 0.0
    tiles: TileCounts = TileCounts()
    threshold: Share | None = None
    """Positive probability at and above which the grade is the positive class."""
    out_of_distribution: float | None = None
    """Distance to the training data over the model's limit; above 1 is outside."""
    scale: Scale | None = None
    image: ImageFacts | None = None
    """Of an image that was read whole; None for a slide."""
    structures: list[Structure] = []
    """Of a model that marks structures."""
    also: list[AlsoVerdict] = []
    """What else the model says of the image."""
    provenance: Provenance | None = None
    notice: Literal["Research use only. Not for diagnosis."] = "Research use only. Not for diagnosis."

    @model_serializer(mode="wrap")
    def _without_what_slides_lack(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return the fields, without those of other images where they are empty: a slide's JSON stays as it was."""
        told: dict[str, Any] = dump(self)
        return {key: value for key, value in told.items() if value or key not in OF_OTHER_IMAGES}

    @property
    def has_verdict(self) -> bool:
        """Whether a model says something of the slide."""
        return self.grade is not None or self.value is not None or bool(self.structures)

    @property
    def is_positive(self) -> bool:
        """Whether the slide is of the positive class, or has its label."""
        return self.positive is not None and (self.grade == self.positive or self.positive in self.labels)
