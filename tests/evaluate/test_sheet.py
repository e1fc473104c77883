"""All figures of a study: each with its denominator, or the reason why there is none, whatever is lacking."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluate.studies import made, make_study
from wsi.errors import UsageError
from wsi.evaluate import Figure, auc_interval, choose_threshold, fit_referral
from wsi.evaluate.sheet import Sheet
from wsi.evaluate.study import Study

KINDS = ("binary", "multiclass", "ordinal", "regression", "survival")


def figures(sheet: Sheet) -> dict[str, Figure]:
    return {f"{section.title}: {one.name}": one for section in sheet.sections for one in section.figures}


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_of_a_good_study_has_a_value_and_knows_its_patients(kind: str) -> None:
    sheet = made(make_study(kind))
    found = figures(sheet)
    assert len(found) >= 4
    assert all(one.value is not None and one.n > 0 for one in found.values())
    assert all(one.patients in (None, 40) or "among" in name or one.n < 80 for name, one in found.items())
    assert {row.group for row in sheet.subgroups} == {"north", "south", "islands"}


def test_figures_are_those_of_the_functions() -> None:
    study = make_study("binary")
    found = figures(made(study))
    assert found["Ranking: AUC"] == auc_interval(study.truth, study.outputs[:, 1], patients=study.patients)
    called = study.outputs[:, 1] >= 0.5
    assert found["Calls: Sensitivity"].count == (called & (study.truth == 1)).sum()
    assert found["Calls: Positive predictive value"].n == called.sum()
    assert found["Referral as predicted: Referred"].count == 16


def _one_class(study: Study) -> Study:
    return replace(study, truth=np.zeros(study.n))


def _one_patient(study: Study) -> Study:
    return replace(study, patients=("a",) * study.n)


def _all_ties(study: Study) -> Study:
    return replace(study, outputs=np.full_like(study.outputs, 1 / study.outputs.shape[1]))


def _sure(study: Study) -> Study:
    hot = np.eye(study.outputs.shape[1])[np.zeros(study.n, int)]
    return replace(study, outputs=hot)


def _missing_labels(study: Study) -> Study:
    truth = study.truth.copy()
    truth[3] = np.nan
    return replace(study, truth=truth)


def _missing_predictions(study: Study) -> Study:
    outputs = study.outputs.copy()
    outputs[5] = np.nan
    return replace(study, outputs=outputs)


def _strange_class(study: Study) -> Study:
    truth = study.truth.copy()
    truth[3] = study.outputs.shape[1]
    return replace(study, truth=truth)


def _one_case(study: Study) -> Study:
    return replace(
        study,
        cases=study.cases[:1],
        patients=study.patients[:1],
        truth=study.truth[:1],
        outputs=study.outputs[:1],
        free=study.free[:1],
        columns={},
        rows=study.rows[:1],
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoil", [_one_class, _one_patient, _all_ties, _sure, _one_case])
def test_degenerate_study_gives_reasons_and_never_an_error(spoil: Callable[[Study], Study], kind: str) -> None:
    study = make_study(kind)
    if kind == "survival" and spoil is _one_class:
        study = replace(study, truth=study.truth * [1, 0])  # nobody has the event
    elif not (kind in ("regression", "survival") and spoil is _sure):
        study = spoil(study)
    for name, one in figures(made(study)).items():
        assert one.value is not None or one.reason, name
        assert one.low is not None or one.reason or one.method == "", name


@pytest.mark.parametrize("spoil", [_one_class, _one_case])
def test_figures_that_need_both_classes_are_not_estimable(spoil: Callable[[Study], Study]) -> None:
    found = figures(made(spoil(make_study("binary"))))
    for name in ("Ranking: AUC", "Ranking: AUPRC", "Calibration: Calibration slope"):
        assert found[name].value is None
        assert found[name].reason.startswith("no case is ")
    assert found["Calibration: Brier score"].value is not None


def test_one_patient_has_values_without_intervals() -> None:
    found = figures(made(_one_patient(make_study("binary"))))
    assert found["Ranking: AUC"].value is not None
    assert found["Ranking: AUC"].low is None
    assert "of one patient" in found["Ranking: AUC"].reason


def test_threshold_and_rule_come_from_other_patients() -> None:
    study = make_study("binary")
    other = replace(make_study("binary", seed=1), patients=tuple(f"other {at}" for at in range(80)))
    validation = other.validation()
    sheet = made(study, threshold=choose_threshold(validation), rule=fit_referral(validation))
    assert figures(sheet)["Referral by rule: Coverage: the true class is among the likely ones"].n == 80
    assert "youden" in sheet.sections[1].note
    with pytest.raises(UsageError, match="the threshold was made from 40 of the patients"):
        made(study, threshold=choose_threshold(study.validation()))
    with pytest.raises(UsageError, match="the referral rule was made from 40 of the patients"):
        made(study, rule=fit_referral(study.validation()))
    with pytest.raises(UsageError, match="a regression target has no classes"):
        make_study("regression").validation()


def test_calls_of_the_predictions_are_taken_where_no_threshold_is_given() -> None:
    study = make_study("binary")
    calls = (study.outputs[:, 1] > 0.3).astype(float)
    sheet = made(replace(study, calls=calls))
    assert sheet.threshold is None
    assert sheet.sections[1].note == "Called yes where the predictions say so."
    assert figures(sheet)["Calls: Sensitivity"].count == ((calls == 1) & (study.truth == 1)).sum()


def test_models_are_compared_on_the_cases_that_both_predicted() -> None:
    study, other = make_study("binary"), make_study("binary", seed=4)
    rows = list(range(79, 9, -1))
    other = replace(
        other,
        cases=tuple(other.cases[at] for at in rows),
        patients=tuple(other.patients[at] for at in rows),
        truth=study.truth[rows],
        outputs=other.outputs[rows],
        free=other.free[rows],
        columns={},
        rows=tuple(other.rows[at] for at in rows),
    )
    (contest,) = made(study, others={"other.csv": other}).contests
    assert (contest.other.n, contest.without) == (70, 10)
    one = contest.comparisons[0]
    assert one.first == auc_interval(study.truth[10:], study.outputs[10:, 1], patients=study.patients[10:])
    assert one.second == auc_interval(study.truth[10:], other.outputs[::-1, 1], patients=study.patients[10:])


@pytest.mark.parametrize("kind", ["binary", "multiclass", "survival"])
def test_model_has_the_same_interval_alone_and_against_another(kind: str) -> None:
    study = make_study(kind)
    sheet = made(study, others={"other": make_study(kind, seed=0)})
    alone = {one.name: one for one in figures(sheet).values()}
    for one in sheet.contests[0].comparisons[:2]:
        assert alone[one.first.name] == one.first


@pytest.mark.parametrize("kind", KINDS)
def test_model_against_itself_does_not_differ(kind: str) -> None:
    study = make_study(kind, 30)
    (contest,) = made(study, others={"same": study}).contests
    assert all(one.difference.value == 0 for one in contest.comparisons)


def test_models_of_other_classes_or_cases_are_refused() -> None:
    study = make_study("multiclass")
    with pytest.raises(UsageError, match="models are compared on the same classes"):
        made(study, others={"b": make_study("multiclass", classes=("x", "y", "z"))})
    with pytest.raises(UsageError, match="none of its cases"):
        made(study, others={"b": replace(study, cases=tuple(f"x{at}" for at in range(80)))})
