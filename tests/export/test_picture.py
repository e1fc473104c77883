"""heatmap.png: colors at their places, a scale bar of the right length, words that fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from tests.export.cases import MODEL_SHA256, grid_coords, make_case, make_result, make_scale, make_scores
from wsi.export.colors import HEAT
from wsi.export.grid import lay_out, smooth
from wsi.export.heat import heat_of
from wsi.export.ink import fitted, plain, width_of
from wsi.export.picture import HEAT_SHARE, compose, heat_over, key_of, write_heatmap_png
from wsi.export.place import shown
from wsi.export.words import round_length

GLASS = np.full((150, 200, 3), 255, np.uint8)


def picture(folder: Path, *, longest_px: int = 1600, size: tuple[int, int] = (20_000, 15_000), **changes: Any) -> Any:
    scale = make_scale(size=size)
    scores = make_scores(grid_coords(10, 10, step=448, corner=(4480, 4480)), np.ones(100))
    case = make_case(folder, make_result(scale, **changes), scores, picture=GLASS)
    return np.asarray(compose(case, scores, None, longest_px=longest_px))


def where(pixels: Any, color: tuple[int, ...]) -> tuple[int, int, int, int]:
    mask = (np.abs(pixels.astype(int) - color) <= 2).all(axis=2)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def test_heat_lies_where_the_tiles_lie(tmp_path: Path) -> None:
    pixels = picture(tmp_path)
    left, top = 28, 28  # the margin of a sheet of 1600 px
    zoom = (1600 - 2 * 28) / 20_000
    slide = pixels[top : top + round(15_000 * zoom), left : left + 1544]
    over_glass = tuple(np.rint(HEAT_SHARE * HEAT[255].astype(float) + (1 - HEAT_SHARE) * 255).astype(int))
    found = where(slide, over_glass)
    assert found == pytest.approx(
        [4480 * zoom, 4480 * zoom, 8960 * zoom, 8960 * zoom], abs=4
    )  # the outline covers 3 px


def test_heat_is_blended_over_gray_and_nothing_else_changes() -> None:
    tissue = np.array([[[200, 100, 50], [10, 20, 30]]], np.uint8)
    out = heat_over(tissue, np.array([[1.0, np.nan]], np.float32))
    gray = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert out[0, 0] == pytest.approx(HEAT_SHARE * HEAT[255].astype(float) + (1 - HEAT_SHARE) * gray, abs=0.51)
    assert out[0, 1].tolist() == [10, 20, 30]


def test_smoothing_keeps_values_at_cell_centers_and_never_leaves_their_range() -> None:
    coords, values = grid_coords(4, 4, step=448), np.random.default_rng(1).random(16).astype(np.float32)
    scale = make_scale(size=(1792, 1792))
    out = smooth(lay_out(coords, values, scale), shown(scale), width=28, height=28)
    assert out[3::7, 3::7].ravel() == pytest.approx(values, abs=1e-6)
    assert values.min() - 1e-6 <= out.min()
    assert out.max() <= values.max() + 1e-6


def test_scale_bar_has_the_length_it_says(tmp_path: Path) -> None:
    pixels = picture(tmp_path)
    um_px = 20_000 * 0.25 / 1544
    length = round_length(0.22 * 1544 * um_px)
    assert length == 1000
    row = (pixels[:, :800] == (24, 28, 33)).all(axis=2).sum(axis=1)
    rows = np.flatnonzero(row == round(length / um_px))
    assert 4 <= len(rows) <= 8


@pytest.mark.parametrize("longest_px", [64, 640, 1600])
@pytest.mark.parametrize("size", [(20_000, 15_000), (3000, 40_000), (40_000, 500), (300, 300)])
def test_no_side_is_longer_than_asked(tmp_path: Path, longest_px: int, size: tuple[int, int]) -> None:
    scores = make_scores(grid_coords(1, 1, step=448))
    case = make_case(tmp_path, make_result(make_scale(size=size)), scores, picture=GLASS)
    sheet = compose(case, scores, shapely.MultiPolygon([shapely.box(0, 0, 200, 200)]), longest_px=longest_px)
    assert max(sheet.size) <= longest_px


def test_png_carries_notice_verdict_and_hash(tmp_path: Path) -> None:
    scores = make_scores(grid_coords(3, 3, step=448))
    case = make_case(tmp_path, make_result(make_scale(), slide="ä\n悪"), scores, picture=GLASS)
    write_heatmap_png(case, compose(case, scores, None, longest_px=640))
    with Image.open(tmp_path / "heatmap.png") as image:
        image.load()
        facts = image.text  # type: ignore[attr-defined]
    assert facts["Description"].startswith("Research use only. Not for diagnosis.")
    assert facts["ModelSHA256"] == MODEL_SHA256
    assert facts["Comment"].startswith("Malignant, P(Malignant) = 0.93. Refer to a pathologist")
    assert facts["Title"] == "Heatmap of ä\\n悪"


def test_words_and_colors_stay_inside_the_sheet(tmp_path: Path) -> None:
    long = "A very long name of a class that no one would give but someone does " * 3
    classes = [{"name": long, "color": [1, 2, 3], "probability": 0.5}]
    pixels = picture(
        tmp_path, classes=classes, positive=long, grade=long, refer_reason=long, slide="x" * 255, size=(500, 4000)
    )
    assert (pixels[:, -10:] == 255).all()
    assert (pixels[:, :10] == 255).all()
    assert (pixels[-5:] == 255).all()


def test_the_key_tells_a_threshold_near_0_or_1() -> None:
    for threshold, told in ((0.00425, "0.00425"), (0.998, "0.998"), (0.5, "0.5")):
        heat = heat_of(make_result(make_scale(), threshold=threshold))
        assert heat is not None
        assert key_of(heat).rows[-1][1] == f"tiles with P >= {told}"


def test_text_is_spelled_in_the_characters_the_font_has() -> None:
    assert plain("µm² ≥ é 悪") == "um2 >= e ?"
    text, size = fitted("word " * 200, 40, 300)
    assert width_of(text, size) <= 300
    assert text.endswith("...")


def test_a_missing_thumbnail_leaves_plain_glass(tmp_path: Path) -> None:
    scores = make_scores(grid_coords(3, 3, step=448))
    case = make_case(tmp_path, make_result(make_scale()), scores)
    assert compose(case, scores, None, longest_px=640).size[0] == 640


def test_the_heats_lightness_rises_from_blue_to_yellow() -> None:
    light = HEAT.astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(light) >= -0.5).all()
    assert light[-1] - light[0] > 150
    blue_yellow = HEAT[:, 2].astype(int) - HEAT[:, :2].mean(axis=1)
    assert blue_yellow[0] > 50
    assert blue_yellow[-1] < -50
