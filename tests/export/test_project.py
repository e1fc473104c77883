"""qupath/: what a project must hold to open in QuPath 0.4 to 0.8, and what of a person's work it must keep."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
import shapely

from tests.export.cases import (
    MODEL_SHA256,
    NO_VERDICT,
    grid_coords,
    make_case,
    make_record,
    make_result,
    make_scale,
    make_scores,
)
from wsi.config import ExportConfig
from wsi.export import export_run, export_slide
from wsi.export.project import ID_KEY, entry_number
from wsi.results import Record

OPENSLIDE = "qupath.lib.images.servers.openslide.OpenslideServerBuilder"
BIOFORMATS = "qupath.lib.images.servers.bioformats.BioFormatsServerBuilder"
TISSUE = shapely.MultiPolygon([shapely.box(0, 0, 900, 900)])


def slide(out: Path, name: str, config: ExportConfig | None = None, **changes: Any) -> Record:
    result = make_result(make_scale(), slide=name, path=f"{name}.svs", **changes)
    case = make_case(out / "slides" / name, result, make_scores(grid_coords(3, 3, step=448)), tissue=TISSUE)
    return make_record(result, export_slide(case, config or ExportConfig(heatmap_px=64)))


def project(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "qupath" / "project.qpproj").read_text())
    return content


def save_like_qupath(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "OUT"


def test_project_has_all_that_qupath_reads(out: Path) -> None:
    records = [slide(out, "a"), slide(out, "b")]
    export_run(out, records, places={"a": Path("/data/sl ide/ä#.svs"), "b": Path("/data/b.svs")})
    found = project(out)
    assert {"version", "createTimestamp", "modifyTimestamp", "uri", "lastID", "images"} <= set(found)
    assert found["createTimestamp"] == found["modifyTimestamp"] == 0
    assert found["uri"] == (out / "qupath" / "project.qpproj").resolve().as_uri()
    image = found["images"][0]
    assert image["serverBuilder"]["builderType"] == "uri"
    assert image["serverBuilder"]["providerClassName"] == OPENSLIDE
    assert image["serverBuilder"]["args"] == []
    assert unquote(urlparse(image["serverBuilder"]["uri"]).path) == "/data/sl ide/ä#.svs"
    assert image["imageName"] == "a.svs"
    numbers = [image["entryID"] for image in found["images"]]
    assert len(set(numbers)) == 2
    assert max(numbers) == found["lastID"] < 2**53, "a double keeps it exactly"


def test_metadata_sorts_as_a_worklist_and_is_all_text(out: Path) -> None:
    export_run(out, [slide(out, "a")], places={"a": Path("/a.svs")})
    metadata = project(out)["images"][0]["metadata"]
    assert all(isinstance(value, str) and value for value in metadata.values())
    assert metadata["Grade"] == "Malignant"
    assert metadata["Probability"] == "0.930"
    assert metadata["Refer"] == "yes"
    assert metadata["Status"] == "ok"
    assert metadata["Model SHA-256"] == MODEL_SHA256
    assert metadata["Notice"] == "Research use only. Not for diagnosis."


def test_classes_are_signed_java_colors(out: Path) -> None:
    export_run(out, [slide(out, "a")], places={"a": Path("/a.svs")})
    classes = json.loads((out / "qupath" / "classifiers" / "classes.json").read_text())["pathClasses"]
    assert {c["name"]: c["color"] & 0xFFFFFFFF for c in classes} == {
        "Tissue": 0xFF009E73,
        "Benign": 0xFF0072B2,
        "Malignant": 0xFFD55E00,
    }
    assert all(-(2**31) <= c["color"] < 0 for c in classes)


def test_the_script_finds_each_slides_objects_beside_the_project(out: Path) -> None:
    export_run(out, [slide(out, "a"), slide(out, "b")], places={"a": Path("/a.svs"), "b": Path("/b.svs")})
    lines = (out / "qupath" / "objects.tsv").read_text().splitlines()
    numbers = {str(image["entryID"]) for image in project(out)["images"]}
    assert {line.split("\t")[0] for line in lines} == numbers
    assert all((out / "qupath" / line.split("\t")[1]).is_file() for line in lines)
    script = (out / "qupath" / "scripts" / "import.groovy").read_text()
    assert "objects.tsv" in script
    assert "Research use only" in script


def test_the_script_takes_away_all_that_an_earlier_run_left_and_nobody_unlocked(out: Path) -> None:
    """Another model's tiles and regions lie elsewhere, so no new object has their ids; QuPath's own ids are version 4."""
    export_run(out, [slide(out, "a")], places={"a": Path("/a.svs")})
    script = (out / "qupath" / "scripts" / "import.groovy").read_text()
    (removed,) = re.findall(r"def before = hierarchy\.getAllObjects\(false\)\.findAll \{(.*)\}", script)
    assert "ids.contains(it.getID()) ||" in removed
    assert "it.isLocked() && it.getID().version() == 5" in removed
    assert script.index("removeObjects(before, true)") < script.index("addObjects(added)")


@pytest.mark.parametrize(("origin", "args"), [("qupath", []), ("level0", ["--no-crop"])])
def test_an_uncropped_origin_opens_the_slide_uncropped(out: Path, origin: Any, args: list[str]) -> None:
    record = slide(out, "a", ExportConfig(origin=origin, heatmap_px=64))
    export_run(out, [record], places={"a": Path("/a.svs")})
    assert project(out)["images"][0]["serverBuilder"]["args"] == args


def test_slides_that_openslide_did_not_read_open_with_bio_formats(out: Path) -> None:
    made = make_result(None).provenance
    assert made is not None
    record = slide(out, "a", provenance=made.model_copy(update={"reader": "tiffslide"}))
    export_run(out, [record], places={"a": Path("/a.ome.tiff")})
    assert project(out)["images"][0]["serverBuilder"]["providerClassName"] == BIOFORMATS


def test_slides_that_were_never_opened_are_left_out_and_said_to_be(out: Path) -> None:
    result = make_result(None, slide="bad", status="refused", code="E_UNREADABLE", provenance=None, **NO_VERDICT)
    make_case(out / "slides" / "bad", result, None)
    export_run(out, [slide(out, "a"), make_record(result)], places={"a": Path("/a.svs"), "bad": Path("/bad.svs")})
    assert [image["metadata"][ID_KEY] for image in project(out)["images"]] == ["a"]
    readme = (out / "qupath" / "README.txt").read_text()
    assert "1 slide is not in the project" in readme
    assert "Research use only" in readme
    assert MODEL_SHA256 in readme


def test_without_places_entries_keep_theirs(out: Path) -> None:
    records = [slide(out, "a")]
    export_run(out, records, places={"a": Path("/a.svs")})
    before = (out / "qupath" / "project.qpproj").read_bytes()
    export_run(out, records)
    assert (out / "qupath" / "project.qpproj").read_bytes() == before


def test_without_places_and_project_no_path_of_this_machine_is_told(out: Path) -> None:
    export_run(out, [slide(out, "a")])
    assert project(out)["images"] == []
    for path in out.rglob("*"):
        assert not path.is_file() or str(out).encode() not in path.read_bytes()


def test_what_a_person_added_in_qupath_stays(out: Path) -> None:
    records = [slide(out, "a")]
    export_run(out, records, places={"a": Path("/a.svs")})
    content = project(out)
    content["images"][0]["metadata"]["Reviewer"] = "me"
    content["images"][0]["serverBuilder"]["metadata"] = {"name": "a"}
    content["images"].append(
        {"entryID": content["lastID"] + 1, "imageName": "own", "serverBuilder": {}, "metadata": {}}
    )
    content["lastID"] += 1
    save_like_qupath(out / "qupath" / "project.qpproj", content)
    path = out / "qupath" / "classifiers" / "classes.json"
    classes = json.loads(path.read_text())
    classes["pathClasses"].append({"name": "Artifact", "color": -1})
    save_like_qupath(path, classes)
    (out / "qupath" / "data" / "1").mkdir(parents=True)
    (out / "qupath" / "data" / "1" / "data.qpdata").write_bytes(b"work")
    export_run(out, [slide(out, "a", grade="Benign")], places={"a": Path("/a.svs")})
    after = project(out)
    assert after["images"][0]["metadata"]["Reviewer"] == "me"
    assert after["images"][0]["metadata"]["Grade"] == "Benign"
    assert after["images"][0]["serverBuilder"]["metadata"] == {"name": "a"}
    assert after["images"][1]["imageName"] == "own"
    assert after["lastID"] == content["lastID"]
    assert json.loads(path.read_text())["pathClasses"][-1] == {"name": "Artifact", "color": -1}
    assert (out / "qupath" / "data" / "1" / "data.qpdata").read_bytes() == b"work"


def test_a_slide_that_a_person_duplicated_in_qupath_stays_beside_the_original(out: Path) -> None:
    """QuPath copies an image's metadata with it."""
    places = {"a": Path("/a.svs")}
    export_run(out, [slide(out, "a")], places=places)
    content = project(out)
    content["lastID"] += 1
    content["images"].append({**content["images"][0], "entryID": content["lastID"], "imageName": "mine"})
    save_like_qupath(out / "qupath" / "project.qpproj", content)
    export_run(out, [slide(out, "a", grade="Benign")], places=places)
    original, copy = project(out)["images"]
    assert (original["entryID"], original["metadata"]["Grade"]) == (entry_number("a"), "Benign")
    assert (copy["entryID"], copy["imageName"]) == (content["lastID"], "mine")
    assert (out / "qupath" / "objects.tsv").read_text().startswith(f"{entry_number('a')}\t")


