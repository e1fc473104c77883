"""The heatmap as other programs read it: tifffile, tiffslide and OpenSlide."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import openslide
import pytest
import tifffile
import tiffslide
from numpy.typing import NDArray

from tests.export.cases import MODEL_SHA256, grid_coords, make_result, make_scale, make_scores
from wsi.export.colors import HEAT
from wsi.export.tiff import pyramid_size, write_heatmap_tiff
from wsi.results import Scale

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
HOT, COLD, WHITE = tuple(HEAT[255]), tuple(HEAT[1]), (255, 255, 255)


def one_hot_tile(columns: int, rows: int, hot: tuple[int, int]) -> NDArray[np.float64]:
    score = np.zeros((rows, columns))
    score[hot[1], hot[0]] = 1
    return score.ravel()


def write(path: Path, scale: Scale, coords: NDArray[np.int32], score: NDArray[np.float64] | None = None) -> Path:
    write_heatmap_tiff(path, make_result(scale), make_scores(coords, score))
    return path


def edges(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the px that are set."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.fixture(scope="module")
def mirax(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide with bounds, 60 x 50 tiles, one of them hot: the 18th of the 31st row."""
    scale = make_scale(size=(200_000, 180_000), bounds=(20_011, 30_007, 31_000, 26_000))
    coords = grid_coords(60, 50, step=448, corner=(22_000, 31_000))
    return write(tmp_path_factory.mktemp("mirax") / "heatmap.ome.tiff", scale, coords, one_hot_tile(60, 50, (17, 30)))


@pytest.mark.parametrize("reader", [openslide.OpenSlide, tiffslide.TiffSlide])
def test_readers_see_the_hot_tile_at_its_place(mirax: Path, reader: type[openslide.OpenSlide]) -> None:
    with reader(str(mirax)) as slide:
        pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    px0 = 31_000 / pixels.shape[1], 26_000 / pixels.shape[0]
    left, top, right, bottom = edges((pixels == HOT).all(axis=2))
    half_a_cell = 448 / 2
    assert left * px0[0] + 20_011 == pytest.approx(22_000 + 17 * 448, abs=half_a_cell)
    assert top * px0[1] + 30_007 == pytest.approx(31_000 + 30 * 448, abs=half_a_cell)
    assert right * px0[0] + 20_011 == pytest.approx(22_000 + 18 * 448, abs=half_a_cell)
    assert bottom * px0[1] + 30_007 == pytest.approx(31_000 + 31 * 448, abs=half_a_cell)


def test_white_where_there_is_no_tile_and_cold_where_the_score_is_zero(mirax: Path) -> None:
    pixels = tifffile.imread(mirax)
    colors = {tuple(color) for color in np.unique(pixels.reshape(-1, 3), axis=0)}
    assert colors == {HOT, COLD, WHITE}
    px0 = 31_000 / pixels.shape[1], 26_000 / pixels.shape[0]
    left, top, right, bottom = edges((pixels != 255).any(axis=2))
    assert left * px0[0] + 20_011 == pytest.approx(22_000, abs=224)
    assert right * px0[0] + 20_011 == pytest.approx(22_000 + 60 * 448, abs=224)
    assert top * px0[1] + 30_007 == pytest.approx(31_000, abs=224)
    assert bottom * px0[1] + 30_007 == pytest.approx(31_000 + 50 * 448, abs=224)


def test_px_are_at_least_as_fine_as_cells(mirax: Path) -> None:
    height, width, _ = tifffile.imread(mirax).shape
    assert 31_000 / width <= 448
    assert 26_000 / height <= 448


def test_levels_are_tiled_deflated_and_halve(tmp_path: Path) -> None:
    path = write(tmp_path / "h.ome.tiff", make_scale(size=(150_000, 90_000)), grid_coords(300, 200, step=448))
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        levels = file.series[0].levels
        sizes = [level.shape for level in levels]
        pages = [level.keyframe for level in levels]
        assert len(file.pages) == 1, "smaller levels are SubIFDs"
    assert len(sizes) >= 3
    for (height, width, _), (half_height, half_width, _) in pairwise(sizes):
        assert (height, width) == (2 * half_height, 2 * half_width)
    assert all(page.is_tiled and page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE for page in pages)
    with tiffslide.TiffSlide(path) as slide:
        assert slide.level_downsamples == pytest.approx([2**k for k in range(len(sizes))])


def test_a_level_is_the_mean_of_the_one_above_over_px_that_hold_a_tile(tmp_path: Path) -> None:
    coords = grid_coords(300, 200, step=448, corner=(61, 95))[::3]
    score = np.random.default_rng(0).random(len(coords))
    path = write(tmp_path / "h.ome.tiff", make_scale(size=(150_000, 90_000)), coords, score)
    with tifffile.TiffFile(path) as file:
        full, half = (level.asarray() for level in file.series[0].levels[:2])
    shade = {tuple(color): i for i, color in enumerate(HEAT)}
    twice = {color for color in shade if np.all(np.array(color) == HEAT, axis=1).sum() > 1}  # two shades look the same
    tried = 0
    for y, x in np.random.default_rng(0).integers(0, half.shape[:2], (3000, 2)):
        block = [tuple(px) for px in full[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].reshape(-1, 3)]
        if twice & set(block):
            continue
        shades = [shade[px] for px in block if px != WHITE]
        expected = WHITE if not shades else tuple(HEAT[int(np.floor(np.mean(shades) + 0.5))])
        assert tuple(half[y, x]) == expected
        tried += len(set(block)) > 1 and len(shades) > 1
    assert tried > 50, "too few blocks whose px differ"


