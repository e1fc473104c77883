"""Another run over the same slides, seen beside this one: matched by content, hidden as this one is, never written to."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.export import cases
from tests.review.cohort import (  # fmt: skip
    BENIGN,
    FAILED,
    SUSPICIOUS,
    UNSURE,
    DrawnTiles,
    client,
    decide,
    graded,
    make_out,
    open_folder,
    stopped,
    write_case,
)
from wsi.results import Result
from wsi.review import Desk, write_static

OTHER_SHA256 = "c" * 64


def by(model: str, sha256: str, result: Result) -> Result:
    """Return a result as another model would have made it of a file with this hash."""
    assert result.provenance is not None
    changed = {"model": model, "model_version": "2.0.0", "model_sha256": "9" * 64, "slide_sha256": sha256}
    return result.model_copy(update={"provenance": result.provenance.model_copy(update=changed)})


def seen(sha256: str, result: Result) -> Result:
    assert result.provenance is not None
    return result.model_copy(update={"provenance": result.provenance.model_copy(update={"slide_sha256": sha256})})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """This run: each slide has a content of its own."""
    made = make_out(tmp_path / "OUT")
    for number, (slide, path, probability) in enumerate(
        ((SUSPICIOUS, "one/1.svs", 0.93), (UNSURE, "one/2.svs", 0.31), (BENIGN, "three.svs", 0.04))
    ):
        write_case(made, seen(str(number) * 64, graded(slide, path, probability)))
    return made


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another run: the first slide found in another place, the second changed under its old name, one that failed."""
    made = tmp_path / "OUT2"
    write_case(made, by("other", "0" * 64, graded("moved-aaaaaaaa", "elsewhere/first.svs", 0.17, refer=True)))
    write_case(made, by("other", OTHER_SHA256, graded(UNSURE, "one/2.svs", 0.88)))
    write_case(made, stopped(FAILED, "five.svs", "failed", "E_CRASH"))
    return made


def browser_of(out: Path, other: Path, **given: Any) -> TestClient:
    return client(out, beside=open_folder(other), **given)


def test_same_slide_is_found_by_its_content_wherever_the_other_run_found_it(out: Path, other: Path) -> None:
    browser = browser_of(out, other)
    assert browser.get(f"/api/cases/{SUSPICIOUS}").json()["is_beside"] is True
    told = browser.get(f"/api/cases/{SUSPICIOUS}/beside").json()
    assert (told["slide"], told["name"], told["ai"]["label"]) == (SUSPICIOUS, "elsewhere/first.svs", "Benign")
    assert told["words"].startswith("Benign, P(Malignant) = 0.17. Refer")
    assert (told["heat"]["columns"], len(told["top"]), told["outlines"]) == (10, 24, True)
    assert browser.get("/api/run").json()["beside"]["id"] == "other"
    mine = browser.get(f"/api/cases/{SUSPICIOUS}").json()
    assert mine["words"].startswith("Malignant, P(Malignant) = 0.93")


