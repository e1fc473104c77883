"""Regression for probes, against scikit-learn."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge

from wsi.train.logistic import fit_linear, fit_logistic


def rows(count: int = 80, width: int = 4, seed: int = 0) -> NDArray[np.float64]:
    found = np.random.default_rng(seed).normal(size=(count, width))
    standard: NDArray[np.float64] = (found - found.mean(axis=0)) / found.std(axis=0)
    return standard


def test_two_classes_are_as_scikit_learns() -> None:
    x = rows()
    y = (x @ [1.0, -2.0, 0.5, 0.0] + np.random.default_rng(1).normal(size=80) > 0).astype(int)
    theirs = LogisticRegression(C=2.0, tol=1e-10, max_iter=5000).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(fit_logistic(x, y, count=2)(x), theirs, atol=1e-4)


@pytest.mark.parametrize("ridge", [0.1, 1.0, 10.0])
def test_three_classes_are_as_scikit_learns(ridge: float) -> None:
    x = rows()
    y = np.random.default_rng(2).integers(0, 3, 80)
    theirs = LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=5000).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(fit_logistic(x, y, count=3, ridge=ridge)(x), theirs, atol=1e-4)


def test_measured_values_are_as_scikit_learns() -> None:
    x, y = rows(), np.random.default_rng(3).normal(size=80)
    np.testing.assert_allclose(fit_linear(x, y, ridge=3.0)(x), Ridge(alpha=3.0).fit(x, y).predict(x), atol=1e-9)


def test_constant_columns_and_absent_classes_do_no_harm() -> None:
    x = np.column_stack([rows(width=1), np.full(80, 7.0)])
    found = fit_logistic(x, np.zeros(80, int), count=3)(x)
    assert np.isfinite(found).all()
    assert (found[:, 0] > 0.9).all()
    assert np.isfinite(fit_linear(x, x[:, 0])(x)).all()


def test_scale_of_a_column_changes_nothing() -> None:
    x = rows()
    y = (x[:, 0] > 0).astype(int)
    scaled = x * [1e-6, 1.0, 1e6, 3.0] + 5.0
    np.testing.assert_allclose(fit_logistic(scaled, y, count=2)(scaled), fit_logistic(x, y, count=2)(x), atol=1e-5)
