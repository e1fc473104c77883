"""Ticks are round and cover the axis; what leaves the axes is cut off."""

import numpy as np
import pytest

from wsi.evaluate.svg import Axes, band, line, ticks


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((0, 1), (0, 0.2, 0.4, 0.6, 0.8, 1)),
        ((0, 98.3), (0, 20, 40, 60, 80)),
        ((-0.0875, 0.35), (0, 0.1, 0.2, 0.3)),
        ((0, 0.2), (0, 0.05, 0.1, 0.15, 0.2)),
        ((1000, 5000), (1000, 2000, 3000, 4000, 5000)),
    ],
)
def test_ticks_are_round(span: tuple[float, float], expected: tuple[float, ...]) -> None:
    assert ticks(*span) == pytest.approx(expected)


def test_ticks_are_few_and_within_any_span() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        low = rng.normal() * 10.0 ** rng.integers(-4, 5)
        high = low + 10.0 ** rng.uniform(-5, 6)
        found = ticks(low, high)
        assert 2 <= len(found) <= 9
        assert low - 1e-6 * (high - low) <= found[0] < found[-1] <= high + 1e-5 * (high - low)


def test_line_stays_within_the_axes() -> None:
    axes = Axes((0, 1), (0, 1), "x", "y")
    path = line(axes, [0, 0.5, 1], [-9, 0.5, 9], color="#000")
    assert path.startswith('<path d="M58.0 330.0L241.0 171.0L424.0 12.0"')


def test_band_without_two_known_points_is_nothing() -> None:
    axes = Axes((0, 1), (0, 1), "x", "y")
    assert band(axes, [0.0], [0.1], [0.2], color="#000") == ""
    assert band(axes, [0.0, 1.0], [np.nan, 0.1], [0.3, np.nan], color="#000") == ""
    assert band(axes, [0.0, 1.0], [0.1, 0.1], [0.3, 0.2], color="#000").count("Z") == 1
