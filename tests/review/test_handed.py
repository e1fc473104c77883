"""Decisions that the page without a server saved as a file come into the run's log."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.review.cohort import SUSPICIOUS, UNSURE, drawn, make_out
from wsi.cli.audit import command
from wsi.engine import journal
from wsi.results import read_decisions
from wsi.review.audit import verify_log

SQUARE = [(1000.0, 1000.0), (2000.0, 1000.0), (2000.0, 1500.0), (1000.0, 1500.0), (1000.0, 1000.0)]


def saved(slide: str = SUSPICIOUS, **told: Any) -> dict[str, Any]:
    """Return a decision as the page writes it into decisions.json."""
    body = {"who": "A. Miller", "stage": "final", "verdict": "agree", "grade": None, "reason": "", "comment": "seen"}
    return {"slide": slide, "when": "2026-11-30T08:15:00.123Z", **body, "shapes": drawn(SQUARE), "seen": 0, **told}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_out(tmp_path / "OUT")


def take(out: Path, content: object) -> tuple[int, str]:
    file = out.parent / "decisions.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    ended = CliRunner().invoke(command, ["take", str(out), str(file)], standalone_mode=False)
    if ended.exception is not None:
        return -1, str(ended.exception)
    return int(ended.return_value), ended.output


def test_decisions_of_a_file_are_added_once(out: Path) -> None:
    both = [saved(), saved(UNSURE, stage="own", verdict="unsure", who="B")]
    assert take(out, both) == (0, "2 decisions added\n")
    first, second = read_decisions(out)
    assert (first.who, first.grade, first.comment) == (
        "A. Miller",
        "Malignant",
        "seen [2026-11-30T08:15:00+00:00, from a file]",
    )
    assert len(first.shapes["features"]) == 1
    assert (second.slide, second.stage, second.verdict) == (UNSURE, "own", "unsure")
    assert verify_log(out, journal.read(out).keys()).fault is None
    assert take(out, both) == (0, "0 decisions added, 2 there already\n")
    assert len(read_decisions(out)) == 2


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"slide": "no-such"}, "There is no such slide"),
        ({"verdict": "disagree", "grade": "Malignant"}, "is the model's own grade"),
        ({"verdict": "perhaps"}, "'verdict'"),
        ({"who": ""}, "doesn't say who decides"),
        ({"more": 1}, "'more'"),
        ({"comment": 7, "reason": 7}, "'reason'"),
    ],
)
def test_what_the_page_could_not_send_is_refused_and_the_others_are_added(
    changed: dict[str, Any], why: str, out: Path
) -> None:
    status, told = take(out, [saved(**changed), saved(UNSURE, verdict="unsure")])
    assert status == 3
    assert "decision 1, " in told
    assert why in told
    assert "1 decision added" in told
    assert [one.slide for one in read_decisions(out)] == [UNSURE]


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"slide": "a"}', "[" * 9999, "\x00"])
def test_file_of_something_else_is_refused(content: str, out: Path) -> None:
    status, told = take(out, content)
    assert status == -1
    assert "decisions.json" in told
    assert read_decisions(out) == []