def test_slide_that_was_changed_under_its_name_is_another_one(out: Path, other: Path) -> None:
    browser = browser_of(out, other)
    assert browser.get(f"/api/cases/{UNSURE}").json()["is_beside"] is False
    for rest in ("beside", "beside/heat/score", "beside/outlines"):
        answer = browser.get(f"/api/cases/{UNSURE}/{rest}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "E_NO_CASE")


def test_slides_that_neither_run_could_read_are_the_same_by_their_id(out: Path, other: Path) -> None:
    told = browser_of(out, other).get(f"/api/cases/{FAILED}/beside").json()
    assert (told["status"], told["code"], told["ai"]) == ("failed", "E_CRASH", None)


def test_slide_of_another_size_isnt_the_same(out: Path, other: Path) -> None:
    scale = cases.make_scale(size=(10_000, 7_000))
    write_case(other, by("other", "2" * 64, graded(BENIGN, "three.svs", 0.5, scale=scale)))
    assert browser_of(out, other).get(f"/api/cases/{BENIGN}").json()["is_beside"] is False


def test_heat_and_outlines_are_the_other_runs(out: Path, other: Path) -> None:
    coords = cases.grid_coords(4, 3, step=448, corner=(448, 448))
    result = by("other", "2" * 64, graded(BENIGN, "three.svs", 0.5))
    cases.make_case(other / "slides" / BENIGN, result, cases.make_scores(coords))
    from wsi.engine import journal

    journal.append(other, cases.make_record(result))
    browser = browser_of(out, other)
    assert len(browser.get(f"/api/cases/{BENIGN}/beside/heat/score").content) == 12
    assert len(browser.get(f"/api/cases/{BENIGN}/heat/score").content) == 80
    kinds = [
        one["properties"]["kind"] for one in browser.get(f"/api/cases/{BENIGN}/beside/outlines").json()["features"]
    ]
    assert kinds == ["region"]
    assert browser.get(f"/api/cases/{BENIGN}/beside/heat/more").status_code == 404


def test_blind_review_hides_the_other_model_too_until_the_own_read(out: Path, other: Path) -> None:
    browser = browser_of(out, other, blind=True, reviewer="A. Miller")
    told = browser.get(f"/api/cases/{SUSPICIOUS}/beside").json()
    closed: dict[str, object] = {
        "ai": None,
        "refer": None,
        "refer_reason": None,
        "suspicion": None,
        "heat": None,
        "words": "",
        "top": [],
    }
    assert {name: told[name] for name in closed} == closed
    assert told["hidden"] is True
    assert browser.get(f"/api/cases/{SUSPICIOUS}/beside/heat/score").status_code == 403
    outlines = browser.get(f"/api/cases/{SUSPICIOUS}/beside/outlines").json()["features"]
    assert [one["properties"]["kind"] for one in outlines] == ["tissue"]
    assert "0.17" not in json.dumps(told)
    decide(browser, SUSPICIOUS, stage="own", verdict=None, grade="Benign")
    told = browser.get(f"/api/cases/{SUSPICIOUS}/beside").json()
    assert (told["hidden"], told["ai"]["label"]) == (False, "Benign")
    assert browser.get(f"/api/cases/{SUSPICIOUS}/beside/heat/score").status_code == 200


def test_decisions_go_to_this_run_alone(out: Path, other: Path) -> None:
    before = sorted(path.relative_to(other) for path in other.rglob("*"))
    browser = browser_of(out, other)
    assert decide(browser, SUSPICIOUS).status_code == 201
    assert (out / "review" / "decisions.jsonl").is_file()
    assert sorted(path.relative_to(other) for path in other.rglob("*")) == before
    assert browser.get(f"/api/cases/{SUSPICIOUS}/beside").json()["decisions"] == []


def test_other_run_that_goes_on_is_read_again(out: Path, other: Path) -> None:
    browser = browser_of(out, other)
    assert browser.get(f"/api/cases/{BENIGN}").json()["is_beside"] is False
    write_case(other, by("other", "2" * 64, graded(BENIGN, "three.svs", 0.5)))
    assert browser.get(f"/api/cases/{BENIGN}").json()["is_beside"] is True


def test_without_another_run_there_is_none_beside(out: Path) -> None:
    browser = client(out)
    assert browser.get("/api/run").json()["beside"] is None
    assert browser.get(f"/api/cases/{SUSPICIOUS}").json()["is_beside"] is False
    assert browser.get(f"/api/cases/{SUSPICIOUS}/beside").status_code == 404


def test_static_folder_holds_the_other_runs_results(out: Path, other: Path, tmp_path: Path) -> None:
    desk = Desk(open_folder(out), DrawnTiles(), beside=open_folder(other))
    write_static(desk, tmp_path / "page", mpx=1)
    text = (tmp_path / "page" / "data" / SUSPICIOUS / "case.js").read_text()
    told = json.loads(text.partition("=")[2].rstrip(";\n"))
    assert told["beside"]["case"]["words"].startswith("Benign, P(Malignant) = 0.17")
    assert set(told["beside"]["heat"]) == {"score", "attention"}
    assert "beside" not in json.loads((tmp_path / "page" / "data" / UNSURE / "case.js").read_text().partition("=")[2].rstrip(";\n"))  # fmt: skip
