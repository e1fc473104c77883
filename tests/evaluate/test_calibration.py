"""Brier score, calibration error, reliability, slope and intercept against scikit-learn and sums by hand."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from tests.evaluate.draw import classes, study
from wsi.evaluate import brier, calibration_slope, expected_calibration_error, reliability


def test_brier_score_equals_scikit_learn() -> None:
    for seed in range(200):
        drawn = study(seed)
        assert brier(drawn.labels, drawn.scores).value == pytest.approx(
            brier_score_loss(drawn.labels, drawn.scores), abs=1e-12
        )


def test_brier_score_of_several_classes_is_the_sum_over_them() -> None:
    for seed in range(50):
        drawn = classes(seed)
        expected = np.mean(
            [((p - np.eye(len(p))[y]) ** 2).sum() for y, p in zip(drawn.truth, drawn.probabilities, strict=True)]
        )
        assert brier(drawn.truth, drawn.probabilities).value == pytest.approx(expected, abs=1e-12)


def test_calibration_error_equals_the_gaps_of_scikit_learns_curve() -> None:
    for seed in range(200):
        drawn = study(seed)
        happened, said = calibration_curve(drawn.labels, drawn.scores, n_bins=10)
        sizes = np.bincount(np.digitize(drawn.scores, np.linspace(0, 1, 11)[1:-1]), minlength=10)
        ours = expected_calibration_error(drawn.labels, drawn.scores).value
        edges = np.isclose(drawn.scores * 10, np.round(drawn.scores * 10))
        if edges.any():
            continue  # which bin an edge belongs to differs
        assert ours == pytest.approx((np.abs(happened - said) * sizes[sizes > 0]).sum() / sizes.sum(), abs=1e-12)


def test_calibration_error_by_hand() -> None:
    labels, chances = [0, 0, 1, 1, 0], [0.1, 0.1, 0.9, 0.9, 0.9]
    assert expected_calibration_error(labels, chances).value == pytest.approx((2 * 0.1 + 3 * (0.9 - 2 / 3)) / 5)
    assert expected_calibration_error(labels, chances, by="count", bins=2).value == pytest.approx(
        (2 * 0.1 + 3 * (0.9 - 2 / 3)) / 5
    )
    several = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.7, 0.3, 0.0]])
    assert expected_calibration_error([0, 1, 1], several).value == pytest.approx((2 * abs(0.7 - 0.5) + 0.8) / 3)


def test_reliability_counts_every_case_once_and_keeps_equals_together() -> None:
    for seed in range(60):
        drawn = study(seed)
        for by in ("width", "count"):
            bins = reliability(drawn.labels, drawn.scores, by=by)
            assert sum(one.happened.n for one in bins) == len(drawn.labels)
            said = [one.said for one in bins]
            assert said == sorted(set(said))
            assert sum(one.happened.count or 0 for one in bins) == drawn.labels.sum()
    assert len(reliability([0, 1, 1, 0], [0.5] * 4)) == 1


def test_slope_and_intercept_are_those_of_a_logistic_regression() -> None:
    compared = 0
    for seed in range(0, 80, 2):
        drawn = study(seed)
        x = logit(drawn.scores)
        slope, intercept = calibration_slope(drawn.labels, drawn.scores)
        if slope.value is None:
            continue
        model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=5000, solver="newton-cholesky").fit(
            x[:, None], drawn.labels
        )
        assert slope.value == pytest.approx(model.coef_[0, 0], rel=1e-6)
        assert intercept.value is not None
        assert expit(x + intercept.value).mean() == pytest.approx(drawn.labels.mean(), abs=1e-9)  # its score equation
        compared += 1
    assert compared > 30


def test_twofold_log_odds_have_slope_one_half() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 1.5, 20_000)
    labels = rng.random(20_000) < expit(odds)
    slope, intercept = calibration_slope(labels, expit(2 * odds))
    assert slope.value == pytest.approx(0.5, abs=0.02)
    assert slope.low is not None
    assert slope.high is not None
    assert slope.low < 0.5 < slope.high
    shifted = calibration_slope(labels, expit(odds + 1))[1]
    assert shifted.value == pytest.approx(-1, abs=0.06)
    assert intercept.value == pytest.approx(0, abs=0.1)


def test_what_is_not_estimable_says_why() -> None:
    slope, intercept = calibration_slope([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert "without error" in slope.reason
    assert intercept.value is not None
    assert "no case is positive" in calibration_slope([0, 0], [0.1, 0.2])[0].reason
    assert brier([0, np.nan], [0.1, 0.2]).reason == "1 of 2 labels are missing"
    assert expected_calibration_error([], []).reason == "there is no case"
    assert brier([0, 0], [0.1, 0.2]).value == pytest.approx(0.025)  # one class suffices
    assert reliability([0, 1], [0.1, np.nan]) == ()
    with pytest.raises(ValueError, match="from 0 to 1"):
        brier([0, 1], [0.1, 1.5])


def test_repeated_cases_add_no_evidence_to_the_slope() -> None:
    drawn = study(6)
    once = calibration_slope(drawn.labels, drawn.scores)[0]
    patients = np.repeat(np.arange(len(drawn.labels)), 3)
    thrice = calibration_slope(np.repeat(drawn.labels, 3), np.repeat(drawn.scores, 3), patients=patients)[0]
    assert thrice.value == pytest.approx(once.value)
    x, y = logit(drawn.scores), drawn.labels
    slope, intercept = once.value, calibration_slope_intercept(x, y, once.value or 0.0)
    design = np.stack([x, np.ones_like(x)], axis=1)
    chance = expit(design @ np.array([slope, intercept]))
    bread = np.linalg.inv((design * (chance * (1 - chance))[:, None]).T @ design)
    pull = design * (y - chance)[:, None]
    n = len(y)
    variance = (bread @ (pull.T @ pull) @ bread)[0, 0] * n / (n - 1)  # of patients, whatever their repeats
    assert thrice.low is not None
    assert thrice.value is not None
    assert thrice.value - thrice.low == pytest.approx(1.959963985 * np.sqrt(variance), abs=1e-6)


def calibration_slope_intercept(x: np.ndarray, y: np.ndarray, slope: float) -> float:
    """Return the intercept that goes with a slope: the mean of the probabilities is that of the labels."""
    return float(brentq(lambda b: expit(slope * x + b).mean() - y.mean(), -50, 50))
