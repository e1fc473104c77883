"""DeLong's and Obuchowski's intervals equal the plain sums over all pairs."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm, t

from tests.evaluate.draw import clustered, study
from wsi.evaluate import auc_interval

Floats = NDArray[np.float64]


def above(one: float, other: float) -> float:
    return 1.0 if one > other else 0.5 if one == other else 0.0


def plain(labels: NDArray[np.int64], scores: Floats, owner: NDArray[np.int64]) -> tuple[float, float, float] | None:
    """Return the AUC, its variance (None where it is 0) and Welch's degrees of freedom: every pair looked at, every patient summed."""
    positive = [(s, o) for s, o, y in zip(scores, owner, labels, strict=True) if y]
    negative = [(s, o) for s, o, y in zip(scores, owner, labels, strict=True) if not y]
    m, n = len(positive), len(negative)
    over = [(np.mean([above(x, y) for y, _ in negative]), o) for x, o in positive]
    under = [(np.mean([above(x, y) for x, _ in positive]), o) for y, o in negative]
    area = float(np.mean([v for v, _ in over]))
    first = {p: sum(v - area for v, o in over if o == p) for p in {o for _, o in over}}
    second = {p: sum(v - area for v, o in under if o == p) for p in {o for _, o in under}}
    if min(len(first), len(second)) < 2 or not any([*first.values(), *second.values()]):
        return None
    everyone = set(first) | set(second)
    s10 = len(first) / ((len(first) - 1) * m) * sum(v**2 for v in first.values())
    s01 = len(second) / ((len(second) - 1) * n) * sum(v**2 for v in second.values())
    s11 = len(everyone) / (len(everyone) - 1) * sum(first.get(p, 0) * second.get(p, 0) for p in everyone)
    known = [max(sum(s) ** 2 / sum(x**2 for x in s) - 1, 0.5) for s in (sizes(positive), sizes(negative))]
    freedom = (s10 / m + s01 / n) ** 2 / ((s10 / m) ** 2 / known[0] + (s01 / n) ** 2 / known[1])
    return area, float(s10 / m + s01 / n + 2 * s11 / (m * n)), float(freedom)


def sizes(cases: list[tuple[float, int]]) -> list[int]:
    owners = [owner for _, owner in cases]
    return [owners.count(one) for one in set(owners)]


@pytest.mark.parametrize("by_patient", [False, True])
def test_interval_equals_the_plain_sums(by_patient: bool) -> None:
    for seed in range(100):
        drawn = study(seed, most=40)
        owner = drawn.patients if by_patient else np.arange(len(drawn.labels))
        found = plain(drawn.labels, drawn.scores, owner)
        if found is None:
            continue
        area, variance, freedom = found
        width = t.ppf(0.975, freedom) * np.sqrt(variance)
        figure = auc_interval(drawn.labels, drawn.scores, patients=drawn.patients if by_patient else None)
        assert figure.value == pytest.approx(area, abs=1e-12)
        ends = expit(logit(area) + np.array([-1, 1]) * width / (area * (1 - area)))
        assert (figure.low, figure.high) == pytest.approx(tuple(ends), abs=1e-9)
        linear = auc_interval(drawn.labels, drawn.scores, patients=owner, scale="linear")
        assert (linear.low, linear.high) == pytest.approx((max(0, area - width), min(1, area + width)), abs=1e-9)


def test_perfect_order_has_no_false_certainty() -> None:
    few = auc_interval([0] * 5 + [1] * 5, np.arange(10))
    many = auc_interval([0] * 50 + [1] * 50, np.arange(100))
    assert (few.value, few.high) == (1.0, 1.0)
    assert few.low is not None
    assert many.low is not None
    assert 0.5 < few.low < 0.8
    assert 0.9 < many.low < 1
    worst = auc_interval([1] * 5 + [0] * 5, np.arange(10))
    assert worst.low == 0.0
    assert worst.high == pytest.approx(1 - few.low, abs=1e-9)


def test_newcombe_interval_solves_its_equation() -> None:
    low = auc_interval([0] * 6 + [1] * 4, np.arange(10)).low
    assert low is not None
    spread = low * (1 - low) / 24 * (1 + 4 * (1 - low) / (2 - low) + 4 * low / (1 + low))
    assert 1 - low == pytest.approx(norm.ppf(0.975) * np.sqrt(spread), abs=1e-9)


def test_one_patient_behind_a_class_gives_no_interval() -> None:
    figure = auc_interval([1, 1, 0, 0, 0], [0.9, 0.3, 0.4, 0.2, 0.1], patients=["a", "a", "b", "c", "d"])
    assert figure.value == pytest.approx(5 / 6)
    assert figure.low is None
    assert figure.reason == "no interval: all positive cases are of one patient"


def test_several_cases_of_a_patient_widen_the_interval() -> None:
    drawn = clustered(np.random.default_rng(5), patients=40, most=6, share=0.4, distance=1, icc=0.8, mixed=False)
    alone, together = (auc_interval(drawn.labels, drawn.scores, patients=p) for p in (None, drawn.patients))
    assert alone.low is not None
    assert together.low is not None
    assert together.low < alone.low - 0.02
    assert together.patients == 40


def test_scale_and_shift_of_scores_change_nothing() -> None:
    drawn = study(3)
    assert auc_interval(drawn.labels, drawn.scores) == auc_interval(drawn.labels, drawn.scores * 8 - 4)
