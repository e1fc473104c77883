"""Tissue on drawn slides of each kind: its area is that of the drawing, and what is no tissue is left out."""

import numpy as np
import pytest
import shapely

from tests.tissue import draw
from wsi.config import TissueConfig
from wsi.geometry import Point
from wsi.tissue import Tissue, find_tissue

CONFIG = TissueConfig()
PENS = {
    "blue": (35, 60, 165),
    "pale blue": (120, 165, 230),
    "green": (40, 140, 85),
    "red": (225, 30, 45),
    "black": (25, 25, 28),
    "gray": (85, 86, 90),
}


def find(pixels: draw.Pixels) -> Tissue:
    return find_tissue(draw.thumbnail(pixels), draw.MPP, CONFIG)


def assert_area(tissue: Tissue, truth: draw.Mask, *, within: float = 0.05) -> None:
    """The polygons are the truth: their area, and where they are."""
    wanted = truth.sum() * draw.DOWNSAMPLE**2
    assert tissue.polygons.area == pytest.approx(wanted, rel=within)
    assert tissue.area_mm2 == pytest.approx(truth.sum() * 0.008**2, rel=within)
    found = draw.covered(tissue.polygons.geoms, truth.shape[0])
    assert (found & truth).sum() / (found | truth).sum() > 1 - 2 * within


def hematoxylin_eosin(mask: draw.Mask, pixels: draw.Pixels) -> draw.Pixels:
    draw.paint(pixels, mask, draw.PINK)
    draw.speckle(pixels, mask, draw.PURPLE, 0.3)
    return pixels


def test_tissue_is_found_where_it_was_drawn() -> None:
    truth = draw.disc(150, 200, 90) | draw.disc(290, 120, 50)
    tissue = find(hematoxylin_eosin(truth, draw.glass()))
    assert_area(tissue, truth)
    assert (tissue.stain, tissue.reason, tissue.source) == ("H&E", "", "detected")
    assert max(tissue.flaws.values()) < 0.01


def test_places_are_in_level0_px_from_the_bounds() -> None:
    truth = draw.disc(150, 200, 90)
    pixels = hematoxylin_eosin(truth, draw.glass())
    tissue = find_tissue(draw.thumbnail(pixels, location=Point(10_000, 20_000)), draw.MPP, CONFIG)
    assert tissue.polygons.centroid.x == pytest.approx(10_000 + 150 * 16, abs=8)
    assert tissue.polygons.centroid.y == pytest.approx(20_000 + 200 * 16, abs=8)


def test_large_holes_are_kept_and_small_ones_filled() -> None:
    hole, lumen = draw.disc(180, 200, 30), draw.disc(250, 200, 6)
    truth = draw.disc(200, 200, 120) & ~hole
    tissue = find(hematoxylin_eosin(truth & ~lumen, draw.glass()))
    assert_area(tissue, truth)
    (polygon,) = tissue.polygons.geoms
    assert len(polygon.interiors) == 1
    assert shapely.Polygon(polygon.interiors[0]).area == pytest.approx(hole.sum() * 256, rel=0.08)


def test_pale_tissue_is_found() -> None:
    truth = draw.disc(200, 200, 110)
    pixels = draw.glass()
    draw.paint(pixels, truth, (237, 219, 231), vary=3)
    assert_area(find(pixels), truth)


def test_fat_is_tissue_though_its_walls_are_thin() -> None:
    walls, whole = draw.fat()
    assert walls.sum() < 0.45 * whole.sum()
    pixels = draw.glass()
    draw.paint(pixels, walls, (232, 200, 220), vary=4)
    assert_area(find(pixels), whole)


def test_blood_is_tissue_and_no_red_pen() -> None:
    truth = draw.disc(200, 200, 100)
    pixels = hematoxylin_eosin(truth, draw.glass())
    draw.paint(pixels, draw.disc(200, 200, 60), (186, 50, 72), vary=12)
    tissue = find(pixels)
    assert_area(tissue, truth)
    assert tissue.flaws["pen"] < 0.01


