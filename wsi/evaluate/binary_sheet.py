"""The figures of a yes-or-no target."""

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.agreement import balanced_accuracy, f1, kappa
from wsi.evaluate.binary import Bools, Floats, Patients
from wsi.evaluate.bootstrap import ROUNDS, bootstrap_interval
from wsi.evaluate.calibration import brier, calibration_slope, expected_calibration_error
from wsi.evaluate.compare import Comparison, compare_models
from wsi.evaluate.delong import auc_interval
from wsi.evaluate.figure import Figure
from wsi.evaluate.jackknife import Measure, jackknife_interval
from wsi.evaluate.predictions import Test
from wsi.evaluate.proportion import sensitivity_specificity, share
from wsi.evaluate.referral import ReferralRule
from wsi.evaluate.roc import average_precision
from wsi.evaluate.section import Section, referral_sections
from wsi.evaluate.study import Study


def binary_sections(
    study: Study, called: Bools, how: str, rule: ReferralRule | None, *, rounds: int = ROUNDS
) -> tuple[Section, ...]:
    """Return how well positive cases are ranked, called, foretold and referred.

    Args:
        called: `(n,)` which cases are called positive; how: by what, for people.

    Raises:
        UsageError: the rule was made from patients of this study.
    """
    test = study.test()
    return (
        _ranked(study, test),
        _called(study, called, how, rounds),
        _foretold(study, test, rounds),
        *referral_sections(study, test, called == (study.truth == 1), rule, rounds=rounds),
    )


def _ranked(study: Study, test: Test) -> Section:
    note = f"How well {study.classes[1]} is ranked above {study.classes[0]}, whatever the threshold."
    prevalence = share(
        f"Share of {study.classes[1]} (what the AUPRC of a guess is)", study.truth == 1, patients=study.patients
    )
    figures = (
        auc_interval(study.truth, test.score, patients=study.patients),
        _precision(study.truth, test.score, patients=study.patients),
        prevalence,
    )
    return Section("Ranking", note, figures)


def _called(study: Study, called: Bools, how: str, rounds: int) -> Section:
    patients, positive = np.array(study.patients, object), study.truth == 1
    figures = [*sensitivity_specificity(study.truth, called, patients=study.patients)]
    for name, side, hits in (
        ("Positive predictive value", called, positive),
        ("Negative predictive value", ~called, ~positive),
    ):
        figures.append(share(name, hits[side], patients=patients[side]))
    arrays = [study.truth, called]
    figures += [
        bootstrap_interval(one, arrays, patients=study.patients, rounds=rounds)
        for one in (balanced_accuracy, f1, kappa)
    ]
    figures.append(share("Accuracy", positive == called, patients=study.patients))
    return Section("Calls", how, tuple(figures))


def _foretold(study: Study, test: Test, rounds: int) -> Section:
    chances = test.probabilities[:, 1]
    note = "Whether probabilities say what happens: slope 1 and intercept 0 are right, a slope below 1 is too sure."
    error = expected_calibration_error(study.truth, chances)
    figures = (
        bootstrap_interval(brier, [study.truth, chances], patients=study.patients, rounds=rounds),
        error,
        *calibration_slope(study.truth, chances, patients=study.patients),
    )
    return Section("Calibration", note, figures)


def binary_measures(study: Study, called: Bools) -> tuple[tuple[Measure, tuple[ArrayLike, ...]], ...]:
    """Return what each subgroup is measured by, and the arrays it is made from."""
    return (
        (auc_interval, (study.truth, study.test().score)),
        (_sensitivity, (study.truth, called)),
        (_specificity, (study.truth, called)),
    )


def _sensitivity(labels: ArrayLike, called: ArrayLike, *, patients: Patients = None) -> Figure:
    return sensitivity_specificity(labels, called, patients=patients)[0]


def _specificity(labels: ArrayLike, called: ArrayLike, *, patients: Patients = None) -> Figure:
    return sensitivity_specificity(labels, called, patients=patients)[1]


def binary_contest(study: Study, other: Study, *, rounds: int = ROUNDS) -> tuple[Comparison, ...]:
    """Return how another model differs on the same cases, in the same order."""
    both = study.test(), other.test()
    scores = both[0].score, both[1].score
    chances = both[0].probabilities[:, 1], both[1].probabilities[:, 1]

    def compared(outputs: tuple[Floats, Floats], measure: Measure, alone: Measure | None) -> Comparison:
        return compare_models(
            study.truth,
            outputs,
            patients=study.patients,
            method="bootstrap",
            measure=measure,
            alone=alone,
            rounds=rounds,
        )

    return (
        compare_models(study.truth, scores, patients=study.patients),
        compared(scores, average_precision, _precision),
        compared(chances, brier, None),
    )


def _precision(labels: ArrayLike, scores: ArrayLike, *, patients: Patients = None) -> Figure:
    return jackknife_interval(average_precision, [labels, scores], patients=patients)
