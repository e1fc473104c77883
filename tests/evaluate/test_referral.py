"""A referral rule keeps what it states, on cases it never saw, also where patients have several."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import binom

from wsi.errors import UsageError
from wsi.evaluate import Test, Threshold, Validation, fit_referral


def draw(rng: np.random.Generator, n: int, classes: int, *, sharp: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    logits = rng.normal(0, 1, (n, classes))
    truth = np.array([rng.choice(classes, p=row) for row in softmax(sharp * logits, axis=1)])
    return truth.astype(float), 3 * logits


def names(start: str, n: int) -> tuple[str, ...]:
    return tuple(f"{start}{k}" for k in range(n))


@pytest.mark.parametrize("by_class", [False, True])
def test_likely_classes_hold_the_true_one_as_often_as_stated(by_class: bool) -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        truth, logits = draw(rng, 300, 3)
        rule = fit_referral(
            Validation("multiclass", truth[:200], logits[:200], names("v", 200)), alpha=0.1, by_class=by_class
        )
        likely = rule.likely(Test("multiclass", truth[200:], logits[200:], names("t", 100)))
        hits = likely[np.arange(100), truth[200:].astype(int)]
        found.append([hits[truth[200:] == k].mean() for k in range(3)] if by_class else [hits.mean()])
    for coverage in np.mean(found, axis=0):
        assert 0.88 <= coverage <= 0.92


def test_coverage_holds_where_patients_have_several_cases() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        owner = np.repeat(np.arange(120), rng.integers(1, 8, 120))
        hard = rng.random(120)[owner] < 0.3  # patients whose every case misleads
        odds = rng.normal(0, 2, len(owner))
        truth = np.where(hard, rng.random(len(owner)) < expit(-odds), rng.random(len(owner)) < expit(odds)).astype(
            float
        )
        seen = owner < 100
        patients = np.array([f"p{one}" for one in owner])
        cases = np.array(names("c", len(owner)))
        rule = fit_referral(
            Validation("binary", truth[seen], odds[seen, None], tuple(cases[seen]), tuple(patients[seen])), alpha=0.1
        )
        test = Test("binary", truth[~seen], odds[~seen, None], tuple(cases[~seen]), tuple(patients[~seen]))
        hits = rule.likely(test)[np.arange((~seen).sum()), truth[~seen].astype(int)]
        found.append(np.mean([hits[owner[~seen] == one].mean() for one in range(100, 120)]))
    assert 0.88 <= np.mean(found) <= 0.93


def test_binary_rule_is_a_band_of_probabilities() -> None:
    rng = np.random.default_rng(2)
    odds = rng.normal(0, 2, 400)
    truth = (rng.random(400) < expit(odds)).astype(float)
    rule = fit_referral(Validation("binary", truth, odds[:, None], names("v", 400)), alpha=0.1)
    test = Test("binary", np.zeros(999), np.linspace(-6, 6, 999)[:, None], names("t", 999))
    assert rule.band is not None
    low, high = rule.band
    chances = test.probabilities[:, 1]
    inside = (chances > low + 1e-9) & (chances < high - 1e-9)
    outside = (chances < low - 1e-9) | (chances > high + 1e-9)
    assert 0 < low < 0.5 < high < 1
    assert rule.refer(test)[inside].all()
    assert not rule.refer(test)[outside].any()
    assert rule.referred.value == pytest.approx(((expit(odds) > low) & (expit(odds) < high)).mean(), abs=0.01)
    assert "90%" in rule.promise


@pytest.mark.parametrize(("sharp", "cut"), [(1.0, 0.1), (1.0, 0.5), (1.0, 0.93), (4.0, 0.02), (4.0, 0.5), (4.0, 0.98)])
def test_nobody_is_called_what_the_rule_holds_unlikely(sharp: float, cut: float) -> None:
    rng = np.random.default_rng(3)
    odds = rng.normal(0, 2, 400)
    truth = (rng.random(400) < expit(sharp * odds)).astype(float)
    validation = Validation("binary", truth, odds[:, None], names("v", 400))
    alone = fit_referral(validation, alpha=0.1)
    rule = alone.with_calls(Threshold.stated(cut, by="a test"), validation)
    test = Test("binary", np.zeros(999), np.linspace(-6, 6, 999)[:, None], names("t", 999))
    called, kept = test.probabilities[:, 1] >= cut, ~rule.refer(test)
    assert kept.any()
    assert (rule.likely(test)[kept, 1] == called[kept]).all()
    assert (rule.likely(test)[kept, 0] != called[kept]).all()
    assert not (alone.refer(test) & kept).any()
    assert rule.band is not None
    low, high = rule.band
    assert low <= cut <= high
    chances = test.probabilities[:, 1]
    assert ((chances > low) & (chances < high) <= ~kept).all()
    assert rule.referred.value == pytest.approx(((expit(odds) > low) & (expit(odds) < high)).mean(), abs=0.01)


def test_too_few_patients_refer_everyone() -> None:
    few = Validation("binary", np.array([0.0, 1, 0, 1]), np.array([[-9.0], [9], [-9], [9]]), tuple("abcd"))
    test = Test("binary", np.array([1.0]), np.array([[9.0]]), ("e",))
    for method in ("conformal", "risk"):
        assert fit_referral(few, alpha=0.1, method=method).refer(test).all()  # 4 patients can't show 90 %


def test_risk_of_those_not_referred_stays_below_alpha_with_the_stated_confidence() -> None:
    rng = np.random.default_rng(3)
    broken, kept = 0, 0
    for _ in range(200):
        odds = rng.normal(0, 2, 300)
        truth = (rng.random(300) < expit(odds)).astype(float)
        rule = fit_referral(
            Validation("binary", truth, 2 * odds[:, None], names("v", 300)), alpha=0.15, method="risk", doubt=0.1
        )
        grid = np.linspace(-8, 8, 4001)
        weight = np.exp(-(grid**2) / 8)
        sure = ~rule.refer(Test("binary", np.zeros(4001), 2 * grid[:, None], names("t", 4001)))
        if sure.any():
            kept += 1
            broken += (weight * expit(-np.abs(grid)))[sure].sum() / weight[sure].sum() > 0.15
    assert kept > 150
    assert broken <= binom.ppf(0.995, kept, 0.1)


def test_wrong_use_is_told() -> None:
    cases = Validation("multiclass", np.array([0.0, 1]), np.eye(3)[:2], ("a", "b"))
    with pytest.raises(UsageError, match="there is none of class 2"):
        fit_referral(cases, by_class=True)
    with pytest.raises(UsageError, match="shares between 0 and 1"):
        fit_referral(cases, alpha=1.0)
    with pytest.raises(UsageError, match="for 3 classes, these cases have 2"):
        fit_referral(cases).refer(Test("binary", np.zeros(1), np.zeros((1, 1)), ("t",)))
    assert fit_referral(cases).band is None


def test_patient_with_many_cases_counts_once() -> None:
    """18 of 20 (19 patients and the one to come) reach 0.9 without the patient whose hundred cases mislead."""
    truth = np.ones(118)
    chances = np.concatenate([np.full(18, 0.9), np.full(100, 0.2)])
    patients = (*names("p", 18), *("many",) * 100)
    outputs = np.stack([1 - chances, chances], axis=1)
    rule = fit_referral(Validation("binary", truth, outputs, names("v", 118), patients, "probability"), alpha=0.1)
    assert rule.least == (0.9, 0.9)
    alone = fit_referral(Validation("binary", truth, outputs, names("v", 118), (), "probability"), alpha=0.1)
    assert alone.least == (0.2, 0.2)
