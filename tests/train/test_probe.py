"""The baseline against scikit-learn's linear models."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from wsi.train import probe
from wsi.train.probe import fit_probe, mean_rows
from wsi.train.tasks import Task, fitted

RNG = np.random.default_rng(7)
ROWS = RNG.normal(0, 1, (40, 6)) * np.arange(1, 7) + 3
TRAIN, VALIDATION = tuple(range(30)), tuple(range(30, 40))


def standard() -> tuple[np.ndarray, np.ndarray]:
    scaler = StandardScaler().fit(ROWS[:30])
    return scaler.transform(ROWS[:30]), scaler.transform(ROWS)


def test_binary_probe_is_the_logistic_regression_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "RIDGES", (4.0,))
    labels = (ROWS[:, 0] + RNG.normal(0, 1, 40) > 3).astype(np.float64)
    found = fit_probe(ROWS, labels[:, None], Task("binary", ("a", "b")), train=TRAIN, validation=VALIDATION)
    inputs, every = standard()
    expected = LogisticRegression(C=1 / 4.0, tol=1e-9, max_iter=1000).fit(inputs, labels[:30])
    np.testing.assert_allclose(found(ROWS)[:, 0], expected.decision_function(every), atol=1e-4)


def test_balanced_multiclass_probe_is_that_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "RIDGES", (2.0,))
    labels = np.digitize(ROWS[:, 0], [1.5, 3.0]).astype(np.float64)
    task = fitted(Task("multiclass", ("a", "b", "c")), labels[:30, None], balanced=True)
    found = fit_probe(ROWS, labels[:, None], task, train=TRAIN, validation=VALIDATION)(ROWS)
    inputs, every = standard()
    expected = LogisticRegression(C=0.5, class_weight="balanced", tol=1e-9, max_iter=1000).fit(inputs, labels[:30])
    np.testing.assert_allclose(found - found.mean(axis=1, keepdims=True), expected.decision_function(every), atol=1e-4)


def test_regression_probe_is_ridge_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "RIDGES", (3.0,))
    labels = 5 * ROWS[:, 1] + 20 + RNG.normal(0, 1, 40)
    task = Task("regression", center=float(labels[:30].mean()), scale=float(labels[:30].std()))
    found = fit_probe(ROWS, labels[:, None], task, train=TRAIN, validation=VALIDATION)(ROWS)
    inputs, every = standard()
    expected = Ridge(alpha=1.5).fit(inputs, labels[:30]).predict(every)  # (y - Xw)^2 + 3/2 w^2
    np.testing.assert_allclose(found[:, 0] * task.scale + task.center, expected, atol=1e-4)


def test_ridge_is_that_of_least_validation_loss_and_test_cases_play_no_part() -> None:
    labels = (RNG.random(40) < 0.5).astype(np.float64)[:, None]  # nothing to learn: the strongest ridge
    task = Task("binary", ("a", "b"))
    found = fit_probe(ROWS, labels, task, train=TRAIN, validation=VALIDATION)(ROWS)
    assert np.ptp(found) < 0.5
    changed = labels.copy()
    used = (*range(10), *range(20, 30))
    changed[35:] = 1 - changed[35:]
    one, other = (fit_probe(ROWS, y, task, train=used, validation=range(30, 35))(ROWS) for y in (labels, changed))
    np.testing.assert_array_equal(one, other)


def test_ordinal_and_survival_probes_rank_by_what_they_learned() -> None:
    grades = np.digitize(ROWS[:, 0], [2.0, 3.0, 4.0]).astype(np.float64)[:, None]
    task = Task("ordinal", ("0", "1", "2", "3"))
    found = fit_probe(ROWS, grades, task, train=TRAIN, validation=VALIDATION)(ROWS)
    assert (np.diff(found, axis=1) <= 0).all()
    assert np.corrcoef(found[30:, 1], grades[30:, 0])[0, 1] > 0.8
    times = np.stack([np.exp(-ROWS[:, 0]), np.ones(40)], axis=1)
    hazard = fit_probe(ROWS, times, Task("survival"), train=TRAIN, validation=VALIDATION)(ROWS)
    assert np.corrcoef(hazard[30:, 0], ROWS[30:, 0])[0, 1] > 0.8


def test_rows_are_the_means_of_the_tiles() -> None:
    bags = [np.array([[1.0, 2], [3, 6]], np.float32), np.array([[5.0, 5]], np.float32)]
    assert mean_rows(bags.__getitem__, 2).tolist() == [[2.0, 4.0], [5.0, 5.0]]
