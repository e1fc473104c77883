"""Polygons that a person drew come in as they were drawn, whoever wrote the file; damaged files are refused by name."""

import gzip
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import pytest
import shapely

from wsi.errors import AnnotationError
from wsi.geometry import Bounds, Mpp, Point, Size
from wsi.tissue import drawn_tissue, find_annotation, read_annotations

SQUARE = [[10, 20], [110, 20], [110, 220], [10, 220], [10, 20]]
HOLE = [[30, 40], [60, 40], [60, 80], [30, 80], [30, 40]]
BOUNDS = Bounds(Point(0, 0), Size(1000, 1000))
MPP = Mpp(0.5, 0.5, "metadata")


def feature(rings: object, name: str = "Tissue", kind: str = "Polygon") -> dict[str, object]:
    properties = {"objectType": "annotation", "classification": {"name": name, "color": [0, 0, 0]}}
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": rings}, "properties": properties}


def collection(*features: dict[str, object]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def area_of(path: Path) -> float:
    return float(shapely.union_all([a.area for a in read_annotations(path).annotations if not a.excluded]).area)


def zipped(content: bytes, folder: Path) -> bytes:
    path = folder / "packed"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("slide.geojson", content)
    return path.read_bytes()


@pytest.mark.parametrize(
    "shape",
    [
        lambda one, folder: collection(one),
        lambda one, folder: json.dumps([one]).encode(),
        lambda one, folder: json.dumps(one).encode(),
        lambda one, folder: json.dumps(one["geometry"]).encode(),
        lambda one, folder: b"\xef\xbb\xbf" + collection(one),
        lambda one, folder: gzip.compress(collection(one)),
        lambda one, folder: zipped(collection(one), folder),
    ],
    ids=["collection", "bare array", "one feature", "bare geometry", "byte order mark", "gzip", "zip"],
)
def test_every_container_that_qupath_writes_is_read(
    tmp_path: Path, shape: Callable[[dict[str, object], Path], bytes]
) -> None:
    path = write(tmp_path / "slide.geojson", shape(feature([SQUARE, HOLE]), tmp_path))
    assert area_of(path) == 100 * 200 - 30 * 40


def test_repeated_metadata_key_of_qupath_is_no_fault(tmp_path: Path) -> None:
    text = (
        collection(feature([SQUARE]))
        .decode()
        .replace('"objectType"', '"metadata":{"a":"1"},"metadata":{"b":"2"},"objectType"')
    )
    assert area_of(write(tmp_path / "slide.geojson", text.encode())) == 20_000


def test_excluded_classes_are_taken_out(tmp_path: Path) -> None:
    path = write(tmp_path / "slide.geojson", collection(feature([SQUARE]), feature([HOLE], "Ignore*")))
    tissue = drawn_tissue(path, bounds=BOUNDS, mpp=MPP)
    assert tissue.polygons.area == 100 * 200 - 30 * 40
    assert tissue.area_mm2 == pytest.approx(18_800 * 0.25e-6, abs=1e-4)
    assert tissue.source == "drawn"


def test_coordinates_of_qupath_start_at_the_bounds(tmp_path: Path) -> None:
    path = write(tmp_path / "slide.geojson", collection(feature([SQUARE])))
    tissue = drawn_tissue(path, bounds=Bounds(Point(300, 400), Size(500, 500)), mpp=MPP)
    assert tissue.polygons.bounds == (310, 420, 410, 620)


def test_what_lies_outside_the_slide_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "slide.geojson", collection(feature([SQUARE])))
    assert drawn_tissue(path, bounds=Bounds(Point(0, 0), Size(60, 120)), mpp=MPP).polygons.bounds == (10, 20, 60, 120)


def test_drawing_beside_the_slide_is_no_tissue_with_its_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "slide.geojson", collection(feature([SQUARE])))
    tissue = drawn_tissue(path, bounds=Bounds(Point(0, 0), Size(5, 5)), mpp=MPP)
    assert tissue.polygons.is_empty
    assert "slide.geojson" in tissue.reason


def test_bow_tie_keeps_both_its_wings(tmp_path: Path) -> None:
    path = write(tmp_path / "slide.geojson", collection(feature([[[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]])))
    assert area_of(path) == pytest.approx(5000)


def test_open_ring_is_closed(tmp_path: Path) -> None:
    assert area_of(write(tmp_path / "slide.geojson", collection(feature([SQUARE[:-1]])))) == 20_000


def test_asap_polygons_are_read_in_level_0_px_in_the_order_of_their_points(tmp_path: Path) -> None:
    points = "".join(
        f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in reversed(list(enumerate(SQUARE[:-1])))
    )
    hole = "".join(f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in enumerate(HOLE[:-1]))
    text = (
        '<?xml version="1.0"?><ASAP_Annotations><Annotations>'
        f'<Annotation Name="a" Type="Polygon" PartOfGroup="metastasis"><Coordinates>{points}</Coordinates></Annotation>'
        f'<Annotation Name="b" Type="Spline" PartOfGroup="negative"><Coordinates>{hole}</Coordinates></Annotation>'
        '<Annotation Name="c" Type="Dot"><Coordinates><Coordinate Order="0" X="1" Y="1"/></Coordinates></Annotation>'
        "</Annotations></ASAP_Annotations>"
    )
    path = write(tmp_path / "slide.xml", text.encode())
    tissue = drawn_tissue(path, bounds=Bounds(Point(5, 5), Size(900, 900)), mpp=MPP)
    assert tissue.polygons.area == 100 * 200 - 30 * 40
    assert tissue.polygons.bounds == (10, 20, 110, 220)


def test_imagescope_regions_are_read_and_negative_ones_left_out(tmp_path: Path) -> None:
    def region(ring: list[list[int]], more: str = "") -> str:
        vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in ring)
        return f'<Region Type="0" {more}><Vertices>{vertices}</Vertices></Region>'

    text = (
        '<Annotations MicronsPerPixel="0.25"><Annotation Name="tumor"><Regions>'
        + region(SQUARE[:-1])
        + region(HOLE[:-1], 'NegativeROA="1"')
        + "</Regions></Annotation></Annotations>"
    )
    tissue = drawn_tissue(write(tmp_path / "slide.xml", text.encode()), bounds=BOUNDS, mpp=MPP)
    assert tissue.polygons.area == 100 * 200 - 30 * 40


