"""What a run says of a slide: the values that export, the report and other tools read. No torch."""

from wsi.results.case import Case, read_case
from wsi.results.decisions import (
    HEAD,
    LOG,
    REVIEW,
    Decision,
    Stage,
    Verdict,
    last_words,
    parse_decision,
    read_decisions,
    sealed,
)
from wsi.results.image import AlsoVerdict, ClassScore, ImageFacts, Structure
from wsi.results.record import ARTIFACTS, SEGMENTATION, Record, Status, TileCounts
from wsi.results.result import RESEARCH_USE, Provenance, Result, Scale, Survival, Value
from wsi.results.scores import Scores, read_scores, write_scores

__all__ = [
    "ARTIFACTS",
    "HEAD",
    "LOG",
    "RESEARCH_USE",
    "REVIEW",
    "SEGMENTATION",
    "AlsoVerdict",
    "Case",
    "ClassScore",
    "Decision",
    "ImageFacts",
    "Provenance",
    "Record",
    "Result",
    "Scale",
    "Scores",
    "Stage",
    "Status",
    "Structure",
    "Survival",
    "TileCounts",
    "Value",
    "Verdict",
    "last_words",
    "parse_decision",
    "read_case",
    "read_decisions",
    "read_scores",
    "sealed",
    "write_scores",
]