def test_a_slide_that_left_the_run_leaves_the_project(out: Path) -> None:
    places = {"a": Path("/a.svs"), "b": Path("/b.svs")}
    records = [slide(out, "a"), slide(out, "b")]
    export_run(out, records, places=places)
    export_run(out, records[:1], places={"a": places["a"]})
    assert [image["metadata"][ID_KEY] for image in project(out)["images"]] == ["a"]
    assert project(out)["lastID"] == entry_number("a")


def test_an_unchanged_project_is_not_written_even_in_qupaths_own_layout(out: Path) -> None:
    records = [slide(out, "a")]
    export_run(out, records, places={"a": Path("/a.svs")})
    path = out / "qupath" / "project.qpproj"
    path.write_text(json.dumps(project(out), indent=1))
    before = path.read_bytes()
    export_run(out, records, places={"a": Path("/a.svs")})
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"images":[1,{"entryID":"x"},{}],"lastID":null}', b"\xff" * 9])
def test_a_damaged_project_is_replaced(out: Path, content: bytes) -> None:
    (out / "qupath").mkdir(parents=True)
    (out / "qupath" / "project.qpproj").write_bytes(content)
    export_run(out, [slide(out, "a")], places={"a": Path("/a.svs")})
    assert len(project(out)["images"]) == 1


