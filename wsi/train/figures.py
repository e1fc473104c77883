"""The figures of a trained model, from held-out cases: what it reaches, and what a plain baseline reaches beside it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsi import evaluate
from wsi.evaluate import Comparison, Figure
from wsi.train.heldout import HeldOut
from wsi.train.study import Study
from wsi.train.tasks import Floats, Task, is_known

BASELINE = "baseline: mean pooling and a linear model, same folds"
LESS_BASELINE = "this model less the baseline"
HELD_OUT = "held-out cases"
AS_CALLED = "held-out cases, as called"
AT_THRESHOLD = "held-out cases at each fold's threshold"
FEWER_DRAWS = 500
"""Of figures that take long to make: an AUC a class and model."""


@dataclass(frozen=True, slots=True)
class Line:
    """A figure and what it is over; `of_model` False: it is not this model's."""

    over: str
    figure: Figure
    of_model: bool = True


@dataclass(frozen=True, slots=True)
class _Known:
    """The held-out cases with a label: truth `(n, W)`, what was said, and whose they are."""

    truth: Floats
    held: HeldOut
    patients: list[str]
    task: Task


def make_figures(study: Study, held: HeldOut) -> list[Line]:
    """Return the figures of the study's kind of target; the first is the one that a person looks at first."""
    return _KINDS[study.task.kind](_known(study, held))


def first_figure(study: Study, held: HeldOut) -> Figure:
    """Return the first of `make_figures` alone, of a target with one class a case."""
    cases = _known(study, held)
    truth, count = cases.truth[:, 0], len(study.task.classes)
    if study.task.kind == "ordinal":
        return _agreement(cases, _weighted_kappa(count))[0].figure
    if study.task.kind == "multiclass":
        return evaluate.macro_auc_interval(truth, cases.held.raw, patients=cases.patients)
    return evaluate.auc_interval(truth, cases.held.raw[:, 1], patients=cases.patients)


def _known(study: Study, held: HeldOut) -> _Known:
    truth = study.labels[held.places]
    known = is_known(truth, study.task)
    said = held.only(known)
    patients = [study.cohort.cases[i].patient for i in said.places]
    return _Known(truth[known], said, patients, study.task)


def _binary(cases: _Known) -> list[Line]:
    labels, patients = cases.truth[:, 0], cases.patients
    both = evaluate.compare_models(labels, (cases.held.raw[:, 1], cases.held.baseline[:, 1]), patients=patients)
    calls = evaluate.sensitivity_specificity(labels, cases.held.called == 1, patients=patients)
    stay = ~cases.held.referred
    kept = evaluate.sensitivity_specificity(labels[stay], cases.held.called[stay] == 1, patients=_of(patients, stay))
    chances = cases.held.calibrated[:, 1]
    called = [labels, cases.held.called]
    balanced = evaluate.bootstrap_interval(evaluate.balanced_accuracy, called, patients=patients)
    precision = evaluate.jackknife_interval(
        evaluate.average_precision, [labels, cases.held.raw[:, 1]], patients=patients
    )
    return [
        Line(HELD_OUT, both.first),
        Line(HELD_OUT, precision),
        *(Line(AT_THRESHOLD, one) for one in (*calls, balanced)),
        *_calibration(labels, chances),
        Line(HELD_OUT, evaluate.share("Referred", cases.held.referred, patients=cases.patients)),
        *(Line("held-out cases that are not referred", one) for one in kept),
        *_beside(both),
    ]


def _calibration(truth: ArrayLike, chances: Floats) -> list[Line]:
    made = (evaluate.brier(truth, chances), evaluate.expected_calibration_error(truth, chances))
    return [Line("held-out cases, each fold calibrated on its validation cases", one) for one in made]


