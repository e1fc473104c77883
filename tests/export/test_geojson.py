"""Every rule that QuPath's importers have, held against written files. A file that breaks one is refused whole."""

import gzip
import json
import math
import uuid
from pathlib import Path
from typing import Any

import geojson
import numpy as np
import pytest
import shapely
from shapely.geometry import shape

from tests.export.cases import CLASSES, NO_VERDICT, grid_coords, make_case, make_result, make_scale, make_scores
from wsi.export.geojson import class_name, read_origin, write_geojson
from wsi.export.place import Origin
from wsi.results import ClassScore, Result, Scale, Scores

TISSUE = shapely.MultiPolygon([shapely.box(100, 100, 5000, 4000), shapely.box(6000, 200, 9000, 3000)])
OBJECT_TYPES = {"annotation", "detection", "tile", "cell", "tmaCore"}


def written(
    folder: Path,
    *,
    scale: Scale | None = None,
    scores: Scores | None = None,
    tissue: shapely.MultiPolygon | None = TISSUE,
    origin: Origin = "qupath",
    **changes: Any,
) -> dict[str, Any]:
    """Write a slide's objects and return what the file says, read by the standard library."""
    scale = scale or make_scale()
    scores = scores or make_scores(grid_coords(20, 10, step=448))
    case = make_case(folder, make_result(scale, **changes), scores)
    write_geojson(folder / "a.geojson.gz", case, tissue, origin=origin)
    content: dict[str, Any] = json.loads(
        gzip.decompress((folder / "a.geojson.gz").read_bytes()), parse_constant=_refuse
    )
    return content


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def check_rules(content: dict[str, Any], scale: Scale, *, origin: Origin = "qupath") -> None:
    """Assert what QuPath 0.4 to 0.8 ask of a file."""
    width, height = scale.bounds[2:] if origin == "qupath" else (scale.width, scale.height)
    assert content["type"] == "FeatureCollection"
    assert geojson.loads(json.dumps(content)).is_valid
    ids = [feature["id"] for feature in content["features"]]
    assert len(ids) == len(set(ids))
    for feature in content["features"]:
        assert feature["type"] == "Feature"
        assert str(uuid.UUID(feature["id"])) == feature["id"]
        assert uuid.UUID(feature["id"]).version == 5
        _check_properties(feature["properties"])
        _check_geometry(feature["geometry"], width, height)
        assert "objectType" not in feature, "elsewhere than in properties it is not read"


def _check_properties(properties: dict[str, Any]) -> None:
    assert properties["objectType"] in OBJECT_TYPES
    assert properties.get("name", "x"), "null or empty"
    assert all(value is not None for value in properties.values())
    if "classification" in properties:
        kind = properties["classification"]
        assert kind["name"].strip()
        assert ":" not in kind["name"], "a derived class gives its base a random color"
        assert len(kind["color"]) == 3
        assert all(type(value) is int and 0 <= value <= 255 for value in kind["color"])
    for value in properties.get("measurements", {}).values():
        assert type(value) in (int, float)
        assert math.isfinite(value)


def _check_geometry(geometry: dict[str, Any], width: int, height: int) -> None:
    assert geometry["type"] in ("Polygon", "MultiPolygon")
    polygon = shape(geometry)
    assert polygon.is_valid
    assert polygon.area > 0
    rings = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    for ring in (ring for polygon in rings for ring in polygon):
        assert ring[0] == ring[-1], "an open ring"
        assert np.array(ring).round(2).tolist() == [[float(x), float(y)] for x, y in ring], "QuPath rounds to 0.01 px"
    left, top, right, bottom = polygon.bounds
    assert left >= 0
    assert top >= 0
    assert right <= width
    assert bottom <= height


