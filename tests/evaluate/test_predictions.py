"""Outputs become probabilities and back; whatever is chosen on some patients is refused on the same ones."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from wsi.errors import UsageError
from wsi.evaluate import Test, Validation, choose_threshold, fit_referral, fit_temperature
from wsi.evaluate.predictions import ClassKind

CASES = ("a", "b", "c", "d")


def four(kind: ClassKind, outputs: list[list[float]], *, scale: str = "logit") -> Validation:
    return Validation(kind, np.array([0.0, 1, 0, 1]), np.array(outputs), CASES, scale=scale)  # type: ignore[arg-type]


def test_logits_of_each_kind_give_probabilities() -> None:
    one = four("binary", [[-1], [0], [2], [3]])
    np.testing.assert_allclose(one.probabilities[:, 1], expit([-1, 0, 2, 3]))
    np.testing.assert_array_equal(one.score, [-1, 0, 2, 3])
    several = four("multiclass", [[1, 2, 3], [0, 0, 0], [5, 1, 1], [9, 0, 0]])
    np.testing.assert_allclose(several.probabilities, softmax(several.outputs, axis=1))
    grades = four("ordinal", [[1, -1], [3, 2], [0, -4], [-1, 2]])
    np.testing.assert_allclose(grades.probabilities[0], [1 - expit(1), expit(1) - expit(-1), expit(-1)])
    np.testing.assert_allclose(grades.probabilities.sum(axis=1), 1)
    assert (grades.probabilities >= 0).all()
    assert [p.classes for p in (one, several, grades)] == [2, 3, 3]


@pytest.mark.parametrize(("kind", "classes"), [("binary", 2), ("multiclass", 4), ("ordinal", 4)])
def test_probabilities_come_back_from_their_logits(kind: ClassKind, classes: int) -> None:
    chances = np.random.default_rng(0).dirichlet(np.ones(classes), 4)
    given = four(kind, chances.tolist(), scale="probability")
    np.testing.assert_allclose(given.with_logits(given.logits).probabilities, chances, atol=1e-12)


def test_certain_probabilities_have_finite_logits() -> None:
    certain = four("binary", [[1, 0], [0, 1], [0.5, 0.5], [1, 0]], scale="probability")
    assert np.isfinite(certain.logits).all()
    np.testing.assert_allclose(certain.with_logits(certain.logits).probabilities, certain.outputs, atol=1e-12)


@pytest.mark.parametrize("choose", [choose_threshold, fit_temperature, fit_referral])
def test_nothing_is_chosen_on_test_cases(choose: object) -> None:
    assert callable(choose)
    outputs = np.array([[-1.0], [0], [2], [3]])
    test = Test("binary", np.array([0.0, 1, 0, 1]), outputs, CASES)
    with pytest.raises(UsageError, match="made from Validation predictions only; these are Test"):
        choose(test)
    with pytest.raises(UsageError, match="1 of 4 validation cases have no label"):
        choose(Validation("binary", np.array([0.0, 1, np.nan, 1]), outputs, CASES))
    with pytest.raises(UsageError, match="1 of 4 validation cases have an output that isn't a number"):
        choose(Validation("binary", np.array([0.0, 1, 0, 1]), np.array([[np.nan], [0], [2], [3]]), CASES))
    with pytest.raises(UsageError, match="there is no validation case"):
        choose(Validation("binary", np.empty(0), np.empty((0, 1)), ()))


def test_what_was_chosen_is_refused_on_the_same_patients() -> None:
    validation = Validation("binary", np.array([0.0, 1, 0, 1]), np.array([[-1.0], [0], [2], [3]]), CASES, tuple("pqrs"))
    threshold, temperature, rule = choose_threshold(validation), fit_temperature(validation), fit_referral(validation)
    same = Test("binary", np.array([1.0]), np.array([[0.3]]), ("e",), ("r",))
    other = Test("binary", np.array([1.0]), np.array([[0.3]]), ("e",), ("t",))
    for use in (threshold.call, temperature.apply, rule.refer):
        with pytest.raises(UsageError, match=r"was made from 1 of the patients that it is now tested on \(r\)"):
            use(same)
        use(other)
    with pytest.raises(UsageError, match="used on Test predictions; these are Validation"):
        threshold.call(validation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "outputs", "told"),
    [
        ("binary", [[1.0, 2]] * 4, "has 2 classes"),
        ("multiclass", [[1.0]] * 4, "too few"),
        ("binary", [[1.0]] * 3, "4 cases"),
    ],
)
def test_shapes_that_dont_agree_are_refused(kind: ClassKind, outputs: list[list[float]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        four(kind, outputs)
    with pytest.raises(ValueError, match="1 patients for 4 cases"):
        Validation("binary", np.zeros(4), np.zeros((4, 1)), CASES, ("p",))
