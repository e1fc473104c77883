"""Two models on the same cases: the covariance of their AUCs by all pairs, and by draws of patients."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from tests.evaluate.draw import study
from wsi.evaluate import auc, auc_interval, average_precision, compare_concordance, compare_models, concordance

Floats = NDArray[np.float64]


def rival(seed: int, scores: Floats) -> Floats:
    return np.round(scores + np.random.default_rng(seed + 1000).normal(0, 0.3, len(scores)), 2)


def pairwise(labels: NDArray[np.int64], scores: Floats) -> Floats:
    x, y = scores[labels == 1][:, None], scores[labels == 0][None]
    return np.asarray((x > y) + 0.5 * (x == y), np.float64)


def test_paired_delong_equals_the_sums_over_all_pairs() -> None:
    for seed in range(200):
        drawn = study(seed)
        other = rival(seed, drawn.scores)
        pairs = pairwise(drawn.labels, drawn.scores) - pairwise(drawn.labels, other)
        value = pairs.mean()
        if min(pairs.shape) < 2:
            continue
        variance = pairs.mean(axis=1).var(ddof=1) / len(pairs) + pairs.mean(axis=0).var(ddof=1) / pairs.shape[1]
        found = compare_models(drawn.labels, (drawn.scores, other))
        assert found.difference.value == pytest.approx(value, abs=1e-12)
        if variance < 1e-12:
            continue
        assert found.p == pytest.approx(2 * norm.sf(abs(value) / np.sqrt(variance)), abs=1e-9)
        width = norm.ppf(0.975) * np.sqrt(variance)
        ends = max(-1, value - width), min(1, value + width)
        assert (found.difference.low, found.difference.high) == pytest.approx(ends, abs=1e-9)
        assert found.first == auc_interval(drawn.labels, drawn.scores)


def test_correlation_of_two_curves_is_that_of_their_binormal_scores() -> None:
    """Hanley and McNeil 1983: of models whose scores share most of their noise, the difference is known far better."""
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 2
    common = rng.normal(size=4000)
    first, second = (labels + np.sqrt(0.9) * common + np.sqrt(0.1) * rng.normal(size=4000) for _ in range(2))
    independent = labels + rng.normal(size=4000)
    near, far = (compare_models(labels, (first, other)).difference for other in (second, independent))
    assert near.low is not None
    assert far.low is not None
    assert near.high is not None
    assert far.high is not None
    ratio = (near.high - near.low) ** 2 / (far.high - far.low) ** 2  # (1 - r) of the AUCs; r is near the scores' 0.9
    assert ratio == pytest.approx(0.11, abs=0.02)


def test_repeating_each_patient_changes_nothing() -> None:
    drawn = study(6)
    other = rival(6, drawn.scores)
    once = compare_models(drawn.labels, (drawn.scores, other))
    patients = np.repeat(np.arange(len(other)), 3)
    thrice = compare_models(*(_thrice(drawn.labels, drawn.scores, other)), patients=patients)
    assert thrice.p == pytest.approx(once.p, abs=0.01)
    without = compare_models(*(_thrice(drawn.labels, drawn.scores, other)))
    assert without.p is not None
    assert once.p is not None
    assert without.p < once.p


def _thrice(labels: NDArray[np.int64], *scores: Floats) -> tuple[NDArray[np.int64], tuple[Floats, Floats]]:
    first, second = (np.repeat(one, 3) for one in scores)
    return np.repeat(labels, 3), (first, second)


def test_bootstrap_agrees_with_delong() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 200)
    first, second = labels + rng.normal(size=200), 0.5 * labels + rng.normal(size=200)
    closed = compare_models(labels, (first, second))
    drawn = compare_models(labels, (first, second), method="bootstrap", measure=auc, rounds=1000)
    assert drawn.difference.value == pytest.approx(closed.difference.value)
    assert (drawn.difference.low, drawn.difference.high) == pytest.approx(
        (closed.difference.low, closed.difference.high), abs=0.02
    )
    assert drawn.p == pytest.approx(closed.p, abs=0.03)
    assert (
        compare_models(
            labels, (first, second), method="bootstrap", measure=average_precision, rounds=50
        ).difference.name
        == "AUPRC difference"
    )


def test_model_against_itself_does_not_differ() -> None:
    drawn = study(2)
    found = compare_models(drawn.labels, (drawn.scores, drawn.scores * 3))
    assert found.difference.value == 0.0
    assert found.p == 1.0
    assert found.difference.low is None
    bootstrapped = compare_models(drawn.labels, (drawn.scores, drawn.scores * 3), method="bootstrap", rounds=50)
    assert "same figure" in bootstrapped.difference.reason
    assert bootstrapped.p is None


def test_what_is_not_estimable_says_why() -> None:
    scores = np.array([0.1, 0.2, 0.3])
    none = compare_models([0, 0, 0], (scores, scores))
    assert (none.difference.value, none.p) == (None, None)
    assert none.difference.reason == "no case is positive (3 negative)"
    broken = compare_models([0, 1, 1], (scores, np.array([0.1, np.nan, 0.2])))
    assert broken.difference.reason == "second model: 1 of 3 scores are not finite numbers"
    lone = compare_models([0, 1, 0], (scores, scores[::-1]))
    assert lone.difference.value is not None
    assert lone.difference.reason == "no interval: all positive cases are of one patient"


def test_difference_of_two_concordances_is_near_that_of_draws() -> None:
    rng = np.random.default_rng(0)
    risk = rng.normal(size=200)
    death, leave = rng.exponential(np.exp(-risk)), rng.exponential(1.5, 200)
    times, events = np.minimum(death, leave), death <= leave
    risks = risk + rng.normal(0, 0.5, 200), risk + rng.normal(0, 1.5, 200)
    found = compare_concordance(times, events, risks=risks)
    drawn = []
    for _ in range(300):
        rows = rng.integers(0, 200, 200)
        one, other = (concordance(times[rows], events[rows], risk=r[rows]).value for r in risks)
        assert one is not None
        assert other is not None
        drawn.append(one - other)
    assert found.difference.low is not None
    assert found.difference.value is not None
    assert (found.difference.value - found.difference.low) / 1.96 == pytest.approx(np.std(drawn), rel=0.12)
    assert found.first == concordance(times, events, risk=risks[0])
    z = found.difference.value / (found.difference.value - found.difference.low) * 1.959963985
    assert found.p == pytest.approx(2 * norm.sf(abs(z)), abs=1e-6)


def test_same_risks_in_another_unit_do_not_differ() -> None:
    times, events, risk = [1.0, 2, 3, 4], [1, 1, 0, 1], np.array([3.0, 4, 1, 2])
    found = compare_concordance(times, events, risks=(risk, 2 * risk))
    assert (found.difference.value, found.p) == (0.0, 1.0)
    assert "doesn't vary" in found.difference.reason
    assert (
        compare_concordance([1, 2], [0, 0], risks=(risk[:2], risk[:2])).difference.reason
        == "no pair of cases has a known order"
    )
