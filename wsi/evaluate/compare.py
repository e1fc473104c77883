"""Two models on the same cases: is one better, or did chance deal the cases?"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from wsi.evaluate.binary import Patients, binary, patient_index
from wsi.evaluate.bootstrap import ROUNDS, bootstrap_interval, draws
from wsi.evaluate.delong import area_covariance, auc_interval
from wsi.evaluate.figure import Figure
from wsi.evaluate.jackknife import Measure
from wsi.evaluate.roc import auc
from wsi.evaluate.survival import concordance, followed, order_pairs

_NOTHING = 1e-18
"""A variance below this is 0 but for rounding."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both figures, and first minus second. p: of a difference this large between equal models; None: not estimable."""

    first: Figure
    second: Figure
    difference: Figure
    p: float | None
    method: str


def compare_models(
    labels: ArrayLike,
    outputs: tuple[ArrayLike, ArrayLike],
    *,
    patients: Patients = None,
    method: Literal["delong", "bootstrap"] = "delong",
    measure: Measure = auc,
    alone: Measure | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Comparison:
    """Return how two models differ on the same cases.

    Args:
        labels: `(n,)` truth; for DeLong 0 and 1.
        outputs: what either model says of each case, `(n, ...)`.
        patients: `(n,)`; cases of one patient stand or fall together.
        method: delong: the AUCs, by the covariance of their placements. bootstrap: any figure, by draws of patients;
            p is that of the difference over its standard deviation among the draws.
        measure: bootstrap only: makes the figure from labels and a model's outputs.
        alone: bootstrap only: makes it with an interval, from the same and the keyword `patients`; None: by draws.

    Source: DeLong et al. 1988, eq. 5; Obuchowski 1997, eq. 9, for patients with several cases.
    """
    if method == "delong":
        return _delong(labels, outputs, patients)
    return _bootstrap(measure, alone, labels, outputs, patients, rounds, seed)


def _delong(labels: ArrayLike, outputs: tuple[ArrayLike, ArrayLike], patients: Patients) -> Comparison:
    first, second = (auc_interval(labels, scores, patients=patients) for scores in outputs)
    name, method = "AUC difference", "paired DeLong"
    if lack := _lack(first, second):
        return Comparison(first, second, Figure.not_estimable(name, lack, n=first.n, count=first.count), None, method)
    cases = [binary(labels, scores) for scores in outputs]
    owner = patient_index(patients, first.n)
    areas = area_covariance(cases[0].labels, np.stack([one.scores for one in cases]), owner)
    value, covariance = float(areas.values[0] - areas.values[1]), areas.covariance
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = Figure(name, value, n=first.n, count=first.count, patients=first.patients)
    if first.low is None:
        return Comparison(first, second, replace(difference, reason=first.reason), None, method)
    if variance < _NOTHING:
        reason = "no interval: the difference doesn't vary between these patients"
        return Comparison(first, second, replace(difference, reason=reason), None if value else 1.0, method)
    low, high, p = _normal(value, variance**0.5)
    return Comparison(first, second, replace(difference, low=low, high=high, method=method), p, method)


def compare_concordance(
    times: ArrayLike, events: ArrayLike, *, risks: tuple[ArrayLike, ArrayLike], patients: Patients = None
) -> Comparison:
    """Return how two models' Harrell's C differ on the same cases, by the influence of each patient on both.

    Source: Kang et al. 2015 for two correlated C; O'Quigley et al. 2005 for the influence.
    """
    first, second = (concordance(times, events, risk=risk, patients=patients) for risk in risks)
    name, method = "C (Harrell) difference", "influence of each patient on both"
    if first.value is None or second.value is None:
        return Comparison(first, second, Figure.not_estimable(name, _lack(first, second), n=first.n), None, method)
    cases, owner = followed(times, events), patient_index(patients, first.n)
    one, other = (order_pairs(cases, np.asarray(risk, np.float64), np.ones(first.n)) for risk in risks)
    moved = one.influence(owner) - other.influence(owner)
    held = len(moved)
    value = first.value - second.value
    difference = Figure(name, value, n=first.n, count=first.count, patients=held)
    variance = float(moved @ moved) * held / max(held - 1, 1)
    if held < 2 or variance < _NOTHING:
        reason = first.reason or "no interval: the difference doesn't vary between these patients"
        return Comparison(first, second, replace(difference, reason=reason), None if value else 1.0, method)
    low, high, p = _normal(value, variance**0.5)
    return Comparison(first, second, replace(difference, low=low, high=high, method=method), p, method)


def _bootstrap(
    measure: Measure,
    alone: Measure | None,
    labels: ArrayLike,
    outputs: tuple[ArrayLike, ArrayLike],
    patients: Patients,
    rounds: int,
    seed: int,
) -> Comparison:
    def difference(truth: ArrayLike, one: ArrayLike, other: ArrayLike) -> Figure:
        first, second = measure(truth, one), measure(truth, other)
        name = f"{first.name} difference"
        if first.value is None or second.value is None:
            return Figure.not_estimable(name, _lack(first, second), n=first.n, count=first.count)
        return Figure(name, first.value - second.value, n=first.n, count=first.count)

    method = f"paired bootstrap of patients, {rounds} draws"
    arrays = [labels, *outputs]
    first, second = (
        bootstrap_interval(measure, [labels, one], patients=patients, rounds=rounds, seed=seed)
        if alone is None
        else alone(labels, one, patients=patients)
        for one in outputs
    )
    drawn = draws(difference, arrays, patients=patients, rounds=rounds, seed=seed)
    found = bootstrap_interval(difference, arrays, patients=patients, rounds=rounds, drawn=drawn)
    if found.value is None or found.low is None:
        return Comparison(first, second, found, None, method)
    return Comparison(first, second, found, _normal(found.value, float(drawn.std(ddof=1)))[2], method)


def _lack(first: Figure, second: Figure) -> str:
    """Return why two figures can't be compared; empty when they can."""
    if first.value is not None and second.value is not None:
        return ""
    if first.reason == second.reason:
        return first.reason
    return "; ".join(
        f"{word} model: {one.reason}" for word, one in (("first", first), ("second", second)) if one.value is None
    )


def _normal(value: float, deviation: float) -> tuple[float, float, float]:
    """Return the ends of the 95 % interval and the two-sided p of a difference."""
    width = float(ndtri(0.975)) * deviation
    return max(-1.0, value - width), min(1.0, value + width), float(2 * ndtr(-abs(value) / deviation))