def tiles(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [f for f in content["features"] if f["properties"]["objectType"] == "tile"]


def test_a_plain_slide_keeps_every_rule(tmp_path: Path) -> None:
    check_rules(written(tmp_path), make_scale())


def test_heat_is_tiles_and_the_rest_a_handful_of_locked_annotations(tmp_path: Path) -> None:
    content = written(tmp_path)
    others = [f for f in content["features"] if f["properties"]["objectType"] != "tile"]
    assert len(tiles(content)) == 200
    assert {f["properties"]["objectType"] for f in others} == {"annotation"}
    assert 2 <= len(others) <= 25
    assert all(f["properties"]["isLocked"] for f in content["features"])


def test_attention_is_measured_as_attention_and_only_scores_as_probability(tmp_path: Path) -> None:
    scores = make_scores(grid_coords(20, 10, step=448))
    content = written(tmp_path, scores=scores)
    measured = [tile["properties"]["measurements"] for tile in tiles(content)]
    assert all(set(m) == {"P(Malignant)", "Attention", "Attention percentile"} for m in measured)
    assert [m["P(Malignant)"] for m in measured] == pytest.approx(scores.score.tolist(), abs=5e-5)
    assert [m["Attention"] for m in measured] == pytest.approx(scores.attention.tolist(), rel=1e-5)
    assert sum(m["Attention"] for m in measured) == pytest.approx(1, abs=1e-4)


def test_bounds_are_subtracted_from_a_mirax_like_slide(tmp_path: Path) -> None:
    scale = make_scale(size=(100_000, 90_000), bounds=(30_001, 40_002, 20_000, 15_000))
    scores = make_scores(np.array([[30_001, 40_002], [30_449, 40_450]], np.int32))
    tissue = shapely.MultiPolygon([shapely.box(30_101, 40_102, 30_601, 40_702)])
    content = written(tmp_path, scale=scale, scores=scores, tissue=tissue)
    check_rules(content, scale)
    assert [shape(tile["geometry"]).bounds for tile in tiles(content)] == [(0, 0, 448, 448), (448, 448, 896, 896)]
    assert shape(content["features"][0]["geometry"]).bounds == (100, 100, 600, 700)
    assert content["wsi_run"]["origin"] == "qupath"
    assert content["wsi_run"]["origin_px0"] == [30_001, 40_002]


def test_level0_origin_keeps_the_files_own_coordinates_and_says_so(tmp_path: Path) -> None:
    scale = make_scale(size=(100_000, 90_000), bounds=(30_000, 40_000, 20_000, 15_000))
    scores = make_scores(np.array([[30_000, 40_000]], np.int32))
    content = written(tmp_path, scale=scale, scores=scores, tissue=None, origin="level0")
    check_rules(content, scale, origin="level0")
    assert shape(tiles(content)[0]["geometry"]).bounds == (30_000, 40_000, 30_448, 40_448)
    assert read_origin(tmp_path / "a.geojson.gz") == content["wsi_run"]["origin"] == "level0"


def test_tiles_are_clipped_to_the_slide_and_those_beyond_it_left_out(tmp_path: Path) -> None:
    scale = make_scale(size=(1000, 1000))
    scores = make_scores(np.array([[-100, -100], [800, 800], [1000, 0], [5000, 5000]], np.int32))
    content = written(tmp_path, scale=scale, scores=scores, tissue=None)
    check_rules(content, scale)
    assert [shape(tile["geometry"]).bounds for tile in tiles(content)] == [(0, 0, 348, 348), (800, 800, 1000, 1000)]


def test_tiles_are_closed_rectangles_along_the_axes(tmp_path: Path) -> None:
    for tile in tiles(written(tmp_path)):
        (ring,) = tile["geometry"]["coordinates"]
        assert len(ring) == 5
        assert shape(tile["geometry"]).equals(shapely.box(*shape(tile["geometry"]).bounds))


@pytest.mark.parametrize("name", ["", "  ", "Tumor: Grade 3", "<b>\n\x00\u202e", '"],"x":[', "悪性", "é" * 300])
def test_a_hostile_class_name_becomes_one_plain_class(tmp_path: Path, name: str) -> None:
    classes = [CLASSES[0], ClassScore(name=name, color=[1, 2, 3], probability=0.93)]
    content = written(tmp_path, classes=classes, positive=name, grade=name or "x")
    if name:
        check_rules(content, make_scale())
        hot = tiles(content)[-1]["properties"]["classification"]
        assert hot == {"name": class_name(name), "color": [1, 2, 3]}
        assert class_name(name).isprintable()
    assert class_name(name).strip()


@pytest.mark.parametrize("slide", ["a\nb", '"origin":"level0"', "\udcff", "x" * 255])
def test_a_hostile_slide_name_changes_no_structure(tmp_path: Path, slide: str) -> None:
    content = written(tmp_path, slide=slide)
    check_rules(content, make_scale())
    assert read_origin(tmp_path / "a.geojson.gz") == "qupath"


def test_measurements_that_are_no_number_are_left_out(tmp_path: Path) -> None:
    content = written(tmp_path, quality={"blur": math.nan, "pen": math.inf, "fold": 0.25})
    check_rules(content, make_scale())
    assert content["features"][0]["properties"]["measurements"] == {
        "Area mm^2": pytest.approx((4900 * 3900 + 3000 * 2800) * 0.25**2 / 1e6),
        "Share of tissue: fold": 0.25,
    }


def test_ids_are_uuid5_of_the_namespace_and_the_same_on_every_run(tmp_path: Path) -> None:
    one, two = written(tmp_path / "1"), written(tmp_path / "2")
    assert [f["id"] for f in one["features"]] == [f["id"] for f in two["features"]]
    other = written(tmp_path / "3", slide="another")
    assert not {f["id"] for f in one["features"]} & {f["id"] for f in other["features"]}


@pytest.mark.parametrize("seed", range(12))
def test_ragged_and_crossing_tissue_comes_out_valid(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rings = [rng.integers(-2000, 22_000, (rng.integers(3, 40), 2)) + rng.random(2) for _ in range(6)]
    tissue = shapely.MultiPolygon([shapely.Polygon(ring) for ring in rings])
    mask = rng.random(600) > 0.5
    coords = grid_coords(30, 20, step=448.3719)[mask]
    scores = make_scores(coords, rng.random(len(coords)))
    scale = make_scale(tile_px0=448.3719)
    check_rules(written(tmp_path, scale=scale, scores=scores, tissue=tissue), scale)


def test_bow_tie_is_repaired_to_its_two_triangles(tmp_path: Path) -> None:
    bow = shapely.MultiPolygon([shapely.Polygon([(0, 0), (1000, 1000), (1000, 0), (0, 1000)])])
    content = written(tmp_path, tissue=bow)
    check_rules(content, make_scale())
    assert shape(content["features"][0]["geometry"]).area == pytest.approx(500_000)


def test_hot_regions_hold_the_tiles_at_and_above_the_threshold(tmp_path: Path) -> None:
    score = np.zeros(100)
    score[[0, 1, 10, 11, 55]] = 0.5
    scores = make_scores(grid_coords(10, 10, step=448), score)
    content = written(tmp_path, scores=scores, tissue=None)
    regions = [f for f in content["features"] if f["properties"]["objectType"] == "annotation"]
    assert [r["properties"]["measurements"]["Tiles"] for r in regions] == [4, 1]
    assert shape(regions[0]["geometry"]).equals(shapely.box(0, 0, 896, 896))
    assert regions[0]["properties"]["measurements"]["Mean P(Malignant)"] == pytest.approx(0.5)


def test_a_hot_tile_whose_middle_lies_beyond_the_slide_counts_in_its_region(tmp_path: Path) -> None:
    scale = make_scale(size=(1080, 1080))
    scores = make_scores(np.array([[0, 0], [896, 0]], np.int32), np.array([0.1, 0.9]))
    content = written(tmp_path, scale=scale, scores=scores, tissue=None)
    (region,) = (f["properties"] for f in content["features"] if f["properties"]["objectType"] == "annotation")
    assert region["measurements"]["Tiles"] == 1
    assert region["measurements"]["Mean P(Malignant)"] == pytest.approx(0.9)


def test_without_a_verdict_there_is_tissue_only(tmp_path: Path) -> None:
    case = make_case(tmp_path, make_result(make_scale(), **NO_VERDICT), None)
    write_geojson(tmp_path / "a.geojson.gz", case, TISSUE)
    content = json.loads(gzip.decompress((tmp_path / "a.geojson.gz").read_bytes()))
    check_rules(content, make_scale())
    assert [f["properties"]["classification"]["name"] for f in content["features"]] == ["Tissue"]


def test_file_says_research_use_and_the_models_hash(tmp_path: Path) -> None:
    content = written(tmp_path)
    about = content["wsi_run"]
    model: Result = make_result(make_scale())
    assert about["notice"] == "Research use only. Not for diagnosis."
    assert model.provenance is not None
    assert about["model_sha256"] == model.provenance.model_sha256
    annotation = content["features"][0]["properties"]
    assert "research use only" in annotation["name"]
    assert annotation["metadata"]["model_sha256"] == model.provenance.model_sha256


def test_no_scale_is_refused(tmp_path: Path) -> None:
    case = make_case(tmp_path, make_result(None), None)
    with pytest.raises(ValueError, match="no scale"):
        write_geojson(tmp_path / "a.geojson.gz", case, TISSUE)
    assert list(tmp_path.glob("*.gz")) == []
