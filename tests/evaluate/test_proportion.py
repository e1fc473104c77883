"""Shares have Wilson's interval, by patient where patients have several cases."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import recall_score

from tests.evaluate.draw import study
from wsi.evaluate import sensitivity_specificity, share


def test_interval_is_wilsons() -> None:
    for hits, n in ((0, 7), (3, 7), (7, 7), (50, 61), (1, 1000)):
        figure = share("x", np.arange(n) < hits)
        expected = binomtest(hits, n).proportion_ci(method="wilson")
        assert (figure.low, figure.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert (figure.count, figure.n) == (hits, n)


def test_sensitivity_and_specificity_equal_scikit_learn() -> None:
    for seed in range(200):
        drawn = study(seed)
        called = drawn.scores >= 0.5
        found = [one.value for one in sensitivity_specificity(drawn.labels, called)]
        expected = [recall_score(drawn.labels, called, pos_label=side) for side in (1, 0)]
        assert found == pytest.approx(expected, abs=1e-12)


def test_class_that_is_lacking_takes_only_its_own_share() -> None:
    sensitivity, specificity = sensitivity_specificity([0, 0, 0], [True, False, False])
    assert sensitivity.value is None
    assert sensitivity.reason == "no case is positive (of 3)"
    assert specificity.value == pytest.approx(2 / 3)
    assert specificity.denominator == "2 of 3"


def test_repeated_cases_add_no_evidence() -> None:
    hits = np.arange(30) < 21
    once = share("x", hits)
    fourfold = share("x", np.repeat(hits, 4), patients=np.repeat(np.arange(30), 4))
    assert fourfold.value == once.value
    assert fourfold.low is not None
    assert once.low is not None
    assert fourfold.low <= once.low + 1e-12
    assert fourfold.low == pytest.approx(once.low, abs=0.02)
    assert fourfold.denominator == "84 of 120, 30 patients"


def test_no_case_is_not_estimable() -> None:
    assert share("x", []).reason == "there is no such case"
