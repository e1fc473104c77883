"""A threshold follows its rule on validation cases, and says what it reaches there."""

import numpy as np
import pytest

from tests.evaluate.draw import study
from wsi.errors import UsageError
from wsi.evaluate import Test, Threshold, Validation, choose_threshold


def validation(labels: np.ndarray, chances: np.ndarray) -> Validation:
    outputs = np.stack([1 - chances, chances], axis=1)
    return Validation("binary", labels.astype(float), outputs, tuple(map(str, range(len(labels)))), scale="probability")


def reached(labels: np.ndarray, chances: np.ndarray, at: float) -> tuple[float, float]:
    return float((chances >= at)[labels == 1].mean()), float((chances < at)[labels == 0].mean())


def every(labels: np.ndarray, chances: np.ndarray) -> list[tuple[float, float]]:
    """Return what each possible threshold reaches, but the one that calls nothing."""
    return [reached(labels, chances, at) for at in np.unique(chances)]


def test_each_rule_is_the_best_that_can_be_reached() -> None:
    for seed in range(200):
        drawn = study(seed)
        given = validation(drawn.labels, drawn.scores)
        possible = every(drawn.labels, drawn.scores)
        best = choose_threshold(given)
        assert sum(reached(drawn.labels, drawn.scores, best.value)) == pytest.approx(max(map(sum, possible)), abs=1e-12)
        for floor in (0.8, 0.95, 1.0):
            found = choose_threshold(given, rule=f"sensitivity>={floor}")
            sensitivity, specificity = reached(drawn.labels, drawn.scores, found.value)
            assert sensitivity >= floor
            assert specificity == max(second for first, second in possible if first >= floor)
        if max(second for _, second in possible) >= 0.9:
            found = choose_threshold(given, rule="specificity>=0.9")
            sensitivity, specificity = reached(drawn.labels, drawn.scores, found.value)
            assert specificity >= 0.9
            assert sensitivity == max(first for first, second in possible if second >= 0.9)


def test_threshold_tells_what_it_reached_on_how_many() -> None:
    found = choose_threshold(validation(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9])), rule="sensitivity>=1")
    assert found.value == pytest.approx(0.25)
    assert (found.sensitivity.value, found.sensitivity.denominator) == (1.0, "2 of 2")
    assert (found.specificity.value, found.specificity.denominator) == (0.5, "1 of 2")


def test_stated_threshold_says_by_whom_and_is_used_as_it_is() -> None:
    found = Threshold.stated(0.5, by="the model's card")
    test = Test("binary", np.zeros(3), np.array([[-1.0], [0], [1]]), tuple("abc"))
    assert found.call(test).tolist() == [False, True, True]
    assert found.rule == "stated by the model's card"
    assert not found.sensitivity.is_estimable
    with pytest.raises(UsageError, match=r"from 0 to 1; the card says 1\.5"):
        Threshold.stated(1.5, by="the card")


@pytest.mark.parametrize("rule", ["yuden", "sensitivity>=95", "sensitivity>0.9", "specificity>=1.1", ""])
def test_unknown_rule_is_told_with_the_known(rule: str) -> None:
    given = validation(np.array([0, 1]), np.array([0.1, 0.6]))
    with pytest.raises(UsageError, match="expected one like youden, sensitivity>="):
        choose_threshold(given, rule=rule)


def test_what_cant_be_chosen_says_why() -> None:
    with pytest.raises(UsageError, match="no case is positive"):
        choose_threshold(validation(np.zeros(3), np.array([0.1, 0.2, 0.3])))
    with pytest.raises(UsageError, match=r"no threshold reaches specificity>=0.9 .* the most is 0.500"):
        choose_threshold(validation(np.array([1, 0, 0]), np.array([0.5, 0.9, 0.1])), rule="specificity>=0.9")
    several = Validation("multiclass", np.array([0.0, 1]), np.eye(3)[:2], ("a", "b"))
    with pytest.raises(UsageError, match="takes the likeliest class"):
        choose_threshold(several)


def test_neighboring_numbers_have_no_middle() -> None:
    low, high = 0.5, float(np.nextafter(0.5, 1))
    found = choose_threshold(validation(np.array([0, 1]), np.array([low, high])))
    assert found.value == high
