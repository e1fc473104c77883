"""The grid of tiles: exact scale, every place covered once, tissue shares to the last digit."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from wsi.errors import ResolutionError
from wsi.geometry import Bounds, Mpp, Point, Size
from wsi.tile import Footprint, TilePlan, plan_tiles, tile_footprint, tile_grain

SCANNERS = (0.2, 0.2265, 0.25, 0.2527, 0.263, 0.3452, 0.4, 0.499, 0.5, 0.5026, 0.65)


@pytest.mark.parametrize("tile_px", [64, 224, 256, 512])
@pytest.mark.parametrize("mpp", SCANNERS)
def test_tile_covers_the_same_length_on_every_scanner(mpp: float, tile_px: int) -> None:
    slide = Mpp(mpp, mpp, source="metadata")
    for downsamples in ((1.0,), (1.0, 4.0, 16.0), (1.0, 2.0, 4.0, 8.0), (1.0, 2.004, 4.01)):
        found = tile_footprint(tile_px, 0.5, slide, downsamples=downsamples)
        assert found.x * mpp == pytest.approx(tile_px * 0.5, rel=0.005)
        assert found.y * mpp == pytest.approx(tile_px * 0.5, rel=0.005)


def test_footprint_keeps_its_fraction() -> None:
    # 224 px of 0.5 µm are 112 µm, over 0.263 µm/px.
    found = tile_footprint(224, 0.5, Mpp(0.263, 0.263, source="metadata"))
    assert found == Footprint(112 / 0.263, 112 / 0.263)


def test_px_that_are_not_square_are_covered_on_both_axes() -> None:
    found = tile_footprint(200, 0.5, Mpp(0.25, 0.26, source="metadata"))
    assert (found.x, found.y) == pytest.approx((400.0, 100 / 0.26))


@pytest.mark.parametrize(("mpp", "level"), [(0.499, 1.0), (0.2501, 2.0), (0.1252, 4.0)])
def test_stored_level_within_a_quarter_percent_is_taken_as_it_is(mpp: float, level: float) -> None:
    found = tile_footprint(224, 0.5, Mpp(mpp, mpp, source="metadata"), downsamples=(1.0, 2.0, 4.0))
    assert found == Footprint(224 * level, 224 * level)


@pytest.mark.parametrize(("mpp", "fits"), [(0.5, True), (0.64, True), (0.66, False), (2.0, False)])
def test_slide_without_the_detail_is_refused(mpp: float, fits: bool) -> None:
    slide = Mpp(mpp, mpp, source="metadata")
    if fits:
        tile_footprint(224, 0.5, slide)
        return
    with pytest.raises(ResolutionError, match="detail") as caught:
        tile_footprint(224, 0.5, slide)
    assert caught.value.code == "E_RESOLUTION"


def test_footprint_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="positive"):
        Footprint(0.0, 3.0)


def _plan(polygons: shapely.MultiPolygon, bounds: Bounds, side: float, overlap: float, least: float) -> TilePlan:
    footprint = Footprint(side, side)
    return plan_tiles(polygons, bounds, tile_px=32, mpp=0.5, footprint=footprint, overlap=overlap, min_tissue=least)


def _everything(bounds: Bounds) -> shapely.MultiPolygon:
    x, y = bounds.location.x, bounds.location.y
    return shapely.MultiPolygon([shapely.box(x - 9999, y - 9999, x + 99999, y + 99999)])


extents = st.builds(
    lambda x, y, w, h: Bounds(Point(x, y), Size(w, h)),
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(1, 500),
    st.integers(1, 500),
)


@settings(max_examples=50, deadline=None)
@given(extents, st.floats(20, 300), st.floats(0, 0.9))
def test_grid_covers_the_scan_once_and_starts_inside(bounds: Bounds, side: float, overlap: float) -> None:
    plan = _plan(_everything(bounds), bounds, side, overlap, 0.35)
    step = side * (1 - overlap)
    x0, y0 = bounds.location.x, bounds.location.y
    columns, rows = np.unique(plan.coords[:, 0]), np.unique(plan.coords[:, 1])
    assert len(plan) == len(columns) * len(rows) == len(np.unique(plan.coords, axis=0))
    for starts, first, length in ((columns, x0, bounds.size.width), (rows, y0, bounds.size.height)):
        assert starts[0] == first
        assert starts[-1] < first + length or len(starts) == 1
        assert starts[-1] + side >= first + length - 1, "the far edge is covered"
        # Neighbors leave no gap; they lie on whole px, so each is at most half a px from its true place.
        assert (np.diff(starts) <= step + 1).all()
        assert (np.abs(starts - first - np.arange(len(starts)) * step) <= 0.5 + 1e-9).all()


blobs = st.lists(st.tuples(st.floats(-50, 950), st.floats(-50, 950), st.floats(5, 300)), min_size=0, max_size=6).map(
    lambda discs: shapely.union_all([shapely.Point(x, y).buffer(r, quad_segs=6) for x, y, r in discs])
)


@settings(max_examples=40, deadline=None)
@given(blobs, st.floats(40, 250), st.floats(0, 0.5), st.floats(0, 1))
def test_share_of_tissue_is_shapelys_area_and_decides_alone(
    blob: shapely.Geometry, side: float, overlap: float, least: float
) -> None:
    bounds = Bounds(Point(0, 0), Size(900, 900))
    parts = [part for part in getattr(blob, "geoms", [blob]) if isinstance(part, shapely.Polygon) and not part.is_empty]
    tissue = shapely.MultiPolygon(parts)
    plan = _plan(tissue, bounds, side, overlap, least)
    kept = {(int(x), int(y)): float(share) for (x, y), share in zip(plan.coords, plan.tissue, strict=True)}
    step = side * (1 - overlap)
    starts = [start for start in (round(i * step) for i in range(math.ceil(900 / step))) if start < 900]
    for y in starts:
        for x in starts:
            share = tissue.intersection(shapely.box(x, y, x + side, y + side)).area / side**2
            if (x, y) in kept:
                assert kept[x, y] == pytest.approx(share, abs=1e-6)
                assert share >= least - 1e-6
            else:
                assert share < least + 1e-6 or share <= 1e-9


def test_tiles_come_in_rows_from_the_top_each_from_the_left() -> None:
    bounds = Bounds(Point(100, 200), Size(250, 150))
    plan = _plan(_everything(bounds), bounds, 100, 0.0, 0.35)
    assert plan.coords.tolist() == [[100, 200], [200, 200], [300, 200], [100, 300], [200, 300], [300, 300]]
    assert plan.coords.dtype == np.int32
    assert plan.tissue.tolist() == [1.0] * 6


def test_hole_is_not_tissue() -> None:
    ring = shapely.Polygon(shapely.box(0, 0, 300, 300).exterior, [shapely.box(100, 100, 200, 200).exterior])
    plan = _plan(shapely.MultiPolygon([ring]), Bounds(Point(0, 0), Size(300, 300)), 100, 0.0, 0.35)
    assert [100, 100] not in plan.coords.tolist()
    assert len(plan) == 8


@pytest.mark.parametrize("least", [0.0, 0.35])
def test_no_tissue_gives_no_tiles(least: float) -> None:
    plan = _plan(shapely.MultiPolygon(), Bounds(Point(0, 0), Size(300, 300)), 100, 0.0, least)
    assert plan.coords.shape == (0, 2)
    assert plan.tissue.shape == (0,)


def test_overlap_repeats_its_share_of_the_tile() -> None:
    bounds = Bounds(Point(0, 0), Size(400, 100))
    plan = _plan(_everything(bounds), bounds, 100, 0.5, 0.35)
    assert plan.stride == Footprint(50, 50)
    assert np.unique(plan.coords[:, 0]).tolist() == [0, 50, 100, 150, 200, 250, 300, 350]


@pytest.mark.parametrize(
    ("scale", "downsamples", "grain"),
    [(1.0, (1.0, 4.0), 1), (1.9, (1.0,), 1), (2.0, (1.0,), 2), (4.0, (1.0, 4.0), 4), (8.5, (1.0, 4.0), 8),
     (9.0, (1.0,), 4), (4.1, (1.0, 4.0003), 1)],
)  # fmt: skip
def test_corners_fall_on_px_of_what_is_read(scale: float, downsamples: tuple[float, ...], grain: int) -> None:
    footprint = Footprint(224 * scale, 224 * scale)
    assert tile_grain(footprint, 224, downsamples) == grain


def test_grain_moves_no_corner_by_more_than_half_of_it() -> None:
    footprint, bounds = Footprint(448.7, 448.7), Bounds(Point(3, 5), Size(20000, 9000))
    polygons = shapely.MultiPolygon([shapely.box(0, 0, 20100, 9100)])
    exact = plan_tiles(polygons, bounds, tile_px=224, mpp=0.5, footprint=footprint)
    snapped = plan_tiles(polygons, bounds, tile_px=224, mpp=0.5, footprint=footprint, grain=4)
    assert not (snapped.coords % 4).any()
    assert len(snapped) == len(exact)
    assert np.abs(snapped.coords - exact.coords).max() <= 3  # half the grain, and the rounding of the exact corners
