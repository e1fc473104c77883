"""Net benefit by counting, and what it is at the ends."""

import numpy as np
import pytest

from tests.evaluate.draw import study
from wsi.evaluate import decision_curve


def test_net_benefit_equals_the_count() -> None:
    for seed in range(200):
        drawn = study(seed)
        curve = decision_curve(drawn.labels, drawn.scores)
        n = len(drawn.labels)
        for at, ours, everyone in zip(curve.thresholds, curve.model, curve.treat_all, strict=True):
            called = drawn.scores >= at
            hits, false = (called & (drawn.labels == 1)).sum(), (called & (drawn.labels == 0)).sum()
            assert ours == pytest.approx(hits / n - false / n * at / (1 - at), abs=1e-12)
            share = drawn.labels.mean()
            assert everyone == pytest.approx(share - (1 - share) * at / (1 - at), abs=1e-9)


def test_threshold_of_0_treats_all_and_perfect_model_has_the_prevalence() -> None:
    curve = decision_curve([0, 0, 0, 1], [0.0, 0.0, 0.0, 1.0], thresholds=[0.0, 0.5, 0.9])
    assert curve.model[0] == curve.treat_all[0] == 0.25
    assert curve.model.tolist() == [0.25] * 3


def test_what_is_not_estimable_says_why() -> None:
    assert decision_curve([0, 0], [0.1, 0.2]).reason == "no case is positive (2 negative)"
    assert len(decision_curve([0, 0], [0.1, 0.2]).model) == 0
    with pytest.raises(ValueError, match="below 1"):
        decision_curve([0, 1], [0.1, 0.2], thresholds=np.array([1.0]))