def test_brown_stain_with_blue_nuclei_is_tissue() -> None:
    truth = draw.disc(200, 200, 100)
    pixels = draw.glass()
    draw.paint(pixels, truth, (214, 218, 232))
    draw.speckle(pixels, truth, (150, 158, 196), 0.3)
    draw.speckle(pixels, truth, (140, 92, 58), 0.25, seed=5)
    tissue = find(pixels)
    assert_area(tissue, truth)
    assert tissue.stain == "IHC"
    assert tissue.flaws["pen"] < 0.01


def test_twelve_cores_of_an_array_are_twelve_polygons() -> None:
    truth = np.zeros((draw.SIDE, draw.SIDE), bool)
    for row in range(3):
        for column in range(4):
            truth |= draw.disc(62 + 92 * column, 90 + 110 * row, 37)
    tissue = find(hematoxylin_eosin(truth, draw.glass()))
    assert len(tissue.polygons.geoms) == 12
    assert_area(tissue, truth)


@pytest.mark.parametrize("pen", PENS)
def test_pen_beside_tissue_is_no_tissue(pen: str) -> None:
    truth = draw.disc(150, 220, 100)
    pixels = hematoxylin_eosin(truth, draw.glass())
    draw.paint(pixels, draw.stroke([(300, 40), (360, 150), (320, 330)], 14), PENS[pen], vary=5)
    tissue = find(pixels)
    assert_area(tissue, truth)
    assert tissue.flaws["pen"] < 0.01


@pytest.mark.parametrize("pen", [name for name in PENS if name != "black"])
def test_pen_over_tissue_is_flagged_with_its_share(pen: str) -> None:
    disc, line = draw.disc(200, 200, 120), draw.stroke([(60, 200), (340, 200)], 16)
    pixels = hematoxylin_eosin(disc, draw.glass())
    draw.paint(pixels, line, PENS[pen], vary=5)
    tissue = find(pixels)
    assert not (draw.covered(tissue.polygons.geoms) & line).any()
    assert tissue.flaws["pen"] == pytest.approx((line & disc).sum() / disc.sum(), abs=0.06)


def test_black_border_and_dust_are_no_tissue() -> None:
    truth = draw.disc(220, 200, 100)
    pixels = hematoxylin_eosin(truth, draw.glass())
    pixels[:, :30] = (4, 4, 6)
    pixels[-20:] = 0
    random = np.random.default_rng(3)
    for x, y in random.integers(35, 375, (60, 2)):
        if not draw.disc(220, 200, 110)[y, x]:
            draw.paint(pixels, draw.disc(x, y, 2), (120, 110, 100))
    assert_area(find(pixels), truth)


@pytest.mark.parametrize("color", [(212, 211, 213), (230, 226, 235), (255, 255, 255)])
def test_the_color_of_the_glass_makes_no_difference(color: draw.Color) -> None:
    truth = draw.disc(200, 200, 100)
    assert_area(find(hematoxylin_eosin(truth, draw.glass(color))), truth)


def test_vignetting_is_no_tissue() -> None:
    truth = draw.disc(200, 200, 80)
    pixels = hematoxylin_eosin(truth, draw.glass()).astype(float)
    rows, columns = np.mgrid[: draw.SIDE, : draw.SIDE]
    away = np.hypot(rows - 200, columns - 200) / 283
    shaded = (pixels * (1 - 0.25 * away**2)[..., None]).astype(np.uint8)
    assert_area(find(shaded), truth)


def test_strong_noise_of_the_camera_leaves_the_tissue_alone() -> None:
    truth = draw.disc(200, 200, 100)
    pixels = hematoxylin_eosin(truth, draw.glass()).astype(int)
    noisy = np.clip(pixels + np.random.default_rng(4).normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)
    assert_area(find(noisy), truth)


