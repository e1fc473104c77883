"""The page's addresses: what each gives, of a run that went well and of one that didn't."""

import json
import shutil
from concurrent.futures import Future
from pathlib import Path

import pytest
import yaml

from tests.export import cases
from tests.review.cohort import (
    BENIGN,
    FAILED,
    IDS,
    REFUSED,
    SQUARE,
    SUSPICIOUS,
    UNSURE,
    DrawnTiles,
    client,
    decide,
    drawn,
    graded,
    make_out,
    open_folder,
    write_case,
)
from wsi.engine import journal
from wsi.errors import CrashError, RegionError, WsiError
from wsi.review import Desk, ReviewFolder, TileKey, in_time
from wsi.review import app as app_module


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_out(tmp_path / "OUT")


def test_worklist_shows_the_suspicious_first_and_the_stopped_last(out: Path) -> None:
    rows = client(out).get("/api/cases").json()["cases"]
    assert [row["slide"] for row in rows] == [SUSPICIOUS, UNSURE, BENIGN, REFUSED, FAILED]
    first = rows[0]
    assert (first["name"], first["ai"]["label"], first["ai"]["probability"]) == ("one/1.svs", "Malignant", 0.93)
    assert first["suspicion"] == 0.93
    assert rows[3]["ai"] is rows[3]["suspicion"] is None
    assert [row["viewable"] for row in rows] == [True, True, True, False, False]


def test_run_tells_model_classes_and_counts(out: Path) -> None:
    told = client(out).get("/api/run").json()
    assert told["notice"] == "Research use only. Not for diagnosis."
    assert told["model"] == {
        "id": "tumor", "version": "1.0.0", "sha256": cases.MODEL_SHA256, "threshold": 0.5, "has_card": False, "title": "", "kind": "",
        "trained_on": [], "purpose": "", "not_for": [], "licence": "", "evaluation": [],
    }  # fmt: skip
    assert (told["beside"], told["structures"]) == (None, [])
    assert told["classes"][1] == {"name": "Malignant", "color": [213, 94, 0]}
    assert told["counts"] == {
        "cases": 5,
        "ok": 3,
        "partial": 0,
        "refused": 1,
        "failed": 1,
        "referred": 1,
        "reviewed": 0,
    }


def test_model_that_is_here_is_told_by_its_card(tmp_path: Path) -> None:
    from wsi.model_folder import find_folder, folder_digest, model_card

    provenance = cases.make_result(None).provenance
    assert provenance is not None
    made = provenance.model_copy(update={"model_sha256": folder_digest(find_folder("tumor", "model"))})
    write_case(tmp_path, graded(SUSPICIOUS, "1.svs", 0.9, provenance=made))
    browser = client(tmp_path)
    told = browser.get("/api/run").json()["model"]
    assert (told["has_card"], told["licence"]) == (True, "Apache-2.0")
    words = browser.get(f"/api/cases/{SUSPICIOUS}").json()["words"]
    told = model_card(find_folder("tumor", "model")).evaluation[0]
    interval = f"{told.value:.2f} (95 % interval {told.low:.2f} to {told.high:.2f}"
    assert words.startswith(f"Malignant, P(Malignant) = 0.90. The model's AUC was {interval}")


def test_model_that_marks_structures_is_told_by_its_card_too(tmp_path: Path) -> None:
    from wsi.model_folder import find_folder, folder_digest

    card = yaml.safe_load((find_folder("retina-vessels", "model") / "model.yaml").read_text())
    provenance = cases.make_result(None).provenance
    assert provenance is not None
    digest = folder_digest(find_folder("retina-vessels", "model"))
    made = provenance.model_copy(update={"model": "retina-vessels", "model_sha256": digest})
    write_case(tmp_path, graded(SUSPICIOUS, "1.svs", 0.9, provenance=made))
    model = client(tmp_path).get("/api/run").json()["model"]
    assert (model["kind"], model["sha256"], model["trained_on"]) == ("mask", digest, card["training"]["data"])
    assert (model["purpose"], model["not_for"]) == (card["use"]["purpose"], card["use"]["not_for"])
    assert model["evaluation"][0]["metric"] == "Dice"