XML_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]><ASAP_Annotations>&j;</ASAP_Annotations>"
).encode()
HOSTILE = {
    "empty": b"",
    "text": b"hello",
    "cut off": collection(feature([SQUARE]))[:-20],
    "NaN": collection(feature([[[0, 0], [1e999, 5], [5, 5]]])),
    "NaN by name": b'{"type":"Polygon","coordinates":[[[NaN,0],[5,0],[5,5],[NaN,0]]]}',
    "text for numbers": collection(feature([[["a", "b"], [1, 2], [3, 4]]])),
    "absurdly far": collection(feature([[[0, 0], [1e30, 0], [5, 5]]])),
    "no coordinates": b'{"type":"Feature","geometry":{"type":"Polygon"},"properties":{}}',
    "coordinates that are no list": collection(feature(7)),
    "nested too deep": b"[" * 200_000,
    "entities": XML_BOMB,
    "another XML": b"<html><body/></html>",
    "XML cut off": b"<ASAP_Annotations><Annotations>",
    "gzip of nothing": gzip.compress(b""),
    "gzip cut off": gzip.compress(collection(feature([SQUARE])))[:-9],
    "zip cut off": b"PK\x03\x04" + bytes(40),
    "not UTF-8": b'{"type":"\xff\xfe"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_damaged_file_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "slide.geojson", HOSTILE[name])
    with pytest.raises(AnnotationError, match=r"slide\.geojson"):
        read_annotations(path)


def test_gzip_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slide.geojson.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(80):
            file.write(bytes(1 << 20))
    with pytest.raises(AnnotationError, match="slide"):
        read_annotations(path)


def test_null_geometry_is_passed_over(tmp_path: Path) -> None:
    nothing: dict[str, object] = {"type": "Feature", "geometry": None, "properties": None}
    assert area_of(write(tmp_path / "slide.geojson", collection(nothing, feature([SQUARE])))) == 20_000


@pytest.mark.parametrize("name", ["a/1.svs.geojson", "a/1.geojson", "1.svs.xml", "1.geojson.gz"])
def test_file_is_found_by_the_slides_path_or_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / name).touch()
    assert find_annotation(tmp_path, "a/1.svs") == tmp_path / name
    assert find_annotation(tmp_path, "a/2.svs") is None


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_file_is_found_however_its_accents_are_spelled(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    path = tmp_path / normalize(form, "Müller.geojson")
    path.touch()
    assert find_annotation(tmp_path, normalize("NFC", "a/Müller.svs")) == path


def test_slide_whose_name_leaves_no_room_for_a_suffix_has_no_file(tmp_path: Path) -> None:
    assert find_annotation(tmp_path, "x" * 250 + ".svs") is None


def real(name: str) -> Path:
    path = Path(os.environ.get("WSI_DATA", "/nonexistent")) / "annotations" / name
    if not path.exists():
        pytest.skip("WSI_DATA names no folder with these annotations")
    return path


@pytest.mark.parametrize("number", ["009", "036", "076", "085"])
def test_asap_polygons_are_those_that_others_converted(number: str) -> None:
    """Oracle: the same polygons as JSON, converted by the authors of NCRF, their vertices cut to whole px."""
    told = json.loads(real(f"ncrf_json/Tumor_{number}.json").read_bytes())
    theirs = shapely.union_all([shapely.make_valid(shapely.Polygon(p["vertices"])) for p in told["positive"]])
    areas = read_annotations(real(f"asap/tumor_{number}.xml")).annotations
    ours = shapely.union_all([a.area for a in areas if not a.excluded])
    overlap = ours.intersection(theirs).area / ours.union(theirs).area
    assert overlap > 0.999


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("geojson/histoqc-holed.geojson", 1),
        ("geojson/qupath05.geojson", 1),
        ("geojson/qupath-multipolygon.geojson", 1),
        ("geojson/ytma10_010704_benign1-cells.geojson", 400),
        ("imagescope/TCGA-EJ-5518-01Z-00-DX1.xml", 1),
        ("asap/asap-polygon.xml", 1),
    ],
)
def test_real_files_hold_valid_areas(name: str, least: int) -> None:
    found = read_annotations(real(name)).annotations
    assert len([a for a in found if a.area.area > 0]) >= least
    assert all(a.area.is_valid for a in found)
