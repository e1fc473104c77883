"""Kaplan-Meier, concordance and the censored Brier score against plain loops over cases and pairs."""

import warnings

import numpy as np
import pytest
from scipy import stats

from wsi.evaluate import concordance, concordance_ipcw, integrated_brier, kaplan_meier, survival_brier


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times with ties, events and risks with ties."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 40))
    risk = np.round(rng.normal(size=n), 1)
    death, leave = rng.exponential(np.exp(-risk)), rng.exponential(1.5, n)
    times = np.round(np.minimum(death, leave), 1) + 0.1
    return times, death <= leave, risk


def plain_censoring(times: np.ndarray, events: np.ndarray, until: float, *, before: bool) -> float:
    """Return the share not yet censored: a loop over the censored cases, those with an event then already gone."""
    share = 1.0
    for moment in sorted(set(times[~events])):
        if moment > until or (before and moment == until):
            break
        at_risk = (times > moment).sum() + ((times == moment) & ~events).sum()
        share *= 1 - ((times == moment) & ~events).sum() / at_risk
    return share


def plain_concordance(times: np.ndarray, events: np.ndarray, risk: np.ndarray, weights: np.ndarray) -> float | None:
    known = right = 0.0
    for i in range(len(times)):
        for j in range(len(times)):
            if events[i] and (times[i] < times[j] or (times[i] == times[j] and not events[j])):
                known += weights[i]
                right += weights[i] * (1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0)
    return right / known if known else None


def test_concordances_equal_the_sums_over_all_pairs() -> None:
    for seed in range(200):
        times, events, risk = draw(seed)
        expected = plain_concordance(times, events, risk, np.ones(len(times)))
        assert concordance(times, events, risk=risk).value == pytest.approx(expected, abs=1e-9)
        free = np.array([plain_censoring(times, events, t, before=True) for t in times])
        weights = np.array([1 / g**2 if g > 0 else 0 for g in free])
        expected = plain_concordance(times, events, risk, weights)
        assert concordance_ipcw(times, events, risk=risk).value == pytest.approx(expected, abs=1e-9)
        early = plain_concordance(times, events, risk, weights * (times < 0.6))
        assert concordance_ipcw(times, events, risk=risk, until=0.6).value == pytest.approx(early, abs=1e-9)


def test_interval_of_the_concordance_is_near_that_of_draws() -> None:
    rng = np.random.default_rng(0)
    risk = rng.normal(size=150)
    times, leave = rng.exponential(np.exp(-0.8 * risk)), rng.exponential(1.5, 150)
    seen, events = np.minimum(times, leave), times <= leave
    figure = concordance(seen, events, risk=risk)
    drawn = []
    for _ in range(300):
        rows = rng.integers(0, 150, 150)
        drawn.append(concordance(seen[rows], events[rows], risk=risk[rows]).value)
    assert figure.low is not None
    assert figure.high is not None
    assert (figure.high - figure.low) / 3.92 == pytest.approx(np.std(np.array(drawn, float)), rel=0.15)


def test_without_censoring_uno_is_harrell() -> None:
    times, _, risk = draw(3)
    everyone = np.ones(len(times), bool)
    assert concordance_ipcw(times, everyone, risk=risk).value == concordance(times, everyone, risk=risk).value


def test_kaplan_meier_equals_scipys() -> None:
    for seed in range(100):
        times, events, _ = draw(seed)
        if not events.any():
            continue
        ours = kaplan_meier(times, events)
        theirs = stats.ecdf(stats.CensoredData(uncensored=times[events], right=times[~events])).sf
        np.testing.assert_allclose(ours.at(theirs.quantiles), theirs.probabilities, atol=1e-12)
        with warnings.catch_warnings(action="ignore"):  # where the share is 0 or 1
            ends = theirs.confidence_interval(method="log-log")
        rows = np.searchsorted(ours.times, ends.low.quantiles)
        for mine, other in ((ours.low, ends.low), (ours.high, ends.high)):
            inside = (ours.share[rows] > 0) & (ours.share[rows] < 1)
            np.testing.assert_allclose(mine[rows][inside], other.probabilities[inside], atol=1e-9)
        assert ours.at_risk[0] == len(times)
        assert ours.events.sum() == events.sum()


def test_brier_score_equals_the_sum_over_cases() -> None:
    compared = 0
    for seed in range(200):
        times, events, _ = draw(seed)
        at = np.quantile(times, [0.1, 0.3, 0.5, 0.7])
        if (np.diff(at) <= 0).any():
            continue
        said = np.sort(np.random.default_rng(seed).random((len(times), 4)), axis=1)[:, ::-1]
        found = survival_brier(times, events, survival=said, at=at)
        for moment, column, figure in zip(at, said.T, found, strict=True):
            total = 0.0
            free = plain_censoring(times, events, moment, before=False)
            if not free:
                assert figure.value is None
                continue
            for t, e, p in zip(times, events, column, strict=True):
                if t <= moment and e:
                    total += p**2 / plain_censoring(times, events, t, before=True)
                elif t > moment:
                    total += (1 - p) ** 2 / free
            assert figure.value == pytest.approx(total / len(times), abs=1e-9)
            compared += 1
        if all(one.value is not None for one in found):
            values = np.array([one.value for one in found], float)
            mean = ((values[1:] + values[:-1]) / 2 * np.diff(at)).sum() / (at[-1] - at[0])
            assert integrated_brier(times, events, survival=said, at=at).value == pytest.approx(mean, abs=1e-9)
    assert compared > 300


def test_saying_one_half_gets_a_quarter() -> None:
    times, events = np.arange(1.0, 41), np.ones(40, bool)
    assert integrated_brier(times, events, survival=np.full((40, 3), 0.5), at=[5, 10, 20]).value == pytest.approx(0.25)


def test_what_is_not_estimable_says_why() -> None:
    assert concordance([], [], risk=[]).reason == "there is no case"
    assert concordance([1, 2], [0, 0], risk=[1, 2]).reason == "no pair of cases has a known order"
    assert concordance_ipcw([1, 2], [0, 0], risk=[1, 2]).reason == "no case has the event (of 2)"
    assert concordance([1, np.nan], [0, 1], risk=[1, 2]).reason == "1 of 2 times or events are missing"
    assert concordance([1, 2], [1, 1], risk=[1, np.nan]).reason == "1 of 2 risks are not finite numbers"
    lone = concordance([1, 2, 3], [1, 1, 1], risk=[3, 1, 2], patients=["a"] * 3)
    assert lone.value == pytest.approx(2 / 3)
    assert "of one patient" in lone.reason
    assert "in the same order" in concordance([1, 2, 3], [1, 1, 1], risk=[3, 2, 1]).reason
    late = integrated_brier([1, 2], [1, 0], survival=[[1, 0.5], [1, 0.5]], at=[1, 5])
    assert late.reason == "nobody was followed up to 5 (the longest: 2)"
    gone = survival_brier([1, 2], [1, 0], survival=[[0.5], [0.5]], at=[2])[0]
    assert gone.reason == "all cases are censored by 2"
    assert "two times" in integrated_brier([1, 2], [1, 0], survival=[[1], [1]], at=[1]).reason
    with pytest.raises(ValueError, match="events must be 0 or 1, found 2"):
        concordance([1, 2], [1, 2], risk=[1, 2])
    with pytest.raises(ValueError, match="can't be negative"):
        concordance([-1, 2], [1, 1], risk=[1, 2])
