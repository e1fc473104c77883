"""What counts as suspicious, for every kind of head, and what becomes of results that say less or more."""

from pathlib import Path
from typing import Any

import pytest

from tests.export import cases
from tests.review.cohort import graded, stopped
from wsi.export.cohort import Entry
from wsi.export.suspicion import suspicion
from wsi.results import ClassScore, Result, Value
from wsi.review.worklist import blind_order, order, row


def scored(*probabilities: float, **changes: Any) -> Result:
    classes = [
        ClassScore(name=f"G{number}", color=[number, 0, 0], probability=p) for number, p in enumerate(probabilities)
    ]
    told: dict[str, Any] = {"grade": "G0", "positive": classes[-1].name, "refer": False, "flags": [], **changes}
    return cases.make_result(None, classes=classes, **told)


def valued(value: float, low: float, high: float, **changes: Any) -> Result:
    told = {**cases.NO_VERDICT, "refer": False, "flags": [], **changes}
    return cases.make_result(None, value=Value(name="Risk", value=value, low=low, high=high), **told)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (scored(0.3, 0.7), 0.7),
        (scored(0.3, 0.7, positive="G0"), 0.3),
        (scored(0.6, 0.3, 0.1), 0.4),
        (scored(0.05, 0.15, 0.3, 0.5), 0.95),
        (scored(0.2, 0.9, 0.6), 0.9),
        (scored(0.8), 0.8),
        (scored(0.4, 0.3, labels=[], grade="none"), 0.4),
        (valued(15.0, 10.0, 30.0), 0.25),
        (valued(-4.0, -2.0, 2.0), 0.0),
        (valued(9.0, -2.0, 2.0), 1.0),
        (stopped("x-1-00000000", "x.svs", "refused", "E_MPP_MISSING"), None),
    ],
    ids=["binary", "other class positive", "kinds", "grades", "labels", "one label", "two labels", "quantity", "log hazard low", "log hazard high", "refused"],
)  # fmt: skip
def test_suspicion_is_told_for_every_kind_of_head(result: Result, expected: float | None) -> None:
    found = suspicion(result)
    assert found == (None if expected is None else pytest.approx(expected))


def entry(result: Result) -> Entry:
    return Entry(cases.make_record(result), result, Path("nowhere"))


def names(*results: Result, reviewed: tuple[str, ...] = ()) -> list[str]:
    entries = map(entry, results)
    made = sorted(entries, key=lambda one: order(one, reviewed=one.result.path in reviewed))
    return [one.result.path for one in made]


def test_suspicious_slides_come_first_then_the_reviewed_then_the_stopped() -> None:
    found = names(
        graded("h-1-00000000", "hot and reviewed", 0.99),
        stopped("a-1-00000000", "failed", "failed", "E_CRASH"),
        stopped("b-1-00000000", "refused", "refused", "E_FORMAT"),
        graded("c-1-00000000", "calm", 0.02),
        graded("d-1-00000000", "hot", 0.97),
        graded("e-1-00000000", "unlike", 0.01, out_of_distribution=1.4),
        graded("f-1-00000000", "referred", 0.4, refer=True),
        stopped("g-1-00000000", "no verdict", "partial", "E_LOSS"),
        reviewed=("hot and reviewed", "failed"),
    )
    assert found == ["hot", "referred", "calm", "unlike", "no verdict", "hot and reviewed", "refused", "failed"]


def test_blind_order_tells_nothing_of_the_model() -> None:
    results = [
        graded("a-1-00000000", "b", 0.99),
        graded("b-1-00000000", "a", 0.01, refer=True),
        stopped("c-1-00000000", "0", "failed", "E_CRASH"),
    ]
    found = sorted(map(entry, results), key=lambda one: blind_order(one, reviewed=False))
    assert [one.result.path for one in found] == ["a", "b", "0"]
    found = sorted(map(entry, results), key=lambda one: blind_order(one, reviewed=one.result.path == "a"))
    assert [one.result.path for one in found] == ["b", "a", "0"]


def test_values_beyond_the_scale_keep_their_order() -> None:
    results = [valued(value, 0.0, 1.0, slide=f"v-{value}-00000000", path=str(value)) for value in (3.0, 7.0, 0.5)]
    assert names(*results) == ["7.0", "3.0", "0.5"]


def test_equals_are_listed_by_name() -> None:
    assert names(graded("b-1-00000000", "b", 0.5), graded("a-1-00000000", "a", 0.5)) == ["a", "b"]


def test_text_of_strangers_is_made_visible_and_paths_are_left_out() -> None:
    result = stopped("x-1-00000000", "a\u202eb.svs", "failed", "E_ARTIFACT")
    result = result.model_copy(update={"reason": "/srv/secret/OUT/slides/x/scores.h5: gone\x07"})
    told = row(entry(result), viewable=False, hidden=False)
    assert told["name"] == "a\\u202eb.svs"
    assert told["reason"] == "scores.h5: gone\\x07"


def test_hidden_row_has_the_same_keys_as_an_open_one() -> None:
    flags = ["blur", "few-tiles", "out-of-distribution", "unusual-amount", "a-flag-of-a-later-model"]
    one = entry(graded("x-1-00000000", "x", 0.9, flags=flags))
    hidden, shown = (row(one, viewable=True, hidden=hidden) for hidden in (True, False))
    assert hidden.keys() == shown.keys()
    assert (hidden["flags"], shown["flags"]) == (["blur", "few-tiles"], flags)
