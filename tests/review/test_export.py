"""Decisions in the files for people: the table is one of labels, and drawn shapes open in QuPath; a rerun keeps both."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from tests.export import cases
from tests.review.cohort import BENIGN, SQUARE, SUSPICIOUS, UNSURE, client, decide, drawn, make_out
from wsi.config import ExportConfig
from wsi.engine import journal
from wsi.errors import ArtifactError
from wsi.export import export_run, export_slide
from wsi.results import last_words, read_case

BOW: list[tuple[float, float]] = [(3000, 3000), (3400, 3400), (3400, 3000), (3000, 3400), (3000, 3000)]
OVER: list[tuple[float, float]] = [(-500, -500), (600, -500), (600, 600), (-500, 600), (-500, -500)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_out(tmp_path / "OUT")


def rows(out: Path) -> dict[str, dict[str, str]]:
    export_run(out, list(journal.read(out).values()))
    with (out / "predictions.csv").open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def objects(out: Path, slide: str) -> list[dict[str, Any]]:
    case = read_case(out / "slides" / slide)
    made = export_slide(case, ExportConfig(), decisions=last_words(out, slide))
    name = next(name for name in made if name.endswith(".geojson.gz"))
    found: list[dict[str, Any]] = json.loads(gzip.decompress((case.folder / name).read_bytes()))["features"]
    return found


def test_table_has_no_columns_of_review_before_the_first_decision(out: Path) -> None:
    assert not [name for name in rows(out)[SUSPICIOUS] if name.startswith("review")]


def test_table_stays_as_it_is_where_the_decisions_cannot_be_read(out: Path) -> None:
    decide(client(out), SUSPICIOUS, verdict="agree")
    assert rows(out)[SUSPICIOUS]["review_status"] == "agree"
    log, before = out / "review" / "decisions.jsonl", (out / "predictions.csv").read_bytes()
    log.rename(log.with_suffix(".kept"))
    log.mkdir()
    with pytest.raises(ArtifactError, match="the decisions so far can't be read"):
        rows(out)
    with pytest.raises(ArtifactError, match="the decisions so far can't be read"):
        last_words(out, SUSPICIOUS)
    assert (out / "predictions.csv").read_bytes() == before


def test_last_final_decision_of_each_slide_is_in_the_table(out: Path) -> None:
    browser = client(out)
    decide(browser, SUSPICIOUS, verdict="agree")
    decide(browser, UNSURE, stage="own", verdict=None, grade="Malignant")
    decide(browser, UNSURE, verdict="unsure")
    decide(browser, UNSURE, verdict="disagree", grade="Malignant", who="=B. Other")
    found = rows(out)
    told = [found[SUSPICIOUS][f"review_{name}"] for name in ("status", "grade", "who")]
    assert told == ["agree", "Malignant", "A. Miller"]
    told = [found[UNSURE][f"review_{name}"] for name in ("status", "grade", "who")]
    assert told == ["disagree", "Malignant", "'=B. Other"]
    assert found[UNSURE]["review_when"].endswith("+00:00")
    assert found[BENIGN]["review_status"] == ""
    assert found[SUSPICIOUS]["label"] == "Malignant"


def test_table_is_one_of_labels_to_train_on(out: Path) -> None:
    from wsi.table import Problems, read_table
    from wsi.train.labels import infer_target, parse_wanted
    from wsi.train.rows import choose_columns, read_rows

    browser = client(out)
    decide(browser, SUSPICIOUS, verdict="agree")
    decide(browser, BENIGN, verdict="agree")
    rows(out)
    table = read_table(out / "predictions.csv")
    problems = Problems(table.path)
    target = infer_target(parse_wanted("review_grade"), table, problems)
    assert target is not None
    entries = read_rows(table, choose_columns(table, patient="path", slide=None, site=None), [target], problems)
    labels = {entry.slide: next(iter(entry.targets.values())) for entry in entries}
    assert {SUSPICIOUS, BENIGN} <= set(labels)
    assert labels[SUSPICIOUS] != labels[BENIGN]


def test_drawn_shapes_are_annotations_of_their_class(out: Path) -> None:
    shapes = drawn(SQUARE, name="nest", **{"class": "Malignant"})
    shapes["features"] += drawn(BOW, OVER)["features"] + drawn([(30_000, 1), (30_500, 1), (30_500, 400)])["features"]
    decide(client(out), SUSPICIOUS, verdict="disagree", grade="Benign", shapes=shapes)
    found = [one for one in objects(out, SUSPICIOUS) if one["properties"].get("name", "").startswith("Drawn")]
    assert [one["properties"]["name"] for one in found] == ["Drawn 1: nest", "Drawn 2", "Drawn 3"]
    kinds = [one["properties"]["classification"] for one in found]
    assert kinds[0] == {"name": "Malignant", "color": [213, 94, 0]}
    assert kinds[1] == {"name": "Benign", "color": [0, 114, 178]}
    first = found[0]["properties"]
    assert (first["objectType"], first["isLocked"], first["metadata"]["drawn by"]) == ("annotation", False, "A. Miller")
    assert len({one["id"] for one in found}) == 3
    shapes_ = [shapely.from_geojson(json.dumps(one["geometry"])) for one in found]
    assert all(shape.is_valid for shape in shapes_)
    assert shapes_[0].area == 1000 * 500
    assert shapes_[1].area == pytest.approx(2 * 400 * 200 / 2)
    assert tuple(shapes_[2].bounds) == (0, 0, 600, 600)


def test_shapes_count_from_the_corner_that_qupath_shows(tmp_path: Path) -> None:
    from tests.review.cohort import graded, write_case

    scale = cases.make_scale(size=(20_000, 15_000), bounds=(500, 300, 10_000, 9_000))
    write_case(tmp_path, graded(SUSPICIOUS, "1.svs", 0.9, scale=scale))
    decide(client(tmp_path), SUSPICIOUS, shapes=drawn(SQUARE))
    found = [one for one in objects(tmp_path, SUSPICIOUS) if one["properties"].get("name") == "Drawn 1"]
    assert tuple(shapely.from_geojson(json.dumps(found[0]["geometry"])).bounds) == (500, 700, 1500, 1200)


def test_what_each_person_drew_last_is_there_own_reads_and_earlier_finals_too(out: Path) -> None:
    browser = client(out)
    decide(browser, SUSPICIOUS, stage="own", verdict=None, grade="Malignant", shapes=drawn(SQUARE, name="alone"))
    decide(browser, SUSPICIOUS, verdict="unsure", who="Dr B", shapes=drawn(BOW, name="other"))
    decide(browser, SUSPICIOUS, verdict="agree", who="Dr C")
    names = [one["properties"].get("name", "") for one in objects(out, SUSPICIOUS)]
    assert [name for name in names if name.startswith("Drawn")] == ["Drawn 1: alone", "Drawn 2: other"]


def test_later_decision_without_shapes_takes_them_back(out: Path) -> None:
    browser = client(out)
    decide(browser, SUSPICIOUS, shapes=drawn(SQUARE))
    decide(browser, SUSPICIOUS, verdict="unsure")
    assert not [one for one in objects(out, SUSPICIOUS) if one["properties"].get("name", "").startswith("Drawn")]
