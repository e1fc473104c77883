"""What a run says of a slide: the values that export, the report and other tools read. No torch."""

from wsi.results.case import Case, read_case
from wsi.results.image import AlsoVerdict, ClassScore, ImageFacts, Structure
from wsi.results.record import ARTIFACTS, Record, Status, TileCounts
from wsi.results.result import RESEARCH_USE, Provenance, Result, Scale, Survival, Value
from wsi.results.scores import Scores, read_scores, write_scores

__all__ = [
    "ARTIFACTS",
    "RESEARCH_USE",
    "AlsoVerdict",
    "Case",
    "ClassScore",
    "ImageFacts",
    "Provenance",
    "Record",
    "Result",
    "Scale",
    "Scores",
    "Status",
    "Structure",
    "Survival",
    "TileCounts",
    "Value",
    "read_case",
    "read_scores",
    "write_scores",
]