@pytest.mark.parametrize("size", [(20_000, 15_000), (150_001, 90_003), (448, 448), (90_000, 300)])
def test_physical_size_times_px_is_the_slides_extent(tmp_path: Path, size: tuple[int, int]) -> None:
    scale = make_scale(size=size, mpp=(0.2501, 0.2527))
    path = write(tmp_path / "h.ome.tiff", scale, np.array([[0, 0]], np.int32))
    with tifffile.TiffFile(path) as file:
        (pixels,) = ElementTree.fromstring(file.ome_metadata or "").iter(f"{OME}Pixels")
        shape = file.series[0].shape
    assert (int(pixels.attrib["SizeY"]), int(pixels.attrib["SizeX"])) == shape[:2]
    assert pixels.attrib["PhysicalSizeXUnit"] == "µm"
    assert float(pixels.attrib["PhysicalSizeX"]) * shape[1] == pytest.approx(size[0] * 0.2501)
    assert float(pixels.attrib["PhysicalSizeY"]) * shape[0] == pytest.approx(size[1] * 0.2527)


def test_readers_find_the_scale(mirax: Path) -> None:
    with tiffslide.TiffSlide(mirax) as slide:
        found, width = float(slide.properties["tiffslide.mpp-x"]), slide.dimensions[0]
    assert found * width == pytest.approx(31_000 * 0.25, rel=1e-4)
    with tifffile.TiffFile(mirax) as file:
        numerator, denominator = file.pages[0].tags["XResolution"].value  # type: ignore[union-attr]
    assert 1e4 * denominator / numerator * width == pytest.approx(31_000 * 0.25, rel=1e-4)


def test_file_carries_notice_slide_model_and_place_and_no_time(mirax: Path) -> None:
    with tifffile.TiffFile(mirax) as file:
        root = ElementTree.fromstring(file.ome_metadata or "")
        tags = {tag.name for tag in file.pages[0].tags}  # type: ignore[union-attr]
    facts = {entry.attrib["K"]: entry.text for entry in root.iter(f"{OME}M")}
    assert facts["Notice"] == "Research use only. Not for diagnosis."
    assert facts["ModelSHA256"] == MODEL_SHA256
    assert facts["Slide"] == "case-1-0a1b2c3d"
    assert (facts["OriginX"], facts["OriginY"]) == ("20011", "30007")
    assert "DateTime" not in tags
    assert "UUID" not in root.attrib
    assert "Research use only" in (root.findtext(f".//{OME}Description") or "")


@pytest.mark.parametrize("slide", ["<a>&\"'", "ä µ 悪", "a\x00\x1b[31m\n", "\udcff", "x" * 255])
def test_hostile_slide_names_stay_text(tmp_path: Path, slide: str) -> None:
    write_heatmap_tiff(
        tmp_path / "h.ome.tiff", make_result(make_scale(), slide=slide), make_scores(grid_coords(3, 3, step=448))
    )
    with tifffile.TiffFile(tmp_path / "h.ome.tiff") as file:
        root = ElementTree.fromstring(file.ome_metadata or "")
    (image,) = root.iter(f"{OME}Image")
    assert image.attrib["Name"].endswith(" heatmap")
    assert image.attrib["Name"].isprintable()


def test_overlapping_tiles_are_averaged_where_they_meet(tmp_path: Path) -> None:
    scale = make_scale(size=(1344, 896), tile_px0=896, stride_px0=448)
    write_heatmap_tiff(
        tmp_path / "h.ome.tiff",
        make_result(scale),
        make_scores(np.array([[0, 0], [448, 0]], np.int32), np.array([0.0, 1.0])),
    )
    row = tifffile.imread(tmp_path / "h.ome.tiff")[0]
    third = len(row) // 3
    assert tuple(row[third // 2]) == COLD
    assert tuple(row[third + third // 2]) == tuple(HEAT[128])
    assert tuple(row[-third // 2]) == HOT


@pytest.mark.parametrize("width", [1, 5, 511, 513, 2500, 8191])
@pytest.mark.parametrize("height", [1, 9, 512, 1999])
def test_pyramid_sides_halve_exactly_and_change_by_less_than_a_hundredth(width: int, height: int) -> None:
    wide, high, levels = pyramid_size(width, height)
    assert wide % 2 ** (levels - 1) == high % 2 ** (levels - 1) == 0
    assert abs(wide - width) <= 0.01 * width
    assert abs(high - height) <= 0.01 * height
