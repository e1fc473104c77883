"""Does something trivial tell the label as well as a model would? Then a model may learn that, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from wsi.evaluate import Figure, auc_interval, bootstrap_interval, concordance, spearman
from wsi.train.cohort import Cohort
from wsi.train.labels import Target
from wsi.train.logistic import fit_linear, fit_logistic
from wsi.train.splits import make_splits

WARN_ABOVE = 0.65
"""Area (or share of pairs in order) from which on a trait is a warning, if chance is below its interval."""
ROUNDS = 500
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Probe:
    """How well one trait tells one target (or one class of it), by patients it wasn't fitted on."""

    trait: str
    target: str
    figure: Figure
    warns: bool


def probe_traits(
    cohort: Cohort, traits: Mapping[str, Floats], *, folds: int = 5, seed: int = 0, warn_above: float = WARN_ABOVE
) -> list[Probe]:
    """Fit a regression on each trait's values, their squares and products, cross-validated by patient.

    Classes and findings: logistic regression and the AUC of each class against the rest. Measured values: ridge
    regression and Spearman's rank correlation. Survival: ridge regression on martingale residuals (Therneau et al.
    1990) and the concordance.

    Args:
        traits: `(cases, values)` by name, rows in the order of the cohort; a case with NaN is left out. The site is
            added where the cohort has several.

    Raises:
        LabelsError: too few patients.
    """
    splits = make_splits(cohort, folds=folds, seed=seed, validation=0)
    tests = [np.array(fold.test, np.int64) for fold in splits.folds]
    patients = np.array([case.patient for case in cohort.cases])
    site = site_trait(cohort)
    found = []
    for target in cohort.targets:
        labels = cohort.labels(target.name)
        for trait, values in (traits if site is None else {**traits, "site": site}).items():
            figures = (
                _figures(target, labels, squared(values), tests, patients)
                if _varies(values)
                else [(target.name, Figure.not_estimable("AUC", "the same for all cases", n=len(values)))]
            )
            found += [Probe(trait, name, figure, _warns(figure, warn_above, target)) for name, figure in figures]
    return found


def _varies(values: Floats) -> bool:
    known = values[np.isfinite(values).all(axis=1)]
    return len(known) > 1 and bool((np.ptp(known, axis=0) > 0).any())


def squared(values: Floats) -> Floats:
    """Return `(n, F)` with all squares and products of two columns added; of more than 12 columns none."""
    count = values.shape[1]
    if count > 12:
        return values
    pairs = combinations_with_replacement(range(count), 2)
    scaled = (values - np.nanmean(values, axis=0)) if len(values) else values
    return np.column_stack([scaled, *(scaled[:, a] * scaled[:, b] for a, b in pairs)])


def site_trait(cohort: Cohort) -> Floats | None:
    """Return `(cases, sites)` of 0 and 1; None where there are fewer than two sites, or as many as patients."""
    names = sorted({case.site for case in cohort.cases if case.site is not None})
    if not 1 < len(names) < len({case.patient for case in cohort.cases}):
        return None
    return np.array([[float(case.site == name) for name in names] for case in cohort.cases])


def _figures(
    target: Target, labels: Floats, rows: Floats, tests: Sequence[NDArray[np.int64]], patients: NDArray[np.str_]
) -> list[tuple[str, Figure]]:
    whole = np.asarray(np.isfinite(rows).all(axis=1))
    if target.kind == "multilabel":
        columns = [(f"{target.name}={name}", labels[:, at], 2) for at, name in enumerate(target.classes)]
    elif target.kind in ("regression", "survival"):
        known = np.isfinite(np.column_stack([rows, labels])).all(axis=1)
        scores = _measured(target, labels, rows, tests, np.asarray(known))
        return [(target.name, _measured_figure(target, labels, scores, patients))]
    else:
        columns = [(target.name, labels[:, 0], len(target.classes))]
    found = []
    for name, classes, count in columns:
        scores = _classified(classes, rows, tests, whole & ~np.isnan(classes), count)
        for at in range(1, 2) if count == 2 else range(count):
            title = name if count == 2 else f"{name}={target.classes[at]}"
            done = np.isfinite(scores[:, at])
            figure = auc_interval((classes[done] == at).astype(int), scores[done, at], patients=patients[done])
            found.append((title, figure))
    return found


def _classified(
    classes: Floats, rows: Floats, tests: Sequence[NDArray[np.int64]], known: NDArray[np.bool_], count: int
) -> Floats:
    """Return `(n, count)` probabilities by folds that a case isn't in; NaN where it has no label or trait."""
    scores = np.full((len(rows), count), np.nan)
    for test in tests:
        train = known.copy()
        train[test] = False
        wanted = classes[train].astype(np.int64)
        test = test[known[test]]
        if len(test) and len(np.unique(wanted)) > 1:
            scores[test] = fit_logistic(rows[train], wanted, count=count)(rows[test])
    return scores


def _measured(
    target: Target, labels: Floats, rows: Floats, tests: Sequence[NDArray[np.int64]], known: NDArray[np.bool_]
) -> Floats:
    scores = np.full(len(rows), np.nan)
    for test in tests:
        train = known.copy()
        train[test] = False
        values = martingale_residuals(labels[train]) if target.kind == "survival" else labels[train, 0]
        test = test[known[test]]
        if len(test) and train.sum() > 1:
            scores[test] = fit_linear(rows[train], values)(rows[test])
    return scores


def martingale_residuals(labels: Floats) -> Floats:
    """Return events less the Nelson-Aalen estimate of how many were due by each time; labels `(n, 2)` time, event.

    Source: Therneau, Grambsch and Fleming 1990, of a model without covariates.
    """
    times, events = labels[:, 0], labels[:, 1]
    steps = np.unique(times)
    at_risk = (times[None] >= steps[:, None]).sum(axis=1)
    died = ((times[None] == steps[:, None]) & (events[None] == 1)).sum(axis=1)
    due: Floats = np.cumsum(died / at_risk)[np.searchsorted(steps, times)]
    residuals: Floats = events - due
    return residuals


def _measured_figure(target: Target, labels: Floats, scores: Floats, patients: NDArray[np.str_]) -> Figure:
    done = np.isfinite(scores)
    if target.kind == "survival":
        return concordance(labels[done, 0], labels[done, 1], risk=scores[done], patients=patients[done])
    return bootstrap_interval(spearman, [labels[done, 0], scores[done]], patients=patients[done], rounds=ROUNDS)


def _warns(figure: Figure, above: float, target: Target) -> bool:
    """Return whether a figure is above the limit and its interval above chance."""
    if figure.value is None:
        return False
    chance, limit = (0.0, 2 * above - 1) if target.kind == "regression" else (0.5, above)
    if (
        figure.low is None
    ):  # ranks in perfect order have no interval; a class of one patient has none for want of patients
        return target.kind == "regression" and figure.value >= limit
    return figure.value >= limit and figure.low > chance
