"""Risk over coverage: by hand, with ties, and its mean."""

import numpy as np
import pytest

from wsi.evaluate import risk_coverage


def test_curve_by_hand() -> None:
    found = risk_coverage([True, False, True, False], [0.9, 0.6, 0.8, 0.5])
    assert found.coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert found.risk == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert found.area.value == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert found.area.denominator == "2 of 4"
    at = found.at(0.8)
    assert (at.value, at.n) == (0.5, 4)
    assert found.at(0.75).value == pytest.approx(1 / 3)


def test_order_of_equals_is_of_no_consequence() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(2, 40))
        right, sure = rng.random(n) < 0.7, np.round(rng.random(n), 1)
        mixed = rng.permutation(n)
        one, other = risk_coverage(right, sure), risk_coverage(right[mixed], sure[mixed])
        np.testing.assert_allclose(one.risk, other.risk, atol=1e-12)
        every = []
        for _ in range(300):  # the mean over orders of equals
            order = np.lexsort((rng.random(n), -sure))
            every.append(np.cumsum(~right[order]) / np.arange(1, n + 1))
        assert one.area.value == pytest.approx(np.mean(every), abs=0.08)
        assert one.risk[-1] == pytest.approx((~right).mean())


def test_what_is_not_estimable_says_why() -> None:
    assert risk_coverage([], []).area.reason == "there is no case"
    broken = risk_coverage([True, False], [0.5, np.nan])
    assert broken.area.reason == broken.at(0.8).reason == "1 of 2 scores are not finite numbers"
    assert risk_coverage([True, True], [0.5, 0.6]).area.value == 0.0
    with pytest.raises(ValueError, match="at most 1"):
        risk_coverage([True], [0.5]).at(1.5)
