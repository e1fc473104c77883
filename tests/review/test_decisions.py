"""Decisions that contradict themselves are refused, those of two people don't pass each other, and the table tells both."""

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.export import cases
from tests.review.cohort import (
    BENIGN,
    REFUSED,
    SIZE,
    SQUARE,
    SUSPICIOUS,
    UNSURE,
    client,
    decide,
    drawn,
    graded,
    make_out,
    write_case,
)
from wsi.engine import journal
from wsi.export import export_run
from wsi.results import Value, read_decisions
from wsi.review import log

VALUED = "value-6-ffffffff"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_out(tmp_path / "OUT")


def valued(out: Path) -> None:
    """Add a slide of a model without classes."""
    told = cases.NO_VERDICT | {"refer": False, "value": Value(name="Risk", value=0.4)}
    write_case(out, cases.make_result(cases.make_scale(size=SIZE), slide=VALUED, path="value.svs", **told))


CONTRADICTIONS = [
    (SUSPICIOUS, {"verdict": None}, "it has no verdict"),
    (SUSPICIOUS, {"verdict": None, "grade": "Benign"}, "it has no verdict"),
    (SUSPICIOUS, {"verdict": "agree", "grade": "Benign"}, "it agrees, but 'Benign' isn't the model's grade"),
    (SUSPICIOUS, {"verdict": "disagree"}, "it disagrees, but gives no grade of its own"),
    (SUSPICIOUS, {"verdict": "disagree", "grade": "Malignant"}, "'Malignant' is the model's own grade"),
    (SUSPICIOUS, {"stage": "own", "verdict": None}, "it doesn't say what you see"),
    (SUSPICIOUS, {"stage": "own", "verdict": None, "comment": "large nuclei"}, "it doesn't say what you see"),
    (REFUSED, {"verdict": "agree"}, "no verdict of the model to agree with"),
    (REFUSED, {"verdict": "disagree"}, "it disagrees, but gives no grade of its own"),
    (VALUED, {"stage": "own", "verdict": None}, "it doesn't say what you see"),
    (VALUED, {"verdict": "agree", "grade": "low"}, "it agrees, but 'low' isn't the model's grade"),
]  # fmt: skip


@pytest.mark.parametrize(("slide", "told", "message"), CONTRADICTIONS)
def test_contradiction_is_refused_with_a_next_step(slide: str, told: dict[str, Any], message: str, out: Path) -> None:
    valued(out)
    answer = decide(client(out), slide, **told)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "E_DECISION")
    assert message in error["message"]
    assert error["next"].endswith(".")
    assert read_decisions(out) == []


SOUND = [
    (SUSPICIOUS, {"verdict": "agree"}, "Malignant"),
    (SUSPICIOUS, {"verdict": "agree", "grade": "Malignant"}, "Malignant"),
    (SUSPICIOUS, {"verdict": "disagree", "grade": "Benign"}, "Benign"),
    (SUSPICIOUS, {"verdict": "unsure"}, None),
    (SUSPICIOUS, {"verdict": "unsure", "grade": "Malignant"}, "Malignant"),
    (SUSPICIOUS, {"stage": "own", "verdict": "unsure"}, None),
    (SUSPICIOUS, {"stage": "own", "verdict": None, "grade": "Malignant"}, "Malignant"),
    (REFUSED, {"verdict": "unsure"}, None),
    (REFUSED, {"verdict": "disagree", "grade": "Malignant"}, "Malignant"),
    (VALUED, {"verdict": "agree"}, None),
    (VALUED, {"verdict": "disagree"}, None),
    (VALUED, {"stage": "own", "verdict": None, "comment": "looks calm"}, None),
    (VALUED, {"stage": "own", "verdict": None, "shapes": drawn(SQUARE)}, None),
]  # fmt: skip


@pytest.mark.parametrize(("slide", "told", "grade"), SOUND)
def test_decision_without_contradiction_is_kept(slide: str, told: dict[str, Any], grade: str | None, out: Path) -> None:
    valued(out)
    answer = decide(client(out), slide, **told)
    assert (answer.status_code, answer.json()["entry"]["grade"]) == (201, grade), answer.text


def test_grade_of_several_labels_can_be_agreed_with(tmp_path: Path) -> None:
    write_case(tmp_path, graded(SUSPICIOUS, "1.svs", 0.9, grade="Benign, Malignant", labels=["Benign", "Malignant"]))
    answer = decide(client(tmp_path), SUSPICIOUS, grade="Benign, Malignant")
    assert answer.json()["entry"]["grade"] == "Benign, Malignant"
    assert decide(client(tmp_path), SUSPICIOUS, verdict="disagree", grade="Benign").status_code == 201


