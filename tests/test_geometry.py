"""Sizes, scales and the choice of a level."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsi.geometry import Level, Mpp, Size, best_level, downsample_of


@given(
    st.integers(300, 200_000),
    st.integers(300, 200_000),
    st.sampled_from([1, 2, 3, 4, 8, 16]),
    st.sampled_from([math.floor, math.ceil, round]),
)
def test_whole_downsample_is_found_however_the_sizes_were_rounded(
    width: int, height: int, step: int, rounded: object
) -> None:
    assert callable(rounded)
    size = Size(max(1, rounded(width / step)), max(1, rounded(height / step)))
    assert downsample_of(Size(width, height), size) == step


@pytest.mark.parametrize(
    ("full", "size", "downsample"),
    [
        ((1000, 700), (62, 43), 16.0),
        ((23241, 21754), (5810, 5438), 4.0),
        ((10007, 7589), (10007, 7589), 1.0),
        ((1000, 1000), (300, 300), 10 / 3),
        ((1000, 500), (667, 333), (1000 / 667 + 500 / 333) / 2),
    ],
)
def test_downsample_of_levels_as_scanners_write_them(
    full: tuple[int, int], size: tuple[int, int], downsample: float
) -> None:
    assert downsample_of(Size(*full), Size(*size)) == pytest.approx(downsample, rel=1e-12)


@pytest.mark.parametrize(
    ("wanted", "level"),
    [(0.3, 0), (1.0, 0), (1.99 * 2, 0), (4.0, 1), (3.99, 1), (15.0, 1), (16.0, 2), (1000.0, 2)],
)
def test_best_level_is_the_coarsest_that_is_fine_enough(wanted: float, level: int) -> None:
    levels = tuple(Level(Size(1000, 1000), downsample) for downsample in (1.0, 4.0, 16.0))
    assert best_level(levels, wanted) == level


def test_mean_mpp_keeps_areas_true() -> None:
    mpp = Mpp(0.25, 0.36, source="metadata")
    assert mpp.mean**2 == pytest.approx(0.25 * 0.36)


@pytest.mark.parametrize("value", [0.0, -0.5, math.nan, math.inf])
def test_mpp_refuses_what_is_no_length(value: float) -> None:
    for x, y in ((value, 0.5), (0.5, value)):
        with pytest.raises(ValueError, match="finite and positive"):
            Mpp(x, y, source="metadata")


def test_size_refuses_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="negative"):
        Size(-1, 3)
