"""Windows over one to three axes: all is covered, nothing is moved, and stitching undoes cutting."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsi.errors import TooLargeError
from wsi.windows import Stitch, cut, plan_windows, starts, window_weights

SHAPES = st.lists(st.tuples(st.integers(1, 23), st.integers(1, 17)), min_size=1, max_size=3)
OVERLAPS = st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.9])


@given(st.integers(1, 300), st.integers(1, 60), st.integers(1, 60))
def test_starts_cover_the_axis_and_the_last_is_flush(length: int, window: int, stride: int) -> None:
    stride = min(stride, window)
    found = starts(length, window, stride)
    covered = np.zeros(length, bool)
    for start in found:
        covered[start : start + window] = True
    assert covered.all()
    assert found[-1] == max(0, length - window)
    assert list(found) == sorted(set(found))
    assert all(after - before == stride for before, after in itertools.pairwise(found[:-1]))
    assert len(found) == max(1, math.ceil((length - window) / stride) + 1)


@pytest.mark.parametrize("bad", [(0, 1, 1), (1, 0, 1), (5, 2, 0), (9, 2, 3)])
def test_starts_that_leave_gaps_are_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no windows"):
        starts(*bad)


@settings(max_examples=60, deadline=None)
@given(SHAPES, OVERLAPS, st.integers(1, 3), st.sampled_from([0.0, -7.5, None]))
def test_stitching_undoes_cutting(
    sides: list[tuple[int, int]], overlap: float, channels: int, pad: float | None
) -> None:
    shape, window = [a for a, _ in sides], [b for _, b in sides]
    values = np.random.default_rng(sum(shape)).normal(size=(channels, *shape)).astype(np.float32)
    plan = plan_windows(shape, window, overlap)
    stitch = Stitch(shape, plan.window, channels)
    for corner in plan.corners:
        stitch.add(corner, cut(values, corner, plan.window, pad=pad))
    assert plan.padded == tuple(np.maximum(shape, window))
    np.testing.assert_allclose(stitch.result(), values, rtol=1e-5, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(SHAPES, OVERLAPS)
def test_no_window_passes_the_padded_field(sides: list[tuple[int, int]], overlap: float) -> None:
    plan = plan_windows([a for a, _ in sides], [b for _, b in sides], overlap)
    assert (plan.corners >= 0).all()
    assert (plan.corners + plan.window <= plan.padded).all()
    assert len(np.unique(plan.corners, axis=0)) == len(plan)


def test_without_a_window_the_field_is_one() -> None:
    plan = plan_windows((5, 7), None)
    assert (plan.window, plan.corners.tolist()) == ((5, 7), [[0, 0]])


def test_windows_of_a_network_that_halves_are_no_longer_than_the_field_and_multiples() -> None:
    plan = plan_windows((20, 61, 90), (16, 64, 32), 0.5, multiple=8)
    assert plan.window == (16, 64, 32)
    assert plan_windows((5, 30, 90), (16, 64, 32), multiple=8).window == (8, 32, 32)
    assert plan_windows((5, 30), None, multiple=4).window == (8, 32)


def test_the_end_is_padded_by_the_value_or_the_last_sample() -> None:
    values = np.arange(3.0)[None]
    assert cut(values, (1,), (4,), pad=-1.0).tolist() == [[1.0, 2.0, -1.0, -1.0]]
    assert cut(values, (1,), (4,), pad=None).tolist() == [[1.0, 2.0, 2.0, 2.0]]
    assert cut(values, (0,), (2,)).base is values.base or cut(values, (0,), (2,)).base is values


def test_weights_are_a_gaussian_of_an_eighth_of_the_window() -> None:
    """exp(-d² / 2σ²) with σ = 16 / 8 = 2 px; the corner is held up to a thousandth."""
    weights = window_weights((16,)).astype(float)
    assert weights[10] / weights[8] == pytest.approx(math.exp(-(2.5**2 - 0.5**2) / 8), rel=1e-6)
    assert window_weights((16, 16)).min() == pytest.approx(1e-3)


def test_two_windows_meet_in_their_weighted_mean() -> None:
    """Sample 3 is the last but one of window 0-4 and the first but one of 2-6, so both weigh the same."""
    stitch = Stitch((7,), (5,), 1)
    stitch.add((0,), np.full((1, 5), 1.0))
    stitch.add((2,), np.full((1, 5), 3.0))
    found = stitch.result()[0]
    assert found[[0, 1, 3, 5, 6]].tolist() == pytest.approx([1, 1, 2, 3, 3])
    assert 1 < found[2] < 2 < found[4] < 3


def test_a_sample_that_no_window_saw_has_no_value() -> None:
    stitch = Stitch((4,), (2,), 1)
    stitch.add((0,), np.ones((1, 2)))
    assert np.isnan(stitch.result()).tolist() == [[False, False, True, True]]


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a window \(2, 3\) wanted, found \(1, 3\)"):
        Stitch((4,), (3,), 2).add((0,), np.ones((1, 3)))


def test_windows_without_number_are_refused_before_they_fill_the_memory() -> None:
    with pytest.raises(TooLargeError, match="64032004 windows of 32 x 32 over 8033 x 8033 samples, at most 1048576"):
        plan_windows((8033, 8033), (32, 32), 0.97)
