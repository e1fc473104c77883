"""What the model draws on whole slides, by heads that saw no slide of that patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from decide import Decision
from features import embed, ready_network
from folder import Trained
from head import Head, Recipe, fit_head
from logistic import Array, sigmoid
from numpy.typing import NDArray
from slides import read_whole
from space import Sample


@dataclass(frozen=True, slots=True)
class Wanted:
    """A slide to draw: its file, the cohort's group of that patient, µm per px where the file doesn't say it."""

    file: str
    group: str
    truth: str
    mpp: float | None = None
    clot_share: float = 0.0
    """This share of the width, from the left, is blood clot; the rest is tumor."""


PICTURES = (
    Wanted("lung-scc-HE3.tiff", "lung-squamous-cell-carcinoma", "blood clot", clot_share=0.4),
    Wanted("lung-scc-HE3.tiff", "lung-squamous-cell-carcinoma", "solid tumor", clot_share=0.4),
    Wanted("lung-scc-HE2.svs", "lung-squamous-cell-carcinoma", "malignant"),
    Wanted("pdac-trucut-HE3-20x-dicom", "PDAC-tru-cut", "malignant"),
    Wanted("crohn-HE4-10x.ome.tif", "crohn-colonoscopic-biopsy", "benign (Crohn disease)"),
    Wanted("adenoma-HE-nompp.tiff", "tubularadenoma-flat", "dysplastic, not malignant; pixel size guessed", mpp=0.5),
    Wanted("CMU-1-Small-Region.svs", "", "normal skin, never seen"),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """Mean tile score, share of tiles at or above the threshold, probability of the whole slide."""

    score: float
    hot: float
    bag: float


@dataclass(frozen=True, slots=True)
class Picture:
    """What a slide, or a part of it, gets from a head that never saw the patient, and from the shipped head."""

    name: str
    truth: str
    part: bool
    tiles: int
    unseen: Reading
    shipped: Reading

    def row(self) -> str:
        """Return a line of the card's table."""
        told = (f"{r.score:.2f} | {r.hot:.0%} | {r.bag:.2f}" for r in (self.unseen, self.shipped))
        return f"| {self.name} | {self.truth} | {self.tiles} | {' | '.join(told)} |"


def draw(
    wanted: Wanted, slides: Sequence[Sample], trained: Trained, *, data: Path, weights: Path, recipe: Recipe
) -> Picture:
    """Return what a head fitted without the patient's slides, and the shipped one, say of a whole slide."""
    whole = read_whole(data / "slides" / wanted.file, mpp=wanted.mpp)
    features = embed(ready_network(weights), whole.tiles).astype(np.float64)
    left = whole.across < wanted.clot_share
    kept = left if wanted.truth == "blood clot" else ~left
    unseen = fit_head([s for s in slides if s.bag.group != wanted.group], recipe)
    name = wanted.file + (f", {wanted.truth}" if wanted.clot_share else "")
    readings = [_read(head, trained.decision, features, kept) for head in (unseen, trained.head)]
    picture = Picture(name, wanted.truth, wanted.clot_share > 0, int(kept.sum()), *readings)
    print(picture.row(), flush=True)
    return picture


def _read(head: Head, decision: Decision, features: Array, kept: NDArray[np.bool_]) -> Reading:
    scores = _probability(decision, head.tile_logits(features))[kept]
    bag = float(_probability(decision, np.asarray(head.bag_logit(features))))
    return Reading(float(scores.mean()), float(np.mean(scores >= decision.threshold)), bag)


def _probability(decision: Decision, logits: Array) -> Array:
    return sigmoid(decision.slope * logits + decision.start)