def test_a_fold_is_measured() -> None:
    disc, fold = draw.disc(200, 200, 120), draw.stroke([(120, 150), (280, 250)], 11)
    pixels = draw.glass()
    draw.paint(pixels, disc, (222, 150, 190), vary=4)
    draw.paint(pixels, fold, (150, 60, 115), vary=4)
    assert find(pixels).flaws["fold"] == pytest.approx(fold.sum() / disc.sum(), rel=0.3)


def test_the_rim_of_a_bubble_is_measured() -> None:
    disc = draw.disc(200, 200, 120)
    rim = draw.disc(200, 200, 60) & ~draw.disc(200, 200, 55)
    pixels = hematoxylin_eosin(disc, draw.glass())
    assert find(pixels).flaws["bubble"] == 0.0
    draw.paint(pixels, rim, (150, 148, 152), vary=4)
    assert find(pixels).flaws["bubble"] == pytest.approx(rim.sum() / disc.sum(), rel=0.5)


def test_an_unreadable_patch_inside_tissue_counts_as_tissue_and_one_outside_does_not() -> None:
    truth = draw.disc(200, 200, 120)
    pixels = hematoxylin_eosin(truth, draw.glass())
    lost = np.zeros(truth.shape, bool)
    lost[180:220, 180:220] = lost[10:50, 10:50] = True
    pixels[lost] = 255
    tissue = find_tissue(draw.thumbnail(pixels, unreadable=lost), draw.MPP, CONFIG)
    assert_area(tissue, truth)


BLACK, WHITE = np.zeros((200, 200, 3), np.uint8), np.full((200, 200, 3), 255, np.uint8)
RANDOM = np.random.default_rng(6)


def pen_only() -> draw.Pixels:
    pixels = draw.glass()
    draw.paint(pixels, draw.stroke([(50, 60), (350, 300)], 20), PENS["blue"], vary=5)
    return pixels


def three_px() -> draw.Pixels:
    pixels = draw.glass(noise=0)
    pixels[100, 100:103] = draw.PINK
    return pixels


def label_glass() -> draw.Pixels:
    """A frosted label with black print."""
    pixels = draw.glass((222, 224, 223))
    for row in range(60, 340, 40):
        pixels[row : row + 12, 60:340:5] = 20
    return pixels


NONE = {
    "white": (WHITE, "empty"),
    "glass": (draw.glass(), "empty"),
    "gray glass": (draw.glass((200, 199, 201)), "empty"),
    "black": (BLACK, "black"),
    "pen": (pen_only(), "pen"),
    "color noise": (RANDOM.integers(0, 256, (300, 300, 3), dtype=np.uint8), "noise"),
    "gray noise": (RANDOM.integers(0, 256, (300, 300, 1), dtype=np.uint8).repeat(3, axis=2), ""),
    "label": (label_glass(), ""),
    "1 x 1": (np.full((1, 1, 3), 250, np.uint8), "empty"),
    "1 x 1 of tissue": (np.full((1, 1, 3), draw.PINK, np.uint8), ""),
    "1 x 500": (np.full((500, 1, 3), 250, np.uint8), "empty"),
    "3 px of tissue": (three_px(), "smaller"),
}


@pytest.mark.parametrize("name", NONE)
def test_no_tissue_is_a_result_with_its_reason(name: str) -> None:
    pixels, word = NONE[name]
    tissue = find(pixels)
    assert tissue.polygons.is_empty
    assert tissue.area_mm2 == 0
    assert tissue.reason.startswith("no tissue found")
    assert word in tissue.reason


def test_nothing_decoded_is_told_as_such() -> None:
    lost = np.ones((50, 50), bool)
    tissue = find_tissue(draw.thumbnail(draw.glass(side=50), unreadable=lost), draw.MPP, CONFIG)
    assert "could not be decoded" in tissue.reason


def test_a_slide_full_of_tissue_is_all_tissue() -> None:
    everything = np.ones((draw.SIDE, draw.SIDE), bool)
    tissue = find(hematoxylin_eosin(everything, draw.glass()))
    assert_area(tissue, everything)
