"""export_slide: which files a slide gets, and that the same slide always gets the same bytes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.export.cases import NO_VERDICT, grid_coords, make_case, make_result, make_scale, make_scores
from wsi.config import ExportConfig
from wsi.errors import ArtifactError
from wsi.export import export_slide
from wsi.export.slide import objects_name
from wsi.publish import sha256_file
from wsi.results import Case

TISSUE = shapely.MultiPolygon([shapely.box(0, 0, 9000, 4500)])
PICTURE = np.full((300, 400, 3), (230, 180, 210), np.uint8)


def graded(folder: Path) -> Case:
    scores = make_scores(grid_coords(20, 10, step=448))
    return make_case(folder, make_result(make_scale()), scores, tissue=TISSUE, picture=PICTURE)


def test_a_graded_slide_gets_both_heatmaps_and_its_objects_with_their_hashes(tmp_path: Path) -> None:
    made = export_slide(graded(tmp_path), ExportConfig())
    assert set(made) == {"1.geojson.gz", "heatmap.ome.tiff", "heatmap.png"}
    assert made == {name: sha256_file(tmp_path / name) for name in made}


def test_written_twice_the_bytes_are_equal(tmp_path: Path) -> None:
    assert export_slide(graded(tmp_path / "1"), ExportConfig()) == export_slide(graded(tmp_path / "2"), ExportConfig())


def test_without_a_verdict_only_the_tissue_is_written(tmp_path: Path) -> None:
    case = make_case(tmp_path, make_result(make_scale(), **NO_VERDICT), None, tissue=TISSUE, picture=PICTURE)
    assert set(export_slide(case, ExportConfig())) == {"1.geojson.gz"}


def test_without_a_scale_nothing_is_written(tmp_path: Path) -> None:
    case = make_case(tmp_path, make_result(None, **NO_VERDICT), None, picture=PICTURE)
    before = sorted(tmp_path.iterdir())
    assert export_slide(case, ExportConfig()) == {}
    assert sorted(tmp_path.iterdir()) == before


def test_origin_decides_where_the_heatmap_starts(tmp_path: Path) -> None:
    scale = make_scale(size=(40_000, 40_000), bounds=(10_000, 10_000, 5000, 5000))
    scores = make_scores(grid_coords(5, 5, step=448, corner=(10_000, 10_000)))
    made = {}
    for origin in ("qupath", "level0"):
        case = make_case(tmp_path / origin, make_result(scale), scores, tissue=TISSUE, picture=PICTURE)
        made[origin] = export_slide(case, ExportConfig(origin=origin))
    assert made["qupath"]["heatmap.ome.tiff"] != made["level0"]["heatmap.ome.tiff"]
    assert made["qupath"]["1.geojson.gz"] != made["level0"]["1.geojson.gz"]
    assert made["qupath"]["heatmap.png"] == made["level0"]["heatmap.png"], "the thumbnail always starts at the bounds"


@pytest.mark.parametrize("name", ["tissue.geojson", "thumbnail.jpg"])
def test_a_damaged_input_is_named(tmp_path: Path, name: str) -> None:
    case = graded(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:50])
    with pytest.raises(ArtifactError, match=name):
        export_slide(case, ExportConfig())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b/1.svs", "1.geojson.gz"),
        ("x.ome.tiff", "x.ome.geojson.gz"),
        ("-rf.svs", "rf.geojson.gz"),
        (".tmp-1.svs", "tmp-1.geojson.gz"),
        ("a\n<b>|$(c).svs", "a_b_c.geojson.gz"),
        ("悪性.svs", "slide.geojson.gz"),
        ("a" * 255, "a" * 80 + ".geojson.gz"),
        ("..", "slide.geojson.gz"),
    ],
)
def test_objects_are_named_after_the_slide_in_plain_characters(path: str, name: str) -> None:
    assert objects_name(path) == name


_LARGE = """
import resource, sys
from pathlib import Path
import numpy as np, shapely
from tests.export.cases import grid_coords, make_case, make_result, make_scale, make_scores
from wsi.config import ExportConfig
from wsi.export import export_slide

coords = grid_coords(400, 250, step=448)
score = np.exp(-(((coords / (200_000, 150_000) - 0.5) * 4) ** 2).sum(axis=1))
tissue, picture = shapely.MultiPolygon([shapely.box(0, 0, 9000, 4500)]), np.full((300, 400, 3), 220, np.uint8)
result = make_result(make_scale(size=(200_000, 150_000)))
small = make_case(Path(sys.argv[1]) / "small", result, make_scores(coords[:9], score[:9]), tissue=tissue, picture=picture)
large = make_case(Path(sys.argv[1]) / "large", result, make_scores(coords, score), tissue=tissue, picture=picture)
export_slide(small, ExportConfig())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(export_slide(large, ExportConfig())) == 3
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.slow
def test_a_hundred_thousand_tiles_take_little_more_memory_than_nine(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", _LARGE, tmp_path], cwd=root, capture_output=True, text=True, check=True
    )
    assert int(ended.stdout) < 100e6, "as Python objects the tiles alone would take 300 MB"


def test_the_room_loads_no_network_no_reader_and_no_scipy() -> None:
    heavy = ["torch", "timm", "scipy", "openslide", "tiffslide", "pydicom"]
    code = f"import sys, wsi.export; print([name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