def test_model_elsewhere_is_told_by_its_card_where_its_folder_is_named(out: Path, tmp_path: Path) -> None:
    from wsi.model_folder import find_folder, folder_digest

    moved = Path(shutil.copytree(find_folder("tumor", "model"), tmp_path / "mine"))
    provenance = cases.make_result(None).provenance
    assert provenance is not None
    made = provenance.model_copy(update={"model": "mine", "model_sha256": folder_digest(moved)})
    write_case(out, graded(SUSPICIOUS, "one/1.svs", 0.9, provenance=made))
    for models, title in (([], ""), (["nowhere", str(moved)], "Malignant")):
        folder = ReviewFolder(out, lambda: journal.read(out), models=models)
        card = folder.card(made)
        assert (card.title if card else "").startswith(title)
        assert (card is None) == (not models)


def test_case_has_view_words_evidence_and_grid_of_heat(out: Path) -> None:
    told = client(out).get(f"/api/cases/{UNSURE}").json()
    assert told["view"]["levels"][1] == {"id": 1, "width": 5000, "height": 3750, "downsample": 4.0, "tile_px": 256}
    assert (told["view"]["width"], told["view"]["mpp"], told["view_problem"]) == (20_000, 0.25, "")
    assert told["words"] == "Benign, P(Malignant) = 0.31. Refer to a pathologist: close to the threshold."
    assert (told["heat"]["columns"], told["heat"]["rows"]) == (10, 8)
    assert (told["heat"]["x0"], told["heat"]["y0"], told["heat"]["step_x"]) == (896, 448, 448.0)
    assert [layer["kind"] for layer in told["heat"]["layers"]] == ["score", "attention"]
    assert told["top"][0] == {"x": 896 + 9 * 448, "y": 448 + 7 * 448, "size_x": 448.0, "size_y": 448.0, "score": 1.0, "attention": pytest.approx(told["top"][0]["attention"])}  # fmt: skip
    assert (told["bottom"][0]["x"], told["bottom"][0]["score"]) == (896, 0.0)
    assert [len(told["top"]), len(told["bottom"])] == [24, 24]
    assert told["panes"] == [{"slide": SUSPICIOUS, "name": "one/1.svs"}]


def test_heat_is_a_byte_a_tile_from_1_for_cold_to_255_for_hot(out: Path) -> None:
    browser = client(out)
    score = browser.get(f"/api/cases/{SUSPICIOUS}/heat/score").content
    assert len(score) == 80
    assert (score[0], score[-1]) == (1, 255)
    assert list(score) == sorted(score)
    attention = browser.get(f"/api/cases/{SUSPICIOUS}/heat/attention").content
    assert attention[40] == round(1 + 254 * (40 + 0.5) / 80)
    assert browser.get(f"/api/cases/{SUSPICIOUS}/heat/more").status_code == 404


def test_outlines_are_tissue_and_regions_in_level0_px(out: Path) -> None:
    found = client(out).get(f"/api/cases/{SUSPICIOUS}/outlines").json()["features"]
    assert [one["properties"]["kind"] for one in found] == ["tissue", "region"]
    points = [point for polygon in found[0]["geometry"]["coordinates"] for ring in polygon for point in ring]
    assert {tuple(point) for point in points} == {(900, 450), (5000, 450), (5000, 4000), (900, 4000)}
    assert found[1]["properties"]["color"] == [213, 94, 0]


def test_tiles_and_pieces_are_jpeg_and_asked_for_once(out: Path) -> None:
    tiles = DrawnTiles()
    browser = client(out, tiles)
    for _ in range(3):
        answer = browser.get(f"/api/cases/{SUSPICIOUS}/tiles/1/3/4")
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content[:3] == b"\xff\xd8\xff"
        piece = browser.get(f"/api/cases/{SUSPICIOUS}/crop?x=10&y=20&width=448&height=448&px=64")
        assert piece.content[:3] == b"\xff\xd8\xff"
    assert len(tiles.asked) == 2


def test_next_slide_to_review_is_made_ready_and_the_reviewed_are_passed_over(out: Path) -> None:
    desk = Desk(open_folder(out), DrawnTiles())
    order = [row["slide"] for row in desk.cases()]

    def following(slide: str | None) -> str | None:
        found = desk.prepare_next(slide)
        return found[0] if found else None

    assert order[:3] == [SUSPICIOUS, UNSURE, BENIGN]
    ways = [following(slide) for slide in (None, SUSPICIOUS, UNSURE, BENIGN)]
    assert ways == [SUSPICIOUS, UNSURE, BENIGN, SUSPICIOUS]
    decide(client(out), UNSURE)
    assert [following(slide) for slide in (SUSPICIOUS, UNSURE, BENIGN)] == [BENIGN, SUSPICIOUS, SUSPICIOUS]
    decide(client(out), BENIGN)
    assert following(SUSPICIOUS) is None
    decide(client(out), SUSPICIOUS)
    assert following(None) is None


