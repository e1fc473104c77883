"""The figures of a target of several classes or ordered grades."""

from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.agreement import balanced_accuracy, f1, kappa, quadratic_kappa
from wsi.evaluate.binary import Ints, Patients
from wsi.evaluate.bootstrap import ROUNDS, bootstrap_interval
from wsi.evaluate.calibration import brier, expected_calibration_error
from wsi.evaluate.compare import Comparison, compare_models
from wsi.evaluate.figure import Figure
from wsi.evaluate.jackknife import Measure
from wsi.evaluate.multiclass import macro_auc, macro_auc_interval, one_vs_rest
from wsi.evaluate.proportion import share
from wsi.evaluate.referral import ReferralRule
from wsi.evaluate.section import Section, named, referral_sections
from wsi.evaluate.study import Study


def likeliest(study: Study) -> Ints:
    """Return the place of the likeliest class of each case `(n,)`."""
    return np.asarray(study.test().probabilities.argmax(axis=1))


def class_sections(study: Study, rule: ReferralRule | None, *, rounds: int = ROUNDS) -> tuple[Section, ...]:
    """Return how well classes are ranked, called, foretold and referred."""
    test, called = study.test(), likeliest(study)
    chances, patients, truth = test.probabilities, study.patients, study.truth
    alone = named(one_vs_rest(truth, chances, patients=patients), [f"AUC, {one} vs rest" for one in study.classes])
    right = called == truth
    owners = np.array(patients, object)
    recalls = tuple(
        share(f"Sensitivity, {one}", right[truth == k], patients=owners[truth == k])
        for k, one in enumerate(study.classes)
    )
    calibration = (
        bootstrap_interval(brier, [truth, chances], patients=patients, rounds=rounds),
        expected_calibration_error(truth, chances),
    )
    return (
        Section(
            "Ranking",
            "How well each class is ranked above all others.",
            (macro_auc_interval(truth, chances, patients=patients), *alone),
        ),
        Section("Calls", "Each case is called the likeliest class.", (*_agreement(study, called, rounds), *recalls)),
        Section(
            "Calibration", "Whether probabilities say what happens; the error is of the likeliest class.", calibration
        ),
        *referral_sections(study, test, right, rule, rounds=rounds),
    )


def _agreement(study: Study, called: Ints, rounds: int) -> tuple[Figure, ...]:
    measures = [balanced_accuracy, f1, kappa] + ([quadratic_kappa] if study.kind == "ordinal" else [])
    found = tuple(
        bootstrap_interval(
            partial(one, classes=len(study.classes)), [study.truth, called], patients=study.patients, rounds=rounds
        )
        for one in measures
    )
    return (share("Accuracy", called == study.truth, patients=study.patients), *found)


def class_measures(study: Study, *, rounds: int = ROUNDS) -> tuple[tuple[Measure, tuple[ArrayLike, ...]], ...]:
    """Return what each subgroup is measured by, and the arrays it is made from."""
    called = likeliest(study)
    found: list[tuple[Measure, tuple[ArrayLike, ...]]] = [(_right, (called == study.truth,))]
    if study.kind == "ordinal":
        measure = partial(quadratic_kappa, classes=len(study.classes))

        def agreement(truth: ArrayLike, calls: ArrayLike, *, patients: Patients = None) -> Figure:
            return bootstrap_interval(measure, [truth, calls], patients=patients, rounds=rounds)

        found.append((agreement, (study.truth, called)))
    return tuple(found)


def _right(right: ArrayLike, *, patients: Patients = None) -> Figure:
    return share("Accuracy", right, patients=patients)


def class_contest(study: Study, other: Study, *, rounds: int = ROUNDS) -> tuple[Comparison, ...]:
    """Return how another model differs on the same cases, in the same order."""
    chances = study.test().probabilities, other.test().probabilities
    calls = likeliest(study), likeliest(other)
    measure = quadratic_kappa if study.kind == "ordinal" else balanced_accuracy
    ranked = compare_models(
        study.truth,
        chances,
        patients=study.patients,
        method="bootstrap",
        measure=macro_auc,
        alone=macro_auc_interval,
        rounds=rounds,
    )
    return (
        ranked,
        compare_models(
            study.truth,
            calls,
            patients=study.patients,
            method="bootstrap",
            measure=partial(measure, classes=len(study.classes)),
            rounds=rounds,
        ),
    )
