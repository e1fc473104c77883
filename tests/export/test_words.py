"""Figures and verdicts as people read them, and what counts as suspicious."""

from typing import Literal

import pytest

from tests.export.cases import make_result
from wsi.export.suspicion import is_suspicious, suspicion
from wsi.export.words import area, quantity, verdict
from wsi.results import AlsoVerdict, ClassScore, Result, Structure, Value


@pytest.mark.parametrize(
    ("mm2", "told"), [(0, "0"), (0.0655, "0.066"), (0.5, "0.50"), (4.0426, "4.0"), (9.96, "10"), (83.7, "84")]
)
def test_area_has_two_digits(mm2: float, told: str) -> None:
    assert area(mm2) == f"{told} mm²"


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (1234.5, "cells/mm²", "1,234 cells/mm²"),
        (-20480.0, "", "-20,480"),
        (999.7, "", "1,000"),
        (23.44, "%", "23.4 %"),
        (0.000321, "", "0.000321"),
    ],
)
def test_large_numbers_are_told_whole_and_others_by_three_digits(value: float, unit: str, told: str) -> None:
    assert quantity(Value(name="x", value=value, unit=unit)) == told


@pytest.mark.parametrize(
    ("unit", "amount", "told"),
    [
        ("px", 123456.0, "123,456 px"),
        ("ml", 1480.2, "1,480 ml"),
        ("ml", 2.16789, "2.168 ml"),
        ("share", 0.1234, "12.3%"),
        ("share", 0.0004, "0.04%"),
        ("share", 0.0, "0.0%"),
    ],
)
def test_amounts_of_structures_are_told_whole_where_large_and_never_as_a_false_0(
    unit: Literal["px", "ml", "share"], amount: float, told: str
) -> None:
    assert Structure(name="x", color=[0, 0, 0], samples=1, amount=amount, unit=unit).told == told


def graded(grade: str, also: str | None = None, **probabilities: float) -> Result:
    classes = [ClassScore(name=name, color=[0, 0, 0], probability=p) for name, p in probabilities.items()]
    told = {"classes": classes, "grade": grade, "positive": classes[-1].name, "confidence": probabilities[grade]}
    yes = [ClassScore(name=n, color=[0, 0, 0], probability=p) for n, p in (("no", 0.004), ("yes", 0.996))]
    second = AlsoVerdict(name="also", title="Edema", classes=yes, positive="yes", grade=also or "no", confidence=0.5)
    return make_result(None, **told, also=[second] if also else [])


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (graded("no", no=0.6, yes=0.4), "no, P(yes) = 0.40"),
        (graded("no", no=0.998, yes=0.002), "no, P(yes) < 0.01"),
        (graded("severe", none=0.1, severe=0.6, worst=0.3), "severe, P(severe) = 0.60"),
        (graded("none", "yes", none=0.7, severe=0.2, worst=0.1), "none, P(none) = 0.70; Edema: yes, P(yes) > 0.99"),
    ],
)
def test_probability_beside_a_grade_is_told_of_the_class_it_belongs_to(result: Result, told: str) -> None:
    assert verdict(result) == told


@pytest.mark.parametrize(
    ("grade", "yes", "threshold", "told"),
    [
        ("no", 0.76, 0.849, "no, P(yes) = 0.76 (below the threshold of 0.849)"),
        ("yes", 0.2, 0.137, "yes, P(yes) = 0.20 (at or above the threshold of 0.137)"),
        ("yes", 0.9, 0.849, "yes, P(yes) = 0.90"),
        ("no", 0.1, 0.137, "no, P(yes) = 0.10"),
    ],
)
def test_threshold_is_told_where_it_and_not_the_likelier_class_gave_the_grade(
    grade: str, yes: float, threshold: float, told: str
) -> None:
    assert verdict(graded(grade, no=1 - yes, yes=yes).model_copy(update={"threshold": threshold})) == told


@pytest.mark.parametrize(("grade", "labels"), [("mild", ["mild"]), ("none", [])])
def test_labels_whose_probabilities_happen_to_sum_to_1_do_not_exclude_each_other(grade: str, labels: list[str]) -> None:
    names = {"mild": 0.45, "scar": 0.3, "tear": 0.25} if grade == "none" else {"mild": 0.8, "scar": 0.15, "tear": 0.05}
    classes = [ClassScore(name=name, color=[0, 0, 0], probability=p) for name, p in names.items()]
    result = make_result(None, classes=classes, grade=grade, labels=labels, positive="tear")
    assert suspicion(result) == names["mild"], "the highest of labels, not 1 less the first"
    assert verdict(result).startswith(f"{grade}, P(tear)")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (graded("no", no=0.6, yes=0.4), False),
        (graded("yes", no=0.6, yes=0.4), True),
        (graded("none", none=0.6, severe=0.3, worst=0.1), False),
        (graded("severe", none=0.1, severe=0.6, worst=0.3), True),
        (graded("none", "yes", none=0.6, severe=0.3, worst=0.1), True),
        (graded("none", "no", none=0.6, severe=0.3, worst=0.1), False),
    ],
)
def test_what_is_no_harmless_class_counts_as_suspicious_whatever_its_grade(result: Result, expected: bool) -> None:
    assert is_suspicious(result) is expected
