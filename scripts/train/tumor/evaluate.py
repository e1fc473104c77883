"""Honest figures: cross-validation by case, shifted splits, calibration, intervals."""

from collections.abc import Callable, Sequence

import numpy as np
from head import Head, Recipe, fit_head
from logistic import fit_logistic, sigmoid
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from space import Array, Sample

Labels = NDArray[np.bool_]
SHIFTED = (1, 4, 6)
"""Views that stand for another stain, scale and focus."""


def folds(slides: Sequence[Sample], *, count: int, seed: int) -> NDArray[np.int64]:
    """Return a fold a slide: cases stay whole and malignant ones are spread evenly."""
    rng = np.random.default_rng(seed)
    malignant: dict[str, bool] = {}
    for sample in slides:
        malignant[sample.bag.group] = malignant.get(sample.bag.group, False) or sample.bag.malignant
    place: dict[str, int] = {}
    for label in (False, True):
        groups = sorted(group for group, found in malignant.items() if found == label)
        place.update({groups[i]: n % count for n, i in enumerate(rng.permutation(len(groups)))})
    return np.array([place[sample.bag.group] for sample in slides])


def held_out(
    slides: Sequence[Sample],
    tiles: Sequence[Sample],
    split: NDArray[np.int64],
    *,
    recipe: Recipe,
    score: Callable[[Head, Sample], Array],
) -> list[Array]:
    """Return each slide's score by a head that saw no slide of its part of the split."""
    found: dict[int, Array] = {}
    for part in np.unique(split):
        head = fit_head([s for s, at in zip(slides, split, strict=True) if at != part], tiles, recipe)
        found.update({i: score(head, slides[i]) for i in np.flatnonzero(split == part)})
    return [found[i] for i in range(len(slides))]


def auc(labels: Labels, scores: Array) -> float:
    """Return the area under the ROC curve; ties count half."""
    ranks, positives = rankdata(scores), int(labels.sum())
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives)))


def delong(labels: Labels, scores: Array) -> tuple[float, float, float]:
    """Return the AUC and its 95 % interval, on the logit scale. Source: DeLong et al. 1988."""
    positive, negative = scores[labels], scores[~labels]
    above = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)  # (P, N)
    area = float(above.mean())
    variance = above.mean(axis=1).var(ddof=1) / len(positive) + above.mean(axis=0).var(ddof=1) / len(negative)
    clipped = min(max(area, 1e-3), 1 - 1e-3)
    center, width = np.log(clipped / (1 - clipped)), norm.ppf(0.975) * np.sqrt(variance) / (clipped * (1 - clipped))
    low, high = sigmoid(np.array([center - width, center + width]))
    return area, float(low), float(high)


def by_case(slides: Sequence[Sample], scores: Array) -> tuple[Labels, Array]:
    """Return label and mean score of each case (group of slides that may be one patient) and label."""
    keys = sorted({(s.bag.group, s.bag.malignant) for s in slides})
    at = {key: [i for i, s in enumerate(slides) if (s.bag.group, s.bag.malignant) == key] for key in keys}
    return np.array([key[1] for key in keys]), np.array([scores[at[key]].mean() for key in keys])


def platt(labels: Labels, logits: Array) -> tuple[float, float]:
    """Return slope and intercept that make `logits` log odds, each class's count smoothed. Source: Platt 1999."""
    positives, negatives = int(labels.sum()), int((~labels).sum())
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    slope, start = fit_logistic(logits[:, None], targets, weights=np.ones(len(logits)), ridge=1e-3)
    return max(float(slope[0]), 0.05), start


def calibration_error(labels: Labels, probabilities: Array, *, bins: int = 5) -> float:
    """Return the expected calibration error over bins of equal count."""
    parts = np.array_split(np.argsort(probabilities, kind="stable"), bins)
    gaps = [len(p) * abs(labels[p].mean() - probabilities[p].mean()) for p in parts]
    return float(sum(gaps) / len(labels))


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share. Source: Wilson 1927."""
    z = norm.ppf(0.975)
    share, root = hits / n, z * np.sqrt(hits / n * (1 - hits / n) / n + z**2 / (4 * n**2))
    return float((share + z**2 / (2 * n) - root) / (1 + z**2 / n)), float(
        (share + z**2 / (2 * n) + root) / (1 + z**2 / n)
    )
