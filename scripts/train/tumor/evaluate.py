"""Honest figures: every slide scored by heads that saw no slide of its case, as it is and as another laboratory's."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from logistic import Array
from metrics import Interval, Labels, bootstrap, delong
from numpy.typing import NDArray
from space import Features, Sample

Split = NDArray[np.int64]
"""`(N,)`, a part a slide; the slides of a part are scored by a head fitted to the others."""
Score = Callable[[Features], Array]
"""Features `(..., N, D)` of bags to their logits `(...,)`."""
Fit = Callable[[Sequence[Sample]], Score]


def folds(slides: Sequence[Sample], *, count: int, seed: int) -> Split:
    """Return a fold a slide: cases stay whole and malignant ones are spread evenly."""
    rng = np.random.default_rng(seed)
    malignant = {s.bag.group: False for s in slides}
    for sample in slides:
        malignant[sample.bag.group] |= sample.bag.malignant
    place: dict[str, int] = {}
    for label in (False, True):
        groups = sorted(group for group, found in malignant.items() if found == label)
        place.update({groups[i]: (n + len(place)) % count for n, i in enumerate(rng.permutation(len(groups)))})
    return np.array([place[sample.bag.group] for sample in slides])


def parts(slides: Sequence[Sample], trait: Callable[[Sample], object]) -> Split:
    """Return a part a slide, by a trait; a case with slides of two parts goes whole to the first it is met in."""
    names = sorted({str(trait(s)) for s in slides})
    place: dict[str, int] = {}
    for sample in slides:
        place.setdefault(sample.bag.group, names.index(str(trait(sample))))
    return np.array([place[sample.bag.group] for sample in slides])


def split_digest(slides: Sequence[Sample], splits: Sequence[Split]) -> str:
    """Return a sha256 over which slide was held out when."""
    lines = [f"{s.bag.id} {' '.join(str(split[i]) for split in splits)}\n" for i, s in enumerate(slides)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Logits of cases by heads that saw none of their slides.

    labels `(N,)`; clean `(R, N)`, a row a repeat; shifted `(R, S, N)`, the cases in another laboratory's colors and
    at another scale.
    """

    labels: Labels
    clean: Array
    shifted: Array

    @property
    def auc(self) -> Interval:
        return delong(self.labels, self.clean)

    @property
    def auc_by_bootstrap(self) -> Interval:
        return bootstrap(self.labels, self.clean)

    @property
    def auc_shifted(self) -> Interval:
        """The mean over the shifts."""
        return delong(self.labels, self.shifted.reshape(-1, self.shifted.shape[-1]))


def held_out(slides: Sequence[Sample], splits: Sequence[Split], fit: Fit) -> HeldOut:
    """Score each slide, once a split, by a head that saw no slide of its part."""
    logits = np.array([_one_split(slides, split, fit) for split in splits])  # (R, 1 + S, slides)
    labels, at = cases(slides)
    by_case = np.stack([logits[..., places].mean(axis=-1) for places in at], axis=-1)  # (R, 1 + S, N)
    return HeldOut(labels, by_case[:, 0], by_case[:, 1:])


def _one_split(slides: Sequence[Sample], split: Split, fit: Fit) -> Array:
    logits = np.empty((1 + len(slides[0].shifted), len(slides)))
    for part in np.unique(split):
        score = fit([s for s, at in zip(slides, split, strict=True) if at != part])
        for i in np.flatnonzero(split == part).tolist():
            logits[:, i] = score(np.concatenate([slides[i].views[:1], slides[i].shifted]))
    return logits


def cases(slides: Sequence[Sample]) -> tuple[Labels, list[list[int]]]:
    """Return label and places in `slides` of each case: slides of one group that may be one patient, and one label."""
    keys = sorted({(s.bag.group, s.bag.malignant) for s in slides})
    at = [[i for i, s in enumerate(slides) if (s.bag.group, s.bag.malignant) == key] for key in keys]
    return np.array([key[1] for key in keys]), at
