"""Slides of a model without classes: their value, curve and heat in every file for people."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.export.cases import NO_VERDICT, grid_coords, make_case, make_record, make_result, make_scale, make_scores
from wsi.config import ExportConfig
from wsi.export.cohort import entries
from wsi.export.geojson import write_geojson
from wsi.export.heat import Heat, heat_of, heat_share
from wsi.export.report import order_key, write_report
from wsi.export.slide import export_slide
from wsi.export.table import write_predictions
from wsi.export.words import verdict
from wsi.results import Result, Scores, Survival, Value, read_case

INDEX = Value(name="Ki-67 index", value=23.44, unit="%", low=4.0, high=36.0)
RISK = Value(name="risk of death within 24 months", value=0.35)
CURVE = Survival(event="death", unit="months", times=[12.0, 24.0], shares=[0.8, 0.65])


def told(**changes: Any) -> Result:
    return make_result(make_scale(), **{**NO_VERDICT, "refer": False, "refer_reason": "", "value": INDEX, **changes})


def tiles_of(score: Any) -> Scores:
    return make_scores(grid_coords(20, 10, step=448), score)


def test_a_value_is_told_in_one_line_with_its_unit() -> None:
    assert verdict(told()) == "Ki-67 index = 23.4 %"
    assert verdict(told(value=RISK)) == "risk of death within 24 months = 0.35"


def test_heat_runs_from_the_low_to_the_high_end_and_no_further() -> None:
    heat = heat_of(told())
    assert heat == Heat("Ki-67 index (%)", 4.0, 36.0, None)
    score = np.concatenate([[-50, 4, 12, 20, 36, 99], np.full(194, 20.0)])
    assert heat_share(heat, tiles_of(score))[:6].tolist() == pytest.approx([0, 0, 0.25, 0.5, 1, 1])


def test_heat_of_classes_is_the_probability_as_it_is() -> None:
    heat = heat_of(make_result(make_scale()))
    assert heat == Heat("P(Malignant)", 0.0, 1.0, 0.5)
    scores = tiles_of(None)
    assert heat_share(heat, scores) is scores.score
    assert heat_of(make_result(make_scale(), **NO_VERDICT)) is None


def test_tiles_in_qupath_carry_the_value_and_no_class(tmp_path: Path) -> None:
    case = make_case(tmp_path, told(), tiles_of(np.linspace(-3, 40, 200)))
    write_geojson(tmp_path / "a.geojson.gz", case, None)
    found = json.loads(gzip.decompress((tmp_path / "a.geojson.gz").read_bytes()))["features"]
    assert len(found) == 200
    assert all(one["properties"]["objectType"] == "tile" for one in found)
    assert not any("classification" in one["properties"] for one in found)
    values = [one["properties"]["measurements"]["Ki-67 index (%)"] for one in found]
    assert values == pytest.approx(np.linspace(-3, 40, 200).tolist(), abs=1e-3)


def test_small_values_of_tiles_keep_their_digits(tmp_path: Path) -> None:
    rate = Value(name="mutations per base", value=4e-6, low=0.0, high=2e-5)
    case = make_case(tmp_path, told(value=rate), tiles_of(np.linspace(1e-6, 2e-5, 200)))
    write_geojson(tmp_path / "a.geojson.gz", case, None)
    found = json.loads(gzip.decompress((tmp_path / "a.geojson.gz").read_bytes()))["features"]
    values = [one["properties"]["measurements"]["mutations per base"] for one in found]
    assert values == pytest.approx(np.linspace(1e-6, 2e-5, 200).tolist(), rel=1e-5)


def test_a_slide_with_a_value_gets_its_heatmaps(tmp_path: Path) -> None:
    case = make_case(tmp_path, told(), tiles_of(np.linspace(-3, 40, 200)))
    made = export_slide(case, ExportConfig())
    assert sorted(made) == ["1.geojson.gz", "heatmap.ome.tiff", "heatmap.png"]


def rows(out: Path, results: list[Result]) -> list[dict[str, str]]:
    for result in results:
        make_case(out / "slides" / result.slide, result, None)
    write_predictions(out, entries(out, [make_record(result) for result in results]))
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_has_columns_for_the_value_and_each_time(tmp_path: Path) -> None:
    graded = make_result(make_scale(), slide="other")
    one, two, three = rows(tmp_path, [told(), told(slide="second", value=RISK, survival=CURVE), graded])
    assert (one["value"], one["unit"], one["value_is"], one["S(12 months)"]) == ("23.44", "%", "Ki-67 index", "")
    assert (one["label"], one["probability"], one["confidence"], one["P(Malignant)"]) == ("", "", "", "")
    assert (two["value"], two["S(12 months)"], two["S(24 months)"]) == ("0.35", "0.8", "0.65")
    assert (three["value"], three["P(Malignant)"]) == ("", "0.93")


@pytest.mark.parametrize("value", [-0.75, -1e-05, 0.5])
def test_a_value_below_0_is_a_number_in_the_table(tmp_path: Path, value: float) -> None:
    hazard = Value(name="log hazard of death", value=value, low=-2.0, high=2.0)
    (row,) = rows(tmp_path, [told(value=hazard)])
    assert float(row["value"]) == value


def test_a_table_of_classes_has_no_column_for_a_value(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, [make_result(make_scale())])
    assert not {"value", "unit", "value_is"} & set(row)


def test_the_report_tells_value_and_curve_and_counts_the_slide_as_judged(tmp_path: Path) -> None:
    for result in (made := [told(value=RISK, survival=CURVE, refer=True, refer_reason="only 3 tiles of tissue")]):
        make_case(tmp_path / "slides" / result.slide, result, None)
    write_report(tmp_path, [make_record(result) for result in made])
    page = (tmp_path / "report.html").read_text()
    assert "risk of death within 24 months = 0.35" in page
    assert "Free of death beyond (months)" in page
    assert "12: 0.80, 24: 0.65" in page
    assert "<b>0</b> without a verdict" in page
    assert "<b>1</b> to refer" in page
    assert "only 3 tiles of tissue" in page
    assert "No verdict" not in page


def test_the_report_sorts_by_falling_value_and_slides_without_a_verdict_last() -> None:
    low, high = told(slide="low", value=INDEX.model_copy(update={"value": 3.0})), told(slide="high")
    none = make_result(make_scale(), slide="none", **NO_VERDICT)
    assert [r.slide for r in sorted([none, low, high], key=order_key)] == ["high", "low", "none"]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a\u202eb\n=1+1"])
def test_hostile_names_of_a_value_stay_text(tmp_path: Path, name: str) -> None:
    value = INDEX.model_copy(update={"name": name, "unit": "<b>"})
    result = told(value=value, survival=CURVE.model_copy(update={"event": name, "unit": "<i>"}))
    (row,) = rows(tmp_path, [result])
    assert "\n" not in row["value_is"]
    write_report(tmp_path, [make_record(result)])
    page = (tmp_path / "report.html").read_text()
    assert not {"<script", "\u202e", "<i>"} & {part for part in ("<script", "\u202e", "<i>") if part in page}


def test_results_from_before_there_were_values_still_read(tmp_path: Path) -> None:
    make_case(tmp_path, make_result(make_scale()), None)
    path = tmp_path / "result.json"
    old = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("value", "survival", "labels")}
    path.write_text(json.dumps(old))
    found = read_case(tmp_path).result
    assert (found.grade, found.value, found.survival, found.labels) == ("Malignant", None, None, [])
    assert found.has_verdict
    assert found.is_positive


def test_a_label_makes_a_slide_positive_only_when_it_is_the_positive_one() -> None:
    both = make_result(make_scale(), grade="Benign + Malignant", labels=["Benign", "Malignant"])
    one = make_result(make_scale(), grade="Benign", labels=["Benign"])
    assert (both.is_positive, one.is_positive) == (True, False)


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0)])
def test_ends_that_are_no_range_are_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="isn't below high"):
        Value(name="x", value=0.0, low=ends[0], high=ends[1])


def test_a_curve_with_more_times_than_shares_is_refused() -> None:
    with pytest.raises(ValueError, match="2 times and 1 shares"):
        Survival(event="death", unit="months", times=[1.0, 2.0], shares=[0.5])
