"""The review as a folder: complete without a server, and with no word of this machine."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.review.cohort import (
    BENIGN,
    FAILED,
    IDS,
    SIZE,
    SUSPICIOUS,
    UNSURE,
    DrawnTiles,
    client,
    decide,
    make_out,
    open_folder,
)
from wsi.errors import RegionError, UsageError
from wsi.review import Desk, write_static
from wsi.review.app import PAGE, SERVED


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_out(tmp_path / "OUT")


def data(path: Path) -> Any:
    """Return the JSON that a script of data sets."""
    name, _, text = path.read_text(encoding="ascii").partition("=")
    assert name.startswith("window.WSI_DATA")
    return json.loads(text.rstrip(";\n"))


def test_folder_holds_all_that_the_server_answers(out: Path, tmp_path: Path) -> None:
    browser = client(out)
    decide(browser, SUSPICIOUS)
    into = tmp_path / "page"
    made = write_static(Desk(open_folder(out), DrawnTiles()), into, mpx=20)
    told = data(into / "data" / "index.js")
    assert told["cases"] == browser.get("/api/cases").json()["cases"]
    assert told["run"] == {**browser.get("/api/run").json(), "read_only": True, "static": True}
    for slide in IDS:
        case, server = data(into / "data" / slide / "case.js"), browser.get(f"/api/cases/{slide}").json()
        assert {**case["case"], "view": None} == {**server, "view": None}
        assert case["outlines"] == browser.get(f"/api/cases/{slide}/outlines").json()
        for layer, text in case["heat"].items():
            assert base64.b64decode(text) == browser.get(f"/api/cases/{slide}/heat/{layer}").content
        if server["thumbnail"]:
            assert (into / "data" / slide / "thumbnail.jpg").is_file()
    levels = data(into / "data" / SUSPICIOUS / "case.js")["case"]["view"]["levels"]
    assert [(level["id"], level["downsample"]) for level in levels] == [(0, 4.0), (1, 16.0)]
    tiles = {path.relative_to(into / "data" / SUSPICIOUS / "tiles").as_posix() for path in (into / "data" / SUSPICIOUS / "tiles").rglob("*.jpg")}  # fmt: skip
    expected = {f"{number}/{c}_{r}.jpg" for number, d in enumerate((4, 16)) for c in range(-(-SIZE[0] // d // 256)) for r in range(-(-SIZE[1] // d // 256))}  # fmt: skip
    assert tiles == expected
    assert (made.cases, made.tiles, made.unreadable, made.coarse) == (5, 3 * len(expected), 0, 3)
    assert data(into / "data" / SUSPICIOUS / "case.js")["case"]["view"]["is_coarse"] is True
    crops = {path.name for path in (into / "data" / UNSURE / "crops").iterdir()}
    wanted = data(into / "data" / UNSURE / "case.js")["case"]
    assert crops == {f"{tile['x']}_{tile['y']}.jpg" for tile in (*wanted["top"], *wanted["bottom"])}


def test_page_is_the_servers_with_the_data_before_its_scripts(out: Path, tmp_path: Path) -> None:
    write_static(Desk(open_folder(out), DrawnTiles()), tmp_path / "page", mpx=1)
    text = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert text.count("data/index.js") == 1
    assert text.index("data/index.js") < (text.index("page/") if '<script defer src="page/' not in text else text.index('<script defer src="page/'))  # fmt: skip
    served = {path.name for path in PAGE.iterdir() if path.suffix in SERVED} - {"index.html"}
    assert {path.name for path in (tmp_path / "page" / "page").iterdir()} == served


def test_no_file_holds_a_path_of_this_machine(out: Path, tmp_path: Path) -> None:
    write_static(Desk(open_folder(out), DrawnTiles(gone={BENIGN})), tmp_path / "page", mpx=1)
    for path in (tmp_path / "page").rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes()


def test_damaged_and_unreadable_parts_are_left_out_and_counted(out: Path, tmp_path: Path) -> None:
    (out / "slides" / BENIGN / "scores.h5").write_bytes(b"x")
    (out / "slides" / BENIGN / "tissue.geojson").write_bytes(b"x")
    tiles = DrawnTiles(gone={UNSURE}, fault=RegionError("a frame"))
    made = write_static(Desk(open_folder(out), tiles), tmp_path / "page", mpx=1)
    assert (made.tiles, made.unreadable > 0) == (0, True)
    assert "damaged" in data(tmp_path / "page" / "data" / BENIGN / "case.js")["case"]["words"]
    assert data(tmp_path / "page" / "data" / UNSURE / "case.js")["case"]["view"]["levels"] == []
    assert data(tmp_path / "page" / "data" / FAILED / "case.js")["case"]["status"] == "failed"


def test_folder_that_holds_something_is_left_alone(out: Path, tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        write_static(Desk(open_folder(out), DrawnTiles()), tmp_path / "page")
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["mine.txt"]
