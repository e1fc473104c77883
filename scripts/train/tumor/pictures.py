"""What the model draws on whole slides, by heads that saw no slide of that patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from decide import Decision
from features import embed, ready_network
from folder import Trained
from head import Recipe, fit_head
from logistic import Array, sigmoid
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
class Picture:
    """What came out: mean tile score, share of tiles at or above the threshold, probability of the whole slide."""

    name: str
    truth: str
    part: bool
    score: float
    hot: float
    bag: float
    tiles: int

    def row(self) -> str:
        """Return a line of the card's table."""
        return f"| {self.name} | {self.truth} | {self.score:.2f} | {self.hot:.0%} of {self.tiles} | {self.bag:.2f} |"


def draw(
    wanted: Wanted, slides: Sequence[Sample], trained: Trained, *, data: Path, weights: Path, recipe: Recipe
) -> Picture:
    """Return what a head fitted without the patient's slides says of a whole slide, calibrated as the shipped one."""
    head = fit_head([s for s in slides if s.bag.group != wanted.group], recipe)
    whole = read_whole(data / "slides" / wanted.file, mpp=wanted.mpp)
    features = embed(ready_network(weights), whole.tiles).astype(np.float64)
    scores = _probability(trained.decision, head.tile_logits(features))
    bag = float(_probability(trained.decision, np.asarray(head.bag_logit(features))))
    left = whole.across < wanted.clot_share
    kept = left if wanted.truth == "blood clot" else ~left
    name = wanted.file + (f", {wanted.truth}" if wanted.clot_share else "")
    found = scores[kept]
    print(f"{name}: mean score {found.mean():.3f}, hot {np.mean(found >= trained.decision.threshold):.2f}", flush=True)
    hot = float(np.mean(found >= trained.decision.threshold))
    return Picture(name, wanted.truth, wanted.clot_share > 0, float(found.mean()), hot, bag, len(found))


def _probability(decision: Decision, logits: Array) -> Array:
    return sigmoid(decision.slope * logits + decision.start)
