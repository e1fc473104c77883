"""A blind review: nothing that the model says of a case leaves the server before the reviewer's own read of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.review.cohort import BENIGN, IDS, SUSPICIOUS, UNSURE, client, decide, make_out

ME = "A. Miller"
MODEL_WORDS = (
    "0.93",
    "0.31",
    "Refer to a pathologist",
    "close to the threshold",
    "out-of-distribution",
    "1.2",
    "P(Malignant)",
)
CLOSED = ("ai", "suspicion", "refer", "refer_reason", "out_of_distribution")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_out(tmp_path / "OUT")


def blind(out: Path) -> TestClient:
    return client(out, blind=True, reviewer=ME)


def addresses(slide: str) -> list[str]:
    base = f"/api/cases/{slide}"
    return [
        "/", "/api/run", "/api/cases", base, f"{base}/thumbnail", f"{base}/outlines", f"{base}/decisions",
        f"{base}/heat/score", f"{base}/heat/attention", f"{base}/heat/other", f"{base}/overlay", f"{base}/tiles/0/0/0",
        f"{base}/crop?x=0&y=0&width=9&height=9&px=9",
    ]  # fmt: skip


@pytest.mark.parametrize("slide", IDS)
def test_no_address_gives_a_number_of_the_model(slide: str, out: Path) -> None:
    browser = blind(out)
    for address in addresses(slide):
        answer = browser.get(address)
        if answer.headers["content-type"] == "image/jpeg" or address == "/":
            continue
        if "/heat/" in address:
            assert answer.status_code == 403, address
        assert not [word for word in MODEL_WORDS if word in answer.text], address
        for row in rows_of(answer.text):
            assert [row[key] for key in CLOSED] == [None] * 5


def rows_of(text: str) -> list[dict[str, object]]:
    told: dict[str, Any] = json.loads(text)
    found: list[dict[str, object]] = told.get("cases", [told] if "ai" in told else [])
    return found


def names(browser: TestClient) -> list[str]:
    return [row["name"] for row in browser.get("/api/cases").json()["cases"]]


def test_order_and_counts_tell_nothing(out: Path) -> None:
    browser = blind(out)
    assert names(browser) == ["one/1.svs", "one/2.svs", "three.svs", "five.svs", "four.svs"]
    assert browser.get("/api/run").json()["counts"]["referred"] is None


def test_case_tells_that_it_is_hidden_and_has_tissue_only(out: Path) -> None:
    browser = blind(out)
    told = browser.get(f"/api/cases/{SUSPICIOUS}").json()
    assert (told["hidden"], told["heat"], told["top"], told["bottom"], told["words"]) == (True, None, [], [], "")
    assert told["view"] is not None
    kinds = [one["properties"]["kind"] for one in browser.get(f"/api/cases/{SUSPICIOUS}/outlines").json()["features"]]
    assert kinds == ["tissue"]


def test_own_read_opens_that_case_and_no_other(out: Path) -> None:
    browser = blind(out)
    assert decide(browser, SUSPICIOUS, who=ME, stage="own", verdict=None, grade="Benign").status_code == 201
    told = browser.get(f"/api/cases/{SUSPICIOUS}").json()
    assert (told["hidden"], told["ai"]["probability"], len(told["top"])) == (False, 0.93, 24)
    assert browser.get(f"/api/cases/{SUSPICIOUS}/heat/score").status_code == 200
    assert len(browser.get(f"/api/cases/{SUSPICIOUS}/outlines").json()["features"]) == 2
    assert browser.get(f"/api/cases/{UNSURE}").json()["ai"] is None
    assert browser.get(f"/api/cases/{UNSURE}/heat/score").status_code == 403
    assert names(browser) == ["one/1.svs", "one/2.svs", "three.svs", "five.svs", "four.svs"]
    assert blind(out).get(f"/api/cases/{SUSPICIOUS}").json()["ai"] is not None, "a restart keeps it open"


def test_final_decision_waits_for_the_own_read(out: Path) -> None:
    browser = blind(out)
    answer = decide(browser, SUSPICIOUS, who=ME)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "E_OWN_READ_FIRST")
    decide(browser, SUSPICIOUS, who=ME, stage="own", verdict="unsure")
    assert decide(browser, SUSPICIOUS, who=ME).status_code == 201


def test_another_persons_read_neither_opens_a_case_nor_is_shown(out: Path) -> None:
    other = client(out, blind=True, reviewer="B. Other")
    decide(other, BENIGN, who="B. Other", stage="own", verdict=None, grade="Malignant")
    decide(other, BENIGN, who="B. Other", verdict="disagree", grade="Malignant", comment="it says 0.04")
    browser = blind(out)
    told = browser.get(f"/api/cases/{BENIGN}").json()
    assert (told["ai"], told["decision"], told["decisions"], told["reviewed"]) == (None, None, [], False)
    assert browser.get(f"/api/cases/{BENIGN}/decisions").json() == {"decisions": []}
    assert decide(browser, BENIGN, who="B. Other", stage="own", verdict=None).status_code == 403
    decide(browser, BENIGN, who=ME, stage="own", verdict=None, grade="Benign")
    assert [one["who"] for one in browser.get(f"/api/cases/{BENIGN}").json()["decisions"]] == [
        "B. Other",
        "B. Other",
        ME,
    ]


def test_another_persons_final_leaves_a_case_to_the_named_reviewer(out: Path) -> None:
    decide(client(out), SUSPICIOUS, who="B. Other")
    for hidden in (True, False):
        browser = client(out, blind=hidden, reviewer=ME)
        decide(browser, SUSPICIOUS, who=ME, stage="own", verdict="unsure")
        row = browser.get("/api/cases").json()["cases"][0]
        assert (row["slide"], row["reviewed"]) == (SUSPICIOUS, False)
        assert row["decision"]["who"] == ME
        assert browser.get("/api/run").json()["counts"]["reviewed"] == 0
    decide(browser, SUSPICIOUS, who=ME)
    assert browser.get("/api/run").json()["counts"]["reviewed"] == 1
    assert client(out).get("/api/run").json()["counts"]["reviewed"] == 1
    assert names(blind(out)) == ["one/2.svs", "three.svs", "one/1.svs", "five.svs", "four.svs"]


def test_blind_without_a_reviewer_is_no_review(out: Path) -> None:
    with pytest.raises(ValueError, match="whose own read"):
        client(out, blind=True)


def test_open_review_hides_nothing(out: Path) -> None:
    browser = client(out)
    assert re.search(r"0\.93", browser.get("/api/cases").text)
    assert decide(browser, SUSPICIOUS).status_code == 201
