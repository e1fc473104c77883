"""Figures of every kind of target, from cases that their heads never saw."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.train.drawn import draw_bags
from tests.train.studies import cohort_of, config, study_of, write_cohort
from wsi.evaluate import choose_threshold, fit_temperature
from wsi.train import make_splits, read_cohort
from wsi.train.crossval import run_folds
from wsi.train.decisions import decide, validation_of
from wsi.train.decisions import test_of as as_test
from wsi.train.figures import BASELINE, LESS_BASELINE, Line, make_figures, risk_of
from wsi.train.heldout import HeldOut, fold_decisions, hold_out
from wsi.train.study import Study, make_study, time_edges

RNG = np.random.default_rng(11)
LEVELS = np.repeat(np.arange(4), 9).astype(np.float64)
TARGETS: dict[str, tuple[str, dict[str, list[object]]]] = {
    "binary": ("y:binary", {"y": ["yes" if level > 1 else "no" for level in LEVELS]}),
    "multiclass": ("y:multiclass", {"y": ["abcd"[int(level)] for level in LEVELS]}),
    "ordinal": ("y:ordinal:0,1,2,3", {"y": [int(level) for level in LEVELS]}),
    "multilabel": (
        "y:multilabel:low,high",
        {"low": [int(level > 0) for level in LEVELS], "high": [int(level > 2) for level in LEVELS]},
    ),
    "regression": ("y:regression", {"y": [100 + 10 * level + RNG.normal() for level in LEVELS]}),
    "survival": (
        "y:survival:months,dead",
        {"months": [float(np.exp(3 - level + 0.3 * RNG.normal())) for level in LEVELS], "dead": [int(i % 4 > 0) for i in range(36)]},
    ),
}  # fmt: skip


def made(kind: str, folder: Path, **changes: Any) -> tuple[Study, HeldOut, list[Line]]:
    target, columns = TARGETS[kind]
    cohort = cohort_of(folder, draw_bags(3 * LEVELS, share=1.0, tiles=(2, 4)), columns, target=target)
    merged = {"fit": {"epochs": 12, "batch": 6, "learning_rate": 0.05}, **changes}
    study = study_of(cohort, config(**merged))
    held = hold_out(study, run_folds(study, folder / "run"))
    return study, held, make_figures(study, held)


def value(lines: list[Line], metric: str, over: str = "held-out cases") -> float:
    found = [line.figure for line in lines if line.over.startswith(over) and line.figure.name == metric]
    assert found, [(line.over, line.figure.name) for line in lines]
    assert found[0].value is not None, found[0].reason
    return found[0].value


def is_beside(lines: list[Line], metric: str) -> bool:
    """Return whether the difference to the baseline is told, is that of the two figures, and has an interval."""
    found = [line.figure for line in lines if line.over == LESS_BASELINE and line.figure.name == f"{metric} difference"]
    less = value(lines, metric) - value(lines, metric, BASELINE)
    return [one.value for one in found] == [pytest.approx(less)] and found[0].low is not None


LEAST = {
    "binary": ("AUC", 0.85),
    "multiclass": ("AUC (macro, one vs rest)", 0.7),
    "ordinal": ("Quadratic kappa", 0.6),
    "multilabel": ("AUC", 0.7),
    "regression": ("Pearson", 0.7),
    "survival": ("C (Harrell)", 0.7),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_learned_target_has_figures_with_intervals_and_a_baseline_beside(kind: str, tmp_path: Path) -> None:
    study, held, lines = made(kind, tmp_path, splits={"scheme": "holdout", "holdout": 0.5})
    assert study.task.kind == kind
    assert held.places.tolist() == list(study.splits.folds[0].test)
    metric, least = LEAST[kind]
    assert (lines[0].figure.name, lines[0].of_model) == (metric, True)
    assert value(lines, metric) > least
    assert value(lines, metric, BASELINE) > 0.6
    assert lines[0].figure.low is not None
    assert lines[0].figure.n == len(held.places)
    assert kind == "multilabel" or is_beside(lines, metric)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("binary")


@pytest.fixture(scope="module")
def binary(folder: Path) -> tuple[Study, HeldOut, list[Line]]:
    return made("binary", folder, fit={"epochs": 6})


def test_binary_figures_are_those_of_scikit_learn_over_the_held_out_rows(
    binary: tuple[Study, HeldOut, list[Line]],
) -> None:
    study, held, lines = binary
    truth = study.labels[:, 0]
    assert value(lines, "AUC") == pytest.approx(roc_auc_score(truth, held.raw[:, 1]))
    assert value(lines, "AUC", BASELINE) == pytest.approx(roc_auc_score(truth, held.baseline[:, 1]))
    precision = next(line.figure for line in lines if line.figure.name == "AUPRC")
    assert precision.value == pytest.approx(average_precision_score(truth, held.raw[:, 1]))
    assert precision.low is not None
    assert precision.high is not None
    assert precision.low < average_precision_score(truth, held.raw[:, 1]) < precision.high
    assert value(lines, "Sensitivity") == (held.called[truth == 1] == 1).mean()
    assert value(lines, "Brier score") == pytest.approx(np.mean((held.calibrated[:, 1] - truth) ** 2))


def test_each_fold_is_decided_by_its_own_validation_cases(
    binary: tuple[Study, HeldOut, list[Line]], folder: Path
) -> None:
    study, held, _ = binary
    for result in run_folds(study, folder / "run"):
        task, places = result.trained.task, list(result.fold.test)
        validation = validation_of(study, task, result.fold.validation, result.head.validation)
        test = as_test(study, task, places, result.head.test)
        assert validation is not None
        assert test is not None
        decisions = fold_decisions(study, result)
        assert decisions.temperature == fit_temperature(validation)
        calibrated = fit_temperature(validation).apply(validation)
        assert decisions.threshold == choose_threshold(calibrated)
        chances = decisions.calibrated(test).probabilities
        np.testing.assert_allclose(held.calibrated[places], chances)
        assert decisions.threshold is not None
        assert (held.called[places] == (chances[:, 1] >= decisions.threshold.value)).all()
        assert decisions.threshold.chosen_on.isdisjoint(study.cohort.cases[i].patient for i in places)


def test_repeats_are_averaged_by_case(tmp_path: Path) -> None:
    study, held, _ = made("binary", tmp_path, splits={"scheme": "repeated-k-fold", "repeats": 2}, fit={"epochs": 2})
    results = run_folds(study, tmp_path / "run")
    assert len(results) == 6
    logits = [(i, one.head.test[n, 0]) for one in results for n, i in enumerate(one.fold.test)]
    mine = [1 / (1 + math.exp(-logit)) for i, logit in logits if i == 5]
    assert len(mine) == 2
    assert held.raw[5, 1] == pytest.approx(np.mean(mine), rel=1e-6)
    assert held.folds[5].count("repeat") == 2


def test_without_validation_cases_nothing_is_calibrated_and_a_half_is_the_threshold(tmp_path: Path) -> None:
    study, held, _ = made("binary", tmp_path, splits={"validation": 0.0}, fit={"epochs": 1})
    np.testing.assert_allclose(
        held.raw, held.calibrated, rtol=1e-14
    )  # torch's sigmoid and numpy's may differ in the last bit
    assert not held.referred.any()
    assert study.splits.folds[0].validation == ()


def test_one_class_among_validation_cases_leaves_a_threshold_that_says_so(
    binary: tuple[Study, HeldOut, list[Line]], folder: Path
) -> None:
    study, _, _ = binary
    result = run_folds(study, folder / "run")[0]
    ones = [i for i in result.fold.validation if study.labels[i, 0] == 1]
    validation = validation_of(study, result.trained.task, ones, np.zeros((len(ones), 1)))
    decisions = decide(validation, rule="youden", alpha=0.1)
    assert decisions.threshold is not None
    assert decisions.threshold.value == 0.5
    assert "one class" in decisions.lacking or "no case" in decisions.lacking


@pytest.mark.parametrize("rule", ["sensitivity>0.9", "sens>=0.9", "sensitivity>=90%", "Youden"])
def test_settings_with_a_rule_that_no_threshold_follows_are_refused(rule: str) -> None:
    with pytest.raises(ValueError, match="expected one like youden, sensitivity>="):
        config(model={"rule": rule})


def test_cases_without_a_label_are_predicted_and_not_counted(tmp_path: Path) -> None:
    target, columns = TARGETS["binary"]
    values = ["" if i % 9 == 0 else one for i, one in enumerate(columns["y"])]
    bags = draw_bags(3 * LEVELS, share=1.0, tiles=(2, 4))
    extra: dict[str, list[object]] = {"y": values, "z": ["a", "b"] * 18}
    labels, features = write_cohort(tmp_path, bags, extra)
    cohort = read_cohort(labels, features, targets=[target, "z"])
    settings = config(fit={"epochs": 1})
    study = make_study(cohort, make_splits(cohort, folds=3), settings, target="y")
    held = hold_out(study, run_folds(study, tmp_path / "run"))
    assert len(held.places) == 36
    assert make_figures(study, held)[0].figure.n == 32


def test_time_bins_hold_about_as_many_events_each() -> None:
    labels = np.stack([np.arange(1.0, 101.0), np.arange(100) % 2], axis=1)
    edges = time_edges(labels, config(target={"bins": 4}))
    counts = np.histogram(labels[labels[:, 1] > 0, 0], [0, *edges, 1000])[0]
    assert len(edges) == 3
    assert counts.min() >= 11
    assert time_edges(labels, config(target={"edges": [5.0, 2.0]})) == (2.0, 5.0)
    assert time_edges(labels, config()) == ()


def test_discrete_time_survival_has_a_brier_score(tmp_path: Path) -> None:
    study, held, lines = made("survival", tmp_path, target={"bins": 4}, splits={"scheme": "holdout", "holdout": 0.5})
    assert study.spec.cuts == 4
    assert held.raw.shape == (len(held.places), 4)
    assert (np.diff(held.raw, axis=1) <= 0).all()
    assert value(lines, "C (Harrell)") > 0.7
    assert 0 < value(lines, "Brier score (integrated)") < 0.25


def test_risk_is_that_of_the_time_up_to_the_last_end() -> None:
    curves = np.array([[0.9, 0.8, 0.1], [0.5, 0.3, 0.2]])
    assert risk_of(curves, in_bins=True).tolist() == pytest.approx([0.2, 0.7])
    assert risk_of(curves[:, :1], in_bins=False).tolist() == [0.9, 0.5]