def test_decision_comes_back_with_its_place_in_the_log(out: Path) -> None:
    browser = client(out)
    answer = decide(browser, SUSPICIOUS, verdict="disagree", grade="Benign", comment="a cyst\nno more", shapes=drawn(SQUARE, **{"name": "cyst", "class": "Benign", "color": [1, 2, 3], "more": 1}))  # fmt: skip
    assert answer.status_code == 201
    entry = answer.json()["entry"]
    assert (entry["sequence"], entry["grade"], entry["comment"]) == (1, "Benign", "a cyst\nno more")
    assert (entry["slide_sha256"], entry["model_sha256"]) == (cases.SLIDE_SHA256, cases.MODEL_SHA256)
    properties = entry["shapes"]["features"][0]["properties"]
    assert properties == {"kind": "drawn", "name": "cyst", "class": "Benign", "color": [1, 2, 3]}
    told = browser.get(f"/api/cases/{SUSPICIOUS}").json()
    assert told["reviewed"]
    assert told["decision"] == {"who": "A. Miller", "when": entry["when"], "stage": "final", "verdict": "disagree", "grade": "Benign"}  # fmt: skip
    assert told["decisions"] == [entry]
    assert browser.get("/api/run").json()["counts"]["reviewed"] == 1


def test_restarted_server_keeps_the_decisions(out: Path) -> None:
    entry = decide(client(out), BENIGN).json()["entry"]
    assert client(out).get(f"/api/cases/{BENIGN}/decisions").json() == {"decisions": [entry]}


def test_two_servers_over_one_folder_see_each_other(out: Path) -> None:
    one, two = client(out), client(out)
    assert [decide(browser, BENIGN).json()["entry"]["sequence"] for browser in (one, two, one, two)] == [1, 2, 3, 4]
    assert one.get(f"/api/cases/{BENIGN}/decisions").json() == two.get(f"/api/cases/{BENIGN}/decisions").json()


@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        ({"grade": "Malginant"}, 422, "E_DECISION"),
        ({"stage": "later"}, 422, "E_DECISION"),
        ({"verdict": "maybe"}, 422, "E_DECISION"),
        ({"who": "  "}, 422, "E_DECISION"),
        ({"who": "x" * 101}, 422, "E_DECISION"),
        ({"who": 7}, 422, "E_DECISION"),
        ({"more": 1}, 422, "E_DECISION"),
        ({"comment": "\ud800"}, 422, "E_DECISION"),
        ({"stage": "own", "verdict": "agree"}, 422, "E_DECISION"),
        ({"shapes": []}, 422, "E_DECISION"),
        ({"shapes": {"type": "FeatureCollection", "features": [{"type": "Feature"}]}}, 422, "E_SHAPES"),
        ({"shapes": drawn([(0, 0), (1, 1)])}, 422, "E_SHAPES"),
        ({"shapes": drawn([(0, 0), (1e9, 1), (5, 5)])}, 422, "E_SHAPES"),
        ({"shapes": drawn([(0, 0), (10**400, 1), (5, 5)])}, 422, "E_SHAPES"),
        ({"shapes": drawn(*[SQUARE] * 201)}, 422, "E_SHAPES"),
        ({"shapes": drawn([(float(i), 0.0) for i in range(50_001)])}, 422, "E_SHAPES"),
    ],
)  # fmt: skip
def test_decision_that_is_none_is_refused_with_a_reason(
    told: dict[str, object], status: int, code: str, out: Path
) -> None:
    answer = decide(client(out), SUSPICIOUS, **told)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert not (out / "review" / "decisions.jsonl").exists()


def test_empty_out_has_an_empty_worklist(tmp_path: Path) -> None:
    browser = client(tmp_path)
    assert browser.get("/api/cases").json() == {"cases": []}
    assert browser.get("/api/run").json()["model"] is None
    assert browser.get("/api/cases/one-1-aaaaaaaa").json()["error"]["code"] == "E_NO_CASE"


