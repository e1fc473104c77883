"""Sizes, scales and levels; expected values are worked out by hand."""

import math

import pytest

from wsi.geometry import Level, Mpp, Size, best_level, downsample_of


@pytest.mark.parametrize(("width", "height"), [(-1, 5), (5, -1)])
def test_negative_size_is_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="negative"):
        Size(width, height)


@pytest.mark.parametrize("value", [0.0, -0.25, math.nan, math.inf])
def test_impossible_mpp_is_refused(value: float) -> None:
    for x, y in ((value, 0.25), (0.25, value)):
        with pytest.raises(ValueError, match="finite and positive"):
            Mpp(x, y, source="metadata")


def test_mean_mpp_keeps_areas_true() -> None:
    assert Mpp(0.2, 0.8, source="table").mean ** 2 == pytest.approx(0.2 * 0.8, rel=1e-12)


@pytest.mark.parametrize(
    ("full", "level", "downsample"),
    [
        ((1000, 700), (62, 43), 16.0),  # 1000 / 16 = 62.5 and 700 / 16 = 43.75, rounded down
        ((1000, 700), (63, 44), 16.0),  # rounded up
        ((46000, 32914), (11500, 8228), 4.0),  # an Aperio's second level
        ((900, 600), (300, 200), 3.0),
        ((1000, 1000), (700, 700), 1000 / 700),  # no whole number explains it
        ((500, 500), (500, 500), 1.0),
    ],
)
def test_rounded_sizes_give_the_downsample_they_were_made_with(
    full: tuple[int, int], level: tuple[int, int], downsample: float
) -> None:
    assert downsample_of(Size(*full), Size(*level)) == pytest.approx(downsample, rel=1e-12)


@pytest.mark.parametrize(
    ("asked", "level"), [(0.5, 0), (1.0, 0), (3.9, 0), (3.99, 1), (4.0, 1), (15.0, 1), (16.0, 2), (1000.0, 2)]
)
def test_best_level_is_the_coarsest_that_is_fine_enough(asked: float, level: int) -> None:
    size = Size(1, 1)
    assert best_level((Level(size, 1.0), Level(size, 4.0), Level(size, 16.0)), asked) == level
