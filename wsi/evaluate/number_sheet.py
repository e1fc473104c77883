"""The figures of a target that is a number, or a time to an event."""

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.binary import Floats, Patients
from wsi.evaluate.bootstrap import ROUNDS, bootstrap_interval
from wsi.evaluate.compare import Comparison, compare_concordance, compare_models
from wsi.evaluate.figure import Figure
from wsi.evaluate.jackknife import Measure, jackknife_interval
from wsi.evaluate.regression import mae, pearson, r2, rmse, spearman
from wsi.evaluate.section import Section
from wsi.evaluate.study import Study
from wsi.evaluate.survival import concordance, concordance_ipcw
from wsi.evaluate.survival_brier import integrated_brier, survival_brier


def number_sections(study: Study, *, rounds: int = ROUNDS) -> tuple[Section, ...]:
    """Return how near numbers come, or how well risks order events."""
    if study.kind == "survival":
        return _survival(study)
    arrays = [study.truth, study.outputs[:, 0]]
    sections = (
        ("Error", "In the unit of the target.", (mae, rmse)),
        ("Agreement", "R2 below 0: the mean would be a better guess.", (r2, pearson, spearman)),
    )
    return tuple(
        Section(
            title,
            note,
            tuple(bootstrap_interval(one, arrays, patients=study.patients, rounds=rounds) for one in measures),
        )
        for title, note, measures in sections
    )


def _survival(study: Study) -> tuple[Section, ...]:
    times, events, risk = study.truth[:, 0], study.truth[:, 1], study.outputs[:, 0]
    order = Section(
        "Order of events",
        "Share of pairs in which the higher risk has the event first. Uno's doesn't depend on the censoring.",
        (
            concordance(times, events, risk=risk, patients=study.patients),
            concordance_ipcw(times, events, risk=risk, patients=study.patients),
        ),
    )
    if not study.times:
        return (order,)
    alone = survival_brier(times, events, survival=study.free, at=study.times)
    whole = jackknife_interval(_integrated(study.times), [study.truth, study.free], patients=study.patients)
    note = "How near the predicted curves come; saying 0.5 always gets 0.25."
    return order, Section("Survival curves", note, (whole, *alone))


def _integrated(at: tuple[float, ...]) -> Measure:
    def measure(truth: Floats, free: Floats) -> Figure:
        return integrated_brier(truth[:, 0], truth[:, 1], survival=free, at=at)

    return measure


def number_measures(study: Study, *, rounds: int = ROUNDS) -> tuple[tuple[Measure, tuple[ArrayLike, ...]], ...]:
    """Return what each subgroup is measured by, and the arrays it is made from."""

    def near(truth: ArrayLike, predicted: ArrayLike, *, patients: Patients = None) -> Figure:
        return bootstrap_interval(mae, [truth, predicted], patients=patients, rounds=rounds)

    return ((_ordered if study.kind == "survival" else near, (study.truth, study.outputs[:, 0])),)


def _ordered(truth: ArrayLike, risk: ArrayLike, *, patients: Patients = None) -> Figure:
    both = np.asarray(truth, np.float64)
    return concordance(both[:, 0], both[:, 1], risk=risk, patients=patients)


def number_contest(study: Study, other: Study, *, rounds: int = ROUNDS) -> tuple[Comparison, ...]:
    """Return how another model differs on the same cases, in the same order."""
    outputs = study.outputs[:, 0], other.outputs[:, 0]
    if study.kind == "survival":
        times, events = study.truth.T
        return (compare_concordance(times, events, risks=outputs, patients=study.patients),)
    return tuple(
        compare_models(study.truth, outputs, patients=study.patients, method="bootstrap", measure=one, rounds=rounds)
        for one in (mae, pearson)
    )