def _of(patients: list[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [one for one, kept in zip(patients, chosen, strict=True) if kept]


def _beside(both: Comparison) -> list[Line]:
    """Return the baseline's figure, and how much better the model's is."""
    difference = both.difference
    if both.p is not None:
        difference = replace(difference, method=f"{difference.method}, p = {both.p:.3f}".lstrip(", "))
    return [Line(BASELINE, both.second, of_model=False), Line(LESS_BASELINE, difference, of_model=False)]


def _multiclass(cases: _Known) -> list[Line]:
    truth, patients = cases.truth[:, 0], cases.patients
    each = evaluate.one_vs_rest(truth, cases.held.raw, patients=patients)
    both = evaluate.compare_models(
        truth,
        (cases.held.raw, cases.held.baseline),
        patients=patients,
        method="bootstrap",
        measure=evaluate.macro_auc,
        alone=evaluate.macro_auc_interval,
        rounds=FEWER_DRAWS,
    )
    return [
        Line(HELD_OUT, both.first),
        *(
            Line(f"{HELD_OUT}, {name} against the rest", one)
            for name, one in zip(cases.task.classes, each, strict=True)
        ),
        *_agreement(cases, _balanced(len(cases.task.classes)), _accuracy(len(cases.task.classes))),
        *_calibration(truth, cases.held.calibrated),
        *_beside(both),
    ]


Measure = Callable[..., Figure]


def _balanced(classes: int) -> Measure:
    return lambda truth, called: evaluate.balanced_accuracy(truth, called, classes=classes)


def _accuracy(classes: int) -> Measure:
    return lambda truth, called: evaluate.accuracy(truth, called, classes=classes)


def _weighted_kappa(classes: int) -> Measure:
    return lambda truth, called: evaluate.quadratic_kappa(truth, called, classes=classes)


def _agreement(cases: _Known, *measures: Measure) -> list[Line]:
    arrays = [cases.truth[:, 0], cases.held.called]
    return [Line(AS_CALLED, evaluate.bootstrap_interval(one, arrays, patients=cases.patients)) for one in measures]


def _ordinal(cases: _Known) -> list[Line]:
    count = len(cases.task.classes)
    both = evaluate.compare_models(
        cases.truth[:, 0],
        (cases.held.called, cases.held.baseline.argmax(axis=1)),
        patients=cases.patients,
        method="bootstrap",
        measure=_weighted_kappa(count),
    )
    return [
        Line(AS_CALLED, both.first),
        *_agreement(cases, _balanced(count), _accuracy(count)),
        *_cuts(cases),
        *_calibration(cases.truth[:, 0], cases.held.calibrated),
        *_beside(both),
    ]


def _cuts(cases: _Known) -> list[Line]:
    """Return, for each grade but the lowest, how well those from it on are told from those below."""
    found = []
    for k, name in enumerate(cases.task.classes[1:], start=1):
        above = cases.held.raw[:, k:].sum(axis=1)
        figure = evaluate.auc_interval((cases.truth[:, 0] >= k).astype(int), above, patients=cases.patients)
        found.append(Line(f"{HELD_OUT}, {name} or above against below", figure))
    return found


def _multilabel(cases: _Known) -> list[Line]:
    lines = []
    for k, name in enumerate(cases.task.classes):
        seen = np.isfinite(cases.truth[:, k])
        labels, patients = cases.truth[seen, k], _of(cases.patients, seen)
        for over, scores, own in (
            (f"{HELD_OUT}, {name}", cases.held.raw, True),
            (f"{BASELINE}, {name}", cases.held.baseline, False),
        ):
            lines.append(Line(over, evaluate.auc_interval(labels, scores[seen, k], patients=patients), own))
    return sorted(lines, key=lambda line: not line.of_model)


def _regression(cases: _Known) -> list[Line]:
    def of(measure: Measure, predicted: Floats) -> Figure:
        return evaluate.bootstrap_interval(measure, [cases.truth[:, 0], predicted[:, 0]], patients=cases.patients)

    measures = (evaluate.mae, evaluate.rmse, evaluate.r2, evaluate.spearman)
    both = evaluate.compare_models(
        cases.truth[:, 0],
        (cases.held.raw[:, 0], cases.held.baseline[:, 0]),
        patients=cases.patients,
        method="bootstrap",
        measure=evaluate.pearson,
    )
    return [
        Line(HELD_OUT, both.first),
        *(Line(HELD_OUT, of(one, cases.held.raw)) for one in measures),
        *_beside(both),
        Line(BASELINE, of(evaluate.mae, cases.held.baseline), of_model=False),
    ]


def _survival(cases: _Known) -> list[Line]:
    times, events = cases.truth.T
    in_bins = bool(cases.task.edges)
    risks = risk_of(cases.held.raw, in_bins=in_bins), risk_of(cases.held.baseline, in_bins=in_bins)
    both = evaluate.compare_concordance(times, events, risks=risks, patients=cases.patients)
    own, other = (
        _beyond_order(cases, said, risk)
        for said, risk in zip((cases.held.raw, cases.held.baseline), risks, strict=True)
    )
    return [
        Line(HELD_OUT, both.first),
        *(Line(HELD_OUT, one) for one in own),
        *_beside(both),
        *(Line(BASELINE, one, of_model=False) for one in other),
    ]


def _beyond_order(cases: _Known, said: Floats, risk: Floats) -> list[Figure]:
    """Return Uno's C of risks `(n,)`, and of predicted curves `(n, T)` how near they come."""
    times, events = cases.truth.T
    edges = cases.task.edges
    found = [evaluate.concordance_ipcw(times, events, risk=risk, patients=cases.patients)]
    if len(edges) > 1:
        found.append(evaluate.integrated_brier(times, events, survival=said[:, : len(edges)], at=edges))
    return found


def risk_of(said: Floats, *, in_bins: bool) -> Floats:
    """Return what a model folder shows as the risk `(n,)`: the log hazard, or the risk by the end of the last bin but one."""
    return 1 - said[:, -2] if in_bins else said[:, 0]


_KINDS: dict[str, Callable[[_Known], list[Line]]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "ordinal": _ordinal,
    "multilabel": _multilabel,
    "regression": _regression,
    "survival": _survival,
}