def test_older_lines_that_contradict_themselves_stay_readable(out: Path) -> None:
    told = {"who": "A. Miller", "slide": SUSPICIOUS, "slide_sha256": "", "model_sha256": "", "reason": "", "comment": "", "shapes": drawn()}  # fmt: skip
    log.append(out, {**told, "stage": "final", "verdict": "agree", "grade": "Benign"})
    log.append(out, {**told, "stage": "final", "verdict": None, "grade": None})
    browser = client(out)
    assert [one["grade"] for one in browser.get(f"/api/cases/{SUSPICIOUS}").json()["decisions"]] == ["Benign", None]
    assert table(out)[SUSPICIOUS]["review_status"] == "decided"


def test_what_a_final_may_say_tells_nothing_before_the_own_read(out: Path) -> None:
    browser = client(out, blind=True, reviewer="A. Miller")
    for told in ({"grade": "Benign"}, {"grade": "Malignant"}, {"verdict": "disagree", "grade": "Malignant"}):
        answer = decide(browser, SUSPICIOUS, **told)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "E_OWN_READ_FIRST")


def test_decision_made_meanwhile_is_shown_before_another_is_kept(out: Path) -> None:
    one, two = client(out), client(out)
    assert decide(one, SUSPICIOUS, who="Dr B", seen=0).status_code == 201
    answer = decide(two, SUSPICIOUS, who="Dr C", seen=0)
    assert answer.status_code == 409
    assert answer.json() == {
        "error": {
            "code": "E_MEANWHILE",
            "message": "Dr B decided meanwhile.",
            "next": "Look at it, then record yours.",
        }
    }
    assert [one.who for one in read_decisions(out)] == ["Dr B"]
    assert decide(two, BENIGN, who="Dr C", seen=0).status_code == 201, "another slide's decisions don't count"
    assert decide(two, SUSPICIOUS, who="Dr C", seen=1).status_code == 201
    assert decide(two, SUSPICIOUS, who="Dr C").status_code == 201, "a page that doesn't say is trusted, as before"


def test_blind_reader_is_told_of_nobody_before_the_own_read(out: Path) -> None:
    decide(client(out), SUSPICIOUS, who="Dr B")
    browser = client(out, blind=True, reviewer="A. Miller")
    assert decide(browser, SUSPICIOUS, stage="own", verdict="unsure", seen=0).status_code == 201
    assert decide(browser, SUSPICIOUS, seen=0).json()["error"]["code"] == "E_MEANWHILE"
    assert decide(browser, SUSPICIOUS, seen=2).status_code == 201


@pytest.mark.parametrize("seen", [-1, 1 << 31, 10**40, 1.5, "1", True, [], {}])
def test_absurd_count_of_known_decisions_is_refused(seen: object, out: Path) -> None:
    answer = decide(client(out), SUSPICIOUS, seen=seen)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "E_DECISION")


def table(out: Path) -> dict[str, dict[str, str]]:
    export_run(out, list(journal.read(out).values()))
    with (out / "predictions.csv").open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_table_tells_reason_comment_own_read_and_conflict(out: Path) -> None:
    browser = client(out)
    decide(browser, SUSPICIOUS, stage="own", verdict=None, grade="Benign")
    decide(browser, SUSPICIOUS, stage="own", verdict=None, grade="Malignant")
    decide(browser, SUSPICIOUS, who="Dr B", verdict="disagree", grade="Benign", reason="=HYPERLINK(1)", comment="+1\n2")
    decide(browser, SUSPICIOUS, who="Dr C", reason="@SUM(1)", comment="=1+1")
    decide(browser, UNSURE, who="Dr B")
    decide(browser, UNSURE, who="Dr C", verdict="disagree", grade="Malignant")
    decide(browser, UNSURE, who="Dr C", grade="Benign")
    decide(browser, BENIGN, stage="own", verdict=None, grade="Malignant")
    found = table(out)
    told = [found[SUSPICIOUS][name] for name in ("review_reason", "review_comment", "own_grade", "review_conflict")]
    assert told == ["'@SUM(1)", "'=1+1", "Malignant", "yes"]
    assert (found[UNSURE]["review_conflict"], found[UNSURE]["own_grade"]) == ("no", "")
    told = [found[BENIGN][name] for name in ("review_status", "review_conflict", "own_grade")]
    assert told == ["", "", "Malignant"]


def test_grade_of_ones_own_is_no_formula_in_the_table(tmp_path: Path) -> None:
    valued(tmp_path)
    decide(client(tmp_path), VALUED, stage="own", verdict=None, grade="=1+1")
    assert table(tmp_path)[VALUED]["own_grade"] == "'=1+1"
