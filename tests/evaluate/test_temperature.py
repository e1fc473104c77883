"""Logits that are three times too large become honest; the order of cases stays."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from wsi.evaluate import Test, Validation, auc, expected_calibration_error, fit_temperature
from wsi.evaluate.predictions import ClassKind


def parts(kind: ClassKind, truth: np.ndarray, logits: np.ndarray) -> tuple[Validation, Test]:
    half = len(truth) // 2
    names = tuple(f"case {k}" for k in range(len(truth)))
    return (
        Validation(kind, truth[:half].astype(float), logits[:half], names[:half]),
        Test(kind, truth[half:].astype(float), logits[half:], names[half:]),
    )


def test_threefold_binary_logits_are_mended_on_cases_never_seen() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0.4, 0.7, (6000, 1))
    validation, test = parts("binary", rng.random(6000) < expit(logits[:, 0]), 3 * logits)
    found = fit_temperature(validation)
    after = found.apply(test)
    gaps = [expected_calibration_error(test.truth, one.probabilities[:, 1]).value for one in (test, after)]
    assert gaps[0] is not None
    assert gaps[1] is not None
    assert gaps[0] >= 0.15
    assert gaps[1] <= 0.03
    assert found.temperature == pytest.approx(3, rel=0.15)
    assert auc(test.truth, after.score).value == pytest.approx(auc(test.truth, test.score).value, abs=1e-12)
    assert isinstance(after, Test)


def test_threefold_multiclass_logits_are_mended() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 0.8, (8000, 4))
    truth = np.array([rng.choice(4, p=row) for row in softmax(logits, axis=1)])
    validation, test = parts("multiclass", truth, 3 * logits)
    found = fit_temperature(validation)
    after = found.apply(test)
    gaps = [expected_calibration_error(test.truth, one.probabilities).value for one in (test, after)]
    assert gaps[0] is not None
    assert gaps[1] is not None
    assert gaps[0] >= 0.2
    assert gaps[1] <= 0.03
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.bias == 0
    np.testing.assert_array_equal(after.probabilities.argmax(axis=1), test.probabilities.argmax(axis=1))


def test_threefold_ordinal_logits_are_mended() -> None:
    rng = np.random.default_rng(2)
    score = rng.normal(0, 1, 6000)
    logits = score[:, None] + np.array([1.0, 0, -1])
    truth = (rng.logistic(size=6000)[:, None] < logits).sum(axis=1)
    found = fit_temperature(parts("ordinal", truth, 3 * logits)[0])
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.bias == pytest.approx(0, abs=0.1)


def test_fit_is_platts() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(size=60)
    labels = rng.random(60) < expit(logits)
    positives, negatives = labels.sum(), (~labels).sum()
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=5000, solver="newton-cholesky").fit(
        np.tile(logits, 2)[:, None], np.repeat([1, 0], 60), sample_weight=np.concatenate([targets, 1 - targets])
    )
    found = fit_temperature(Validation("binary", labels.astype(float), logits[:, None], tuple(map(str, range(60)))))
    assert 1 / found.temperature == pytest.approx(model.coef_[0, 0], abs=1e-7)
    assert found.bias == pytest.approx(model.intercept_[0], abs=1e-7)


def test_perfectly_separated_cases_dont_ask_for_certainty() -> None:
    logits = np.array([[-3.0], [-2], [2], [3]])
    found = fit_temperature(Validation("binary", np.array([0.0, 0, 1, 1]), logits, tuple("abcd")))
    chances = found.apply(Test("binary", np.array([1.0]), np.array([[3.0]]), ("e",))).probabilities
    assert 0.6 < chances[0, 1] < 0.9
    several = Validation("multiclass", np.array([0.0, 1, 2]), 9 * np.eye(3), tuple("abc"))
    assert 0.5 < fit_temperature(several).apply(several).probabilities[0, 0] < 0.8


def test_logits_that_tell_nothing_are_flattened_and_never_turned_around() -> None:
    validation = Validation(
        "binary", np.array([1.0, 1, 0, 0, 1]), np.array([[-3.0], [-2], [2], [3], [0]]), tuple("abcde")
    )
    found = fit_temperature(validation)
    assert found.temperature == 20
    assert "no better than chance" in found.reason
    chances = found.apply(validation).probabilities[:, 1]
    assert np.argsort(chances).tolist() == np.argsort(validation.outputs[:, 0]).tolist()
    assert chances.mean() == pytest.approx((3 * 4 / 5 + 2 / 4) / 5, abs=1e-9)  # the smoothed share of positive cases
    flat = fit_temperature(Validation("binary", np.array([1.0, 0]), np.zeros((2, 1)), ("a", "b")))
    assert flat.temperature == 20
    worst = Validation("multiclass", np.array([1.0, 2, 0]), 3 * np.eye(3), tuple("abc"))
    assert fit_temperature(worst).temperature == 20
