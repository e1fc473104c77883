"""How well scores rank positive cases above negative ones: AUC, the ROC and PR curves, average precision."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.binary import Binary, Floats, binary
from wsi.evaluate.figure import Figure
from wsi.evaluate.ranks import mean_ranks


@dataclass(frozen=True, slots=True)
class Curve:
    """Points `(k,)` of a curve, x rising; empty where `reason` says why there is none."""

    x: Floats
    y: Floats
    thresholds: Floats
    """Score at or above which a case is called positive at that point; inf: none is."""
    reason: str = ""


def auc(labels: ArrayLike, scores: ArrayLike) -> Figure:
    """Return the area under the ROC curve: the share of pairs in the right order, ties one half.

    Source: Hanley and McNeil 1982; the Mann-Whitney statistic by ranks.
    """
    cases = binary(labels, scores)
    if cases.reason:
        return cases.no("AUC")
    return Figure("AUC", area(cases), n=cases.n, count=cases.positives)


def area(cases: Binary) -> float:
    """Return the AUC of checked cases."""
    ranks, positives = mean_ranks(cases.scores), cases.positives
    above = ranks[cases.labels].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (cases.n - positives)))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> Figure:
    """Return the area under the precision-recall curve by steps (no interpolation): sum of (R_k - R_k-1) P_k.

    A model that knows nothing gets the share of positive cases.
    """
    cases = binary(labels, scores)
    if cases.reason:
        return cases.no("AUPRC")
    hits, called = _counts(cases)[:2]
    recall = hits / cases.positives
    value = float(np.sum(np.diff(recall, prepend=0.0) * hits / called))
    return Figure("AUPRC", value, n=cases.n, count=cases.positives)


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Return 1 - specificity (x) and sensitivity (y) at every score, from (0, 0) to (1, 1)."""
    cases = binary(labels, scores)
    if cases.reason:
        return _none(cases.reason)
    hits, called, thresholds = _counts(cases)
    false = called - hits
    return Curve(
        np.concatenate([[0.0], false / (cases.n - cases.positives)]),
        np.concatenate([[0.0], hits / cases.positives]),
        np.concatenate([[np.inf], thresholds]),
    )


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Return recall (x) and precision (y) at every score, the strictest threshold first."""
    cases = binary(labels, scores)
    if cases.reason:
        return _none(cases.reason)
    hits, called, thresholds = _counts(cases)
    return Curve(hits / cases.positives, hits / called, thresholds)


def _counts(cases: Binary) -> tuple[Floats, Floats, Floats]:
    """Return true positives, all positives called, and the threshold, at each distinct score from the highest down."""
    order = np.argsort(-cases.scores, kind="stable")
    scores = cases.scores[order]
    last = np.append(scores[1:] != scores[:-1], True)
    hits = np.cumsum(cases.labels[order])[last].astype(np.float64)
    return hits, np.flatnonzero(last).astype(np.float64) + 1, scores[last]


def _none(reason: str) -> Curve:
    return Curve(np.empty(0), np.empty(0), np.empty(0), reason)
