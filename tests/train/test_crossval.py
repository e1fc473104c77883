"""Folds: what is trained on what, what the search may see, and that a rerun gives the same numbers."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.drawn import draw_bags, two_classes
from tests.train.studies import cohort_of, config, study_of
from wsi.errors import ArtifactError, LabelsError, UsageError
from wsi.train.candidate import Candidate
from wsi.train.cohort import Cohort
from wsi.train.crossval import FoldResult, run_folds
from wsi.train.seal import Fold, seal
from wsi.train.search import Drawn, choose, propose
from wsi.train.study import Study, make_study


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    cases = two_classes(24, strength=5.0)
    labels = ["tumor" if label else "normal" for label in cases.labels[:, 0]]
    return cohort_of(tmp_path_factory.mktemp("cohort"), cases.read, {"grade": labels}, target="grade")  # type: ignore[arg-type]


def logits(results: list[FoldResult]) -> list[Any]:
    return [array for one in results for array in (one.head.validation, one.head.test, one.baseline.test)]


def test_every_case_is_tested_once_by_a_head_that_never_saw_it(cohort: Cohort, tmp_path: Path) -> None:
    study = study_of(cohort, config(fit={"epochs": 15, "batch": 4}))
    results = run_folds(study, tmp_path)
    assert sorted(i for one in results for i in one.fold.test) == list(range(24))
    assert all(len(one.head.test) == len(one.fold.test) for one in results)
    hits = [(one.head.test[:, 0] > 0) == study.labels[list(one.fold.test), 0] for one in results]
    assert np.concatenate(hits).mean() > 0.8
    for k, one in enumerate(results):
        assert (tmp_path / "folds" / str(k + 1) / "checkpoint.safetensors").is_file()
        assert len(one.trained.epochs) == 15


def test_labels_of_test_cases_change_nothing_of_their_fold(cohort: Cohort, tmp_path: Path) -> None:
    study = study_of(cohort, config(search={"trials": 2}, fit={"epochs": 2}))
    first = run_folds(study, tmp_path / "a")[0]
    other = study_of(cohort, study.config)
    changed = study.labels.copy()
    changed[list(first.fold.test)] = 1 - changed[list(first.fold.test)]
    other.__dict__["labels"] = changed
    again = run_folds(other, tmp_path / "b")[0]
    for one, two in zip(logits([first]), logits([again]), strict=True):
        np.testing.assert_array_equal(one, two)
    assert first.chosen == again.chosen


def test_rerun_reads_what_is_done_and_gives_the_same(cohort: Cohort, tmp_path: Path) -> None:
    study = study_of(cohort, config())
    first = logits(run_folds(study, tmp_path))
    told: list[str] = []
    again = run_folds(study_of(cohort, config()), tmp_path, watch=lambda name, epoch: told.append(name))
    for one, two in zip(first, logits(again), strict=True):
        np.testing.assert_array_equal(one, two)
    assert told == []


def test_other_settings_are_refused_in_the_same_folder(cohort: Cohort, tmp_path: Path) -> None:
    run_folds(study_of(cohort, config()), tmp_path)
    with pytest.raises(ArtifactError, match="other data, splits or settings"):
        run_folds(study_of(cohort, config(fit={"learning_rate": 0.03})), tmp_path)


def test_data_digest_changes_with_labels_and_features(cohort: Cohort, tmp_path: Path) -> None:
    cases = two_classes(6)
    digests = set()
    for name, seed, flip in (("a", 0, False), ("b", 0, True), ("c", 1, False), ("d", 0, False)):
        labels = ["yes" if bool(label) != flip else "no" for label in cases.labels[:, 0]]
        made = cohort_of(tmp_path / name, two_classes(6, seed=seed).read, {"grade": labels}, target="grade")  # type: ignore[arg-type]
        digests.add(study_of(made, config()).data_digest)
    assert len(digests) == 3


def test_survival_without_an_event_is_refused(tmp_path: Path) -> None:
    columns = {"t": list(range(1, 13)), "dead": [0] * 12}
    cohort = cohort_of(tmp_path, draw_bags(np.zeros(12)), columns, target="os:survival:t,dead")
    with pytest.raises(LabelsError, match=r"target 'os': no case has an event, column 'dead'"):
        study_of(cohort, config())


def test_fold_that_trains_on_no_label_is_refused(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {"t": [*range(1, 13)], "dead": [""] * 6 + [1] * 6}
    cohort = cohort_of(tmp_path, draw_bags(np.zeros(12)), columns, target="os:survival:t,dead")
    splits = seal(cohort, "file", [Fold("fold 1", tuple(range(6)), (), tuple(range(6, 12)))])
    with pytest.raises(LabelsError, match=r"fold 1: none of its 6 training cases has a label of 'os'"):
        make_study(cohort, splits, config(), target="os")


def losses_of(study: Study, folder: Path) -> tuple[Candidate, list[float]]:
    losses: list[float] = []
    chosen = choose(study, 0, study.splits.folds[0], folder, watch=lambda trial, loss: losses.append(loss))
    return chosen, losses


@pytest.mark.parametrize("scheme", ["k-fold", "nested"])
def test_search_takes_the_settings_of_least_loss(scheme: str, cohort: Cohort, tmp_path: Path) -> None:
    study = study_of(cohort, config(search={"trials": 3}, fit={"epochs": 2}, splits={"scheme": scheme, "inner": 2}))
    chosen, losses = losses_of(study, tmp_path)
    assert len(losses) == 3
    seeds = [study.seed(0, 1, t) for t in range(3)]
    first = Candidate(study.spec, study.config.fit)
    tried = [first, *(propose(first, Drawn(seed)) for seed in seeds[1:])]
    assert chosen == tried[int(np.argmin(losses))]
    assert losses_of(study, tmp_path)[1] == losses


def test_search_without_cases_to_judge_by_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    study = study_of(cohort, config(search={"trials": 2}, splits={"validation": 0.0}))
    with pytest.raises(UsageError, match="a search needs validation cases"):
        run_folds(study, tmp_path)


def test_optuna_that_is_not_installed_is_named(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    study = study_of(cohort, config(search={"trials": 2, "sampler": "optuna"}))
    with pytest.raises(UsageError, match="pip install optuna"):
        run_folds(study, tmp_path)


def test_real_optuna_proposes_other_settings_and_the_same_again(cohort: Cohort, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    study = study_of(cohort, config(search={"trials": 3, "sampler": "optuna"}, fit={"epochs": 1}))
    chosen, losses = losses_of(study, tmp_path / "first")
    assert (chosen, losses) == losses_of(study, tmp_path / "second")
    assert len(set(losses)) == 3


def test_optuna_is_asked_and_told(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    class Trial:
        def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
            assert log
            return high if name == "learning_rate" else low

        def suggest_categorical(self, name: str, values: list[float]) -> float:
            return values[0]

    asked = types.SimpleNamespace(ask=Trial, tell=lambda trial, loss: told.append(loss))
    fake = types.SimpleNamespace(
        logging=types.SimpleNamespace(set_verbosity=lambda level: None, WARNING=30),
        samplers=types.SimpleNamespace(TPESampler=lambda seed: seed),
        create_study=lambda sampler: asked,
    )
    monkeypatch.setitem(sys.modules, "optuna", fake)
    study = study_of(cohort, config(search={"trials": 3, "sampler": "optuna"}, fit={"epochs": 1}))
    losses = losses_of(study, tmp_path)[1]
    assert told == losses[1:]
