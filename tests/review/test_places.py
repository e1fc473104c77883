"""Where the slides of a run lie, as its own records tell it, and what is said where they don't."""

import json
from pathlib import Path
from unicodedata import normalize

import pytest

from tests.review.cohort import REFUSED, SUSPICIOUS, client, graded, make_out, open_folder, stopped, write_case
from wsi.review import slide_places


def project(out: Path, **places: Path) -> None:
    """Write the part of a QuPath project that tells where slides lie; `_` stands for `-` in their ids."""
    images = [
        {"metadata": {"wsi-run id": slide.replace("_", "-")}, "serverBuilder": {"uri": path.as_uri()}}
        for slide, path in places.items()
    ]
    (out / "qupath").mkdir()
    (out / "qupath" / "project.qpproj").write_text(json.dumps({"images": images}))


def lay(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"px")
    return path


def found(out: Path) -> dict[str, Path]:
    return slide_places(out, open_folder(out).records())


def test_refused_slide_is_found_beside_those_of_the_project(tmp_path: Path) -> None:
    out, scans = make_out(tmp_path / "OUT"), tmp_path / "scans"
    first, refused = lay(scans / "one" / "1.svs"), lay(scans / "four.svs")
    project(out, one_1_aaaaaaaa=first)
    assert found(out) == {SUSPICIOUS: first, REFUSED: refused}
    refused.unlink()
    assert found(out) == {SUSPICIOUS: first}


def test_folder_with_accents_spelled_either_way_is_found(tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    write_case(out, graded(SUSPICIOUS, "f\u00fcnf/1.svs", 0.9))
    write_case(out, stopped(REFUSED, "four.svs", "refused", "E_MPP_MISSING"))
    refused = lay(tmp_path / "scans" / "four.svs")
    project(out, one_1_aaaaaaaa=tmp_path / "scans" / normalize("NFD", "f\u00fcnf") / "1.svs")
    assert found(out)[REFUSED] == refused


@pytest.mark.parametrize("path", ["../secret.svs", "/etc/passwd", "one/../../secret.svs"])
def test_record_leads_nowhere_else(path: str, tmp_path: Path) -> None:
    out, scans = make_out(tmp_path / "OUT"), tmp_path / "scans"
    lay(tmp_path / "secret.svs")
    write_case(out, stopped("other-9-99999999", path, "refused", "E_FORMAT"))
    project(out, one_1_aaaaaaaa=lay(scans / "one" / "1.svs"))
    assert set(found(out)) == {SUSPICIOUS}


def test_project_that_was_moved_elsewhere_tells_no_folder(tmp_path: Path) -> None:
    out = make_out(tmp_path / "OUT")
    elsewhere = lay(tmp_path / "renamed.svs")
    lay(tmp_path / "four.svs")
    project(out, one_1_aaaaaaaa=elsewhere)
    assert found(out) == {SUSPICIOUS: elsewhere}
    assert slide_places(tmp_path, {}) == {}


def test_slide_whose_place_is_not_known_is_not_said_to_have_moved(tmp_path: Path) -> None:
    told = client(make_out(tmp_path / "OUT")).get(f"/api/cases/{REFUSED}").json()["view_problem"]
    assert told == "four.svs: where it lies isn't known here. Start with --slides and the folder that was run."