def test_a_run_written_twice_has_equal_bytes(tmp_path: Path) -> None:
    trees = []
    for _ in range(2):
        out = tmp_path / "OUT"
        export_run(out, [slide(out, "a"), slide(out, "b")], places={"a": Path("/a.svs")})
        trees.append(
            {
                path: path.read_bytes()
                for path in out.rglob("*")
                if path.suffix in {".qpproj", ".json", ".tsv", ".html", ".csv", ".txt"}
            }
        )
        out.rename(tmp_path / f"before-{len(trees)}")
    assert trees[0] == trees[1]
    assert len(trees[0]) >= 8


def test_hostile_paths_stay_text(out: Path) -> None:
    names = {"a": "x\ny\t\x1b.svs", "b": '"};alert(1)//.svs'}
    records = []
    for name, path in names.items():
        result = make_result(make_scale(), slide=name, path=path)
        case = make_case(out / "slides" / name, result, make_scores(grid_coords(3, 3, step=448)), tissue=TISSUE)
        records.append(make_record(result, export_slide(case, ExportConfig(heatmap_px=64))))
    export_run(out, records, places={name: Path("/") / path for name, path in names.items()})
    assert [image["imageName"] for image in project(out)["images"]] == ["x\\ny\\t\\x1b.svs", '"};alert(1)//.svs']
    assert len((out / "qupath" / "objects.tsv").read_text().splitlines()) == 2
