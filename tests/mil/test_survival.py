"""Survival curves against closed forms."""

import math

import pytest
import torch

from wsi.mil import cox_curve, discrete_curve, risk_within


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_who_lives_through_a_bin_lived_through_all_before() -> None:
    hazards = torch.tensor([logit(0.1), logit(0.5), logit(0.2)], dtype=torch.float64)
    curve = discrete_curve(hazards)
    assert curve.tolist() == pytest.approx([0.9, 0.45, 0.36], abs=1e-12)
    assert risk_within(curve).item() == pytest.approx(0.64, abs=1e-12)


def test_a_constant_hazard_gives_powers() -> None:
    curve = discrete_curve(torch.full((2, 6), logit(0.3), dtype=torch.float64))
    assert curve[1].tolist() == pytest.approx([0.7**k for k in range(1, 7)], abs=1e-12)


def test_hazards_that_are_sure_give_none_or_all_and_stay_finite() -> None:
    assert discrete_curve(torch.tensor([-200.0, 200.0, -200.0])).tolist() == pytest.approx([1.0, 0.0, 0.0])


def test_twice_the_hazard_squares_the_curve() -> None:
    baseline = torch.tensor([0.9, 0.6, 0.5], dtype=torch.float64)
    log_hazards = torch.tensor([0.0, math.log(2), -math.inf], dtype=torch.float64)
    found = cox_curve(log_hazards, baseline)
    assert found[0].tolist() == pytest.approx([0.9, 0.6, 0.5], abs=1e-12)
    assert found[1].tolist() == pytest.approx([0.81, 0.36, 0.25], abs=1e-12)
    assert found[2].tolist() == [1.0, 1.0, 1.0]


def test_an_exponential_baseline_stays_exponential() -> None:
    times = torch.linspace(0, 5, 11, dtype=torch.float64)
    found = cox_curve(torch.tensor(0.7, dtype=torch.float64), torch.exp(-0.2 * times))
    assert torch.allclose(found, torch.exp(-0.2 * math.exp(0.7) * times), atol=1e-12)
