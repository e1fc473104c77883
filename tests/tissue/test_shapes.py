"""Outlines of masks, checked against the px themselves; morphology, against scipy's."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from wsi.tissue.morphology import Mask, closed, dilated, eroded, large, opened, sample, share_around
from wsi.tissue.shapes import mask_polygons, repaired

MASKS = arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14)))


def disk(radius: int) -> Mask:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius)


def crossings(mask: Mask) -> int:
    """Count the 2 x 2 px of which only two opposite ones are set."""
    a, b, c, d = mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]
    return int(((a == d) & (b == c) & (a != b)).sum())


@given(MASKS)
@settings(max_examples=80, deadline=None)
def test_the_outlines_of_any_mask_are_valid_and_enclose_its_px(mask: Mask) -> None:
    polygons = mask_polygons(mask)
    assert polygons.is_valid
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    inside = shapely.contains_xy(polygons, columns + 0.5, rows + 0.5)
    assert inside[mask].all()
    assert crossings(inside) == 0
    assert polygons.area == inside.sum()
    if not crossings(mask):
        np.testing.assert_array_equal(inside, mask)


def test_px_that_touch_by_a_corner_become_one_polygon() -> None:
    mask = np.array([[True, False, False], [False, True, False], [False, False, False]])
    (polygon,) = mask_polygons(mask).geoms
    assert polygon.area == 4


def test_a_ring_in_a_ring_is_two_polygons_with_a_hole_each() -> None:
    mask = np.zeros((9, 9), bool)
    mask[0:9, 0:9] = True
    mask[1:8, 1:8] = False
    mask[2:7, 2:7] = True
    mask[4, 4] = False
    polygons = mask_polygons(mask)
    assert sorted((p.area, len(p.interiors)) for p in polygons.geoms) == [(24.0, 1), (32.0, 1)]


@pytest.mark.parametrize("radius", [1, 2, 3, 8])
def test_growing_and_shrinking_are_those_of_a_disk(radius: int) -> None:
    mask = np.random.default_rng(0).random((40, 57)) > 0.8
    np.testing.assert_array_equal(dilated(mask, radius), ndimage.binary_dilation(mask, disk(radius)))
    np.testing.assert_array_equal(eroded(~mask, radius), ndimage.binary_erosion(~mask, disk(radius), border_value=1))


def test_a_disk_larger_than_the_mask_covers_it() -> None:
    mask = np.zeros((3, 5), bool)
    mask[1, 2] = True
    assert dilated(mask, 9).all()
    np.testing.assert_array_equal(closed(mask, 9)[1, 2], True)


def test_opening_removes_lines_and_closing_fills_gaps() -> None:
    mask = np.zeros((30, 30), bool)
    mask[5:25, 5:25] = True
    line = mask.copy()
    line[2, :] = True
    assert not opened(line, 1)[2].any()
    gap = mask.copy()
    gap[:, 14:16] = False
    assert closed(gap, 2)[10, 5:25].all()


def test_parts_are_kept_by_their_size() -> None:
    mask = np.zeros((10, 10), bool)
    mask[0, :3] = mask[5:8, 5:8] = True
    np.testing.assert_array_equal(large(mask, 4).sum(), 9)
    assert not large(np.zeros((3, 3), bool), 1).any()


def test_a_sample_lies_in_the_mask_and_is_bounded() -> None:
    mask = np.ones((1500, 1500), bool)
    mask[0] = False
    places = sample(mask)
    assert len(places) <= 1 << 20
    assert mask.ravel()[places].all()


def test_the_share_around_a_px_is_that_of_its_square() -> None:
    mask = np.zeros((60, 60), bool)
    mask[:, :30] = True
    share = share_around(mask, 3)
    assert share.shape == mask.shape
    assert (share[30, 10], share[30, 50]) == (255, 0)
    assert share[30, 29] == pytest.approx(255 * 4 / 7, abs=2)


def test_a_bow_tie_keeps_both_of_its_lobes() -> None:
    bow_tie = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    assert repaired(bow_tie).area == pytest.approx(50)
    assert repaired(bow_tie).is_valid


def test_lines_and_slivers_are_no_area() -> None:
    assert repaired(shapely.Polygon([(0, 0), (10, 0), (5, 0)])).is_empty
    assert repaired(shapely.box(0, 0, 0.5, 0.5)).is_empty
    assert repaired(shapely.Polygon()).is_empty
