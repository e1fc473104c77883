"""From held-out logits to decisions: a calibrated probability, a threshold, the cases that a person must see."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from logistic import Array, sigmoid
from metrics import Interval, Labels, calibration_error, platt, wilson
from space import Features, Sample

BAND_SHARE = 0.9
"""Least sensitivity below the referral band and least specificity above it."""
OOD_AXES = 12
OOD_SHARE = 0.975
"""Share of held-out slides of the cohort that the out-of-distribution rule lets pass."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Calibration, threshold and referral band, with what each achieved on cases left out of its choice."""

    slope: float
    start: float
    probabilities: Array
    """`(R, N)`, held-out."""
    error: float
    """Expected calibration error, each case calibrated without itself."""
    brier: float
    threshold: float
    sensitivity: Interval
    specificity: Interval
    low: float
    high: float
    referred: float
    """Share of cases inside the band."""
    sensitivity_outside: float
    specificity_outside: float


def decide(labels: Labels, logits: Array) -> Decision:
    """Return the decisions that held-out logits `(R, N)` lead to."""
    slope, start = platt(labels, logits)
    found = sigmoid(slope * logits + start)
    threshold = best_threshold(labels, found)
    hit = np.zeros(len(labels))
    honest = np.zeros(len(labels))
    for i in range(len(labels)):
        others = np.arange(len(labels)) != i
        own_slope, own_start = platt(labels[others], logits[:, others])
        own = sigmoid(own_slope * logits + own_start)
        honest[i] = own[:, i].mean()
        hit[i] = ((own[:, i] >= best_threshold(labels[others], own[:, others])) == labels[i]).mean()
    low, high = referral_band(labels, found, threshold)
    inside = (found >= low) & (found <= high)
    right = (found >= threshold) == labels
    return Decision(
        slope=slope,
        start=start,
        probabilities=found,
        error=calibration_error(labels, honest),
        brier=float(np.mean((honest - labels) ** 2)),
        threshold=threshold,
        sensitivity=wilson(float(hit[labels].sum()), int(labels.sum())),
        specificity=wilson(float(hit[~labels].sum()), int((~labels).sum())),
        low=low,
        high=high,
        referred=float(inside.mean()),
        sensitivity_outside=_share(right[:, labels], ~inside[:, labels]),
        specificity_outside=_share(right[:, ~labels], ~inside[:, ~labels]),
    )


def best_threshold(labels: Labels, probabilities: Array) -> float:
    """Return the hundredth at which sensitivity plus specificity is largest; the middle one of equals."""
    grid = np.round(np.arange(0.02, 0.99, 0.01), 2)
    hot = probabilities[..., None] >= grid  # (R, N, T)
    gain = hot[:, labels].mean(axis=(0, 1)) - hot[:, ~labels].mean(axis=(0, 1))  # (T,)
    best = np.flatnonzero(gain >= gain.max() - 1e-9)
    return float(grid[best[len(best) // 2]])


def referral_band(labels: Labels, probabilities: Array, threshold: float) -> tuple[float, float]:
    """Return the band around the threshold, outside which at most a tenth of either class lies on the wrong side."""
    low = float(np.quantile(probabilities[:, labels], 1 - BAND_SHARE))
    high = float(np.quantile(probabilities[:, ~labels], BAND_SHARE))
    return round(min(low, threshold), 2), round(max(high, threshold), 2)


def _share(right: Labels, chosen: Labels) -> float:
    return float(right[chosen].mean()) if chosen.any() else float("nan")


@dataclass(frozen=True, slots=True)
class Familiar:
    """What bags the model has seen: mean `(D,)`, axes `(K, D)`, scale `(K,)` of their mean features."""

    mean: Array
    axes: Array
    scale: Array

    def distance(self, features: Features) -> float:
        """Return the root mean square of a bag's `(N, D)` place on the axes, in standard deviations."""
        place = self.axes @ (features.mean(axis=0) - self.mean) / self.scale
        return float(np.sqrt(np.mean(place**2)))


def fit_familiar(slides: Sequence[Sample]) -> Familiar:
    """Return the principal axes of the bags' mean features under all views."""
    rows = np.concatenate([s.views.mean(axis=1) for s in slides]).astype(np.float64)  # (slides * V, D)
    mean = rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(rows - mean, full_matrices=False)
    kept = (
        axes[:OOD_AXES] * np.sign(axes[:OOD_AXES][np.arange(OOD_AXES), np.abs(axes[:OOD_AXES]).argmax(axis=1)])[:, None]
    )
    return Familiar(mean, kept, sizes[:OOD_AXES] / np.sqrt(len(rows)))


def familiar_limit(slides: Sequence[Sample]) -> tuple[float, Array]:
    """Return the limit of the distance, and each slide's distance by a rule that saw no slide of its case."""
    distances = np.zeros(len(slides))
    for group in sorted({s.bag.group for s in slides}):
        rule = fit_familiar([s for s in slides if s.bag.group != group])
        for i, sample in enumerate(slides):
            if sample.bag.group == group:
                distances[i] = rule.distance(sample.views[0])
    return round(float(np.quantile(distances, OOD_SHARE)), 2), distances
