"""The verdict on one slide, with all that is needed to show and to repeat it."""

from typing import Annotated, Literal

from pydantic import Field

from wsi.config import Share, Strict
from wsi.results.record import Status, TileCounts

RESEARCH_USE = "Research use only. Not for diagnosis."


class ClassScore(Strict):
    """One class of the model and what this slide got for it."""

    name: str
    color: Annotated[list[int], Field(min_length=3, max_length=3)]
    probability: Share


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
    key: str


class Result(Strict):
    """result.json: the verdict on one slide.

    `probability`, `grade` and `confidence` are None when there is no verdict; `reason` says why.
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
    confidence: Share | None = None
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
    provenance: Provenance | None = None
    notice: Literal["Research use only. Not for diagnosis."] = "Research use only. Not for diagnosis."
