"""Figures for a few dozen cases, each with its interval."""

from dataclasses import dataclass

import numpy as np
from logistic import Array, fit_logistic, sigmoid
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Labels = NDArray[np.bool_]
Z95 = float(norm.ppf(0.975))


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def auc(labels: Labels, scores: Array) -> float:
    """Return the area under the ROC curve; ties count half."""
    ranks, positives = rankdata(scores), int(labels.sum())
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives)))


def delong(labels: Labels, scores: Array) -> Interval:
    """Return the AUC over repeats, its interval on the logit scale from the placements' mean over the repeats.

    Args:
        labels: `(N,)`.
        scores: `(R, N)`, a row a repeat of the cross-validation; repeats are no new cases and don't narrow the interval.

    Source: DeLong et al. 1988.
    """
    positive, negative = scores[:, labels, None], scores[:, None, ~labels]
    above = ((positive > negative) + 0.5 * (positive == negative)).mean(axis=0)  # (P, M)
    area = float(above.mean())
    variance = above.mean(axis=1).var(ddof=1) / above.shape[0] + above.mean(axis=0).var(ddof=1) / above.shape[1]
    clipped = min(max(area, 1e-3), 1 - 1e-3)
    center, width = np.log(clipped / (1 - clipped)), Z95 * np.sqrt(variance) / (clipped * (1 - clipped))
    low, high = sigmoid(np.array([center - width, center + width]))
    return Interval(area, float(low), float(high))


def bootstrap(labels: Labels, scores: Array, *, rounds: int = 2000, seed: int = 0) -> Interval:
    """Return the mean AUC over the rows of `scores` `(R, N)`, its interval by drawing cases of each class anew."""
    rng = np.random.default_rng(seed)
    positive, negative = scores[:, labels, None], scores[:, None, ~labels]
    above = ((positive > negative) + 0.5 * (positive == negative)).mean(axis=0)  # (P, M)
    drawn = [
        above[np.ix_(rng.integers(0, len(above), len(above)), rng.integers(0, above.shape[1], above.shape[1]))].mean()
        for _ in range(rounds)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(above.mean()), float(low), float(high))


def wilson(hits: float, n: int) -> Interval:
    """Return a share and its interval. Source: Wilson 1927."""
    share, root = hits / n, Z95 * np.sqrt(hits / n * (1 - hits / n) / n + Z95**2 / (4 * n**2))
    low, high = ((share + Z95**2 / (2 * n) + sign * root) / (1 + Z95**2 / n) for sign in (-1, 1))
    return Interval(share, float(low), float(high))


def platt(labels: Labels, logits: Array) -> tuple[float, float]:
    """Return slope and intercept that make `logits` `(R, N)` log odds, each class's count smoothed.

    Source: Platt 1999.
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    repeats = len(logits)
    slope, start = fit_logistic(
        logits.reshape(-1, 1),
        np.tile(targets, repeats),
        weights=np.full(logits.size, 1 / repeats),
        ridge=1e-3,
    )
    return max(float(slope[0]), 0.05), start


def calibration_error(labels: Labels, probabilities: Array, *, bins: int = 5) -> float:
    """Return the expected calibration error over bins of equal count."""
    parts = np.array_split(np.argsort(probabilities, kind="stable"), bins)
    gaps = [len(p) * abs(labels[p].mean() - probabilities[p].mean()) for p in parts]
    return float(sum(gaps) / len(labels))