def test_slide_that_is_gone_costs_its_view_only(out: Path) -> None:
    browser = client(out, DrawnTiles(gone={SUSPICIOUS}))
    told = browser.get(f"/api/cases/{SUSPICIOUS}").json()
    assert told["view"] == {
        "width": 20_000,
        "height": 15_000,
        "bounds": [0, 0, 20_000, 15_000],
        "levels": [],
        "mpp": 0.25,
    }
    assert "one/1.svs: the slide isn't where it lay" in told["view_problem"]
    assert told["heat"] is not None
    answer = browser.get(f"/api/cases/{SUSPICIOUS}/tiles/0/0/0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "E_ABSENT")


@pytest.mark.parametrize(("fault", "status"), [(RegionError("a frame"), 422), (CrashError("died"), 422)])
def test_tile_that_cannot_be_decoded_says_so(fault: WsiError, status: int, out: Path) -> None:
    answer = client(out, DrawnTiles(fault=fault)).get(f"/api/cases/{SUSPICIOUS}/tiles/0/0/0")
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "next"}


@pytest.mark.parametrize("name", ["result.json", "scores.h5", "tissue.geojson", "thumbnail.jpg"])
def test_damaged_file_is_told_of_and_never_a_500(name: str, out: Path) -> None:
    damaged = out / "slides" / SUSPICIOUS / name
    damaged.write_bytes(b"{not what it was")
    browser = client(out)
    answers = [
        browser.get(f"/api/cases{rest}")
        for rest in (
            "",
            *(f"/{SUSPICIOUS}{end}" for end in ("", "/heat/score", "/outlines", "/thumbnail", "/decisions")),
        )
    ]
    assert all(answer.status_code in (200, 404, 409) for answer in answers), [a.text for a in answers]
    if name == "result.json":
        row = next(row for row in answers[0].json()["cases"] if row["slide"] == SUSPICIOUS)
        assert (row["status"], row["code"]) == ("failed", "E_ARTIFACT")
    if name == "scores.h5":
        assert answers[1].json()["words"].startswith("one/1.svs: one of its result files is missing or damaged.")
        assert answers[2].json()["error"] == {
            "code": "E_ARTIFACT",
            "message": "one/1.svs: one of its result files is missing or damaged.",
            "next": "Run wsi-run on the slides again; what is whole stays as it is.",
        }


def test_slide_whose_folder_vanished_is_told_of(out: Path) -> None:
    browser = client(out)
    browser.get("/api/cases")
    for path in sorted((out / "slides" / SUSPICIOUS).iterdir()):
        path.unlink()
    assert browser.get("/api/cases").status_code == 200
    assert browser.get(f"/api/cases/{SUSPICIOUS}/thumbnail").status_code == 404
    assert browser.get(f"/api/cases/{SUSPICIOUS}/heat/score").status_code in (404, 409)


def test_disk_that_does_not_answer_is_told_of(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_time, "ANSWER_S", 0.2)

    class Slow(DrawnTiles):
        def tile_soon(self, key: TileKey, /) -> Future[bytes]:
            return Future()

    answer = client(out, Slow()).get(f"/api/cases/{SUSPICIOUS}/tiles/0/0/0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "E_TIMEOUT")
    assert answer.headers["retry-after"] == "5"


def test_page_and_its_files_are_served_with_their_kinds(out: Path) -> None:
    browser = client(out)
    assert browser.get("/").headers["content-type"].startswith("text/html")
    for path in (app_module.PAGE).iterdir():
        answer = browser.get(f"/page/{path.name}")
        assert answer.content == path.read_bytes()
        assert "nosniff" in answer.headers["x-content-type-options"]
    assert browser.get("/page/app.py").status_code == 404


def test_log_that_something_else_changed_takes_no_decision(out: Path) -> None:
    browser = client(out)
    decide(browser, SUSPICIOUS)
    (out / "review" / "decisions.head").unlink()
    answer = decide(browser, SUSPICIOUS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "E_ARTIFACT")
    assert str(out) not in answer.text


def test_every_slide_of_the_run_has_its_case(out: Path) -> None:
    browser = client(out)
    for slide in IDS:
        assert browser.get(f"/api/cases/{slide}").json()["slide"] == slide
    json.dumps(browser.get("/api/cases").json(), allow_nan=False)


def test_each_folder_of_results_has_a_name_of_its_own_that_tells_no_path(tmp_path: Path) -> None:
    first, other = (client(make_out(tmp_path / name)).get("/api/run").json()["out"] for name in ("OUT", "OUT2"))
    assert first != other
    assert str(tmp_path) not in first
