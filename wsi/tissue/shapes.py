"""From masks to polygons, and polygons made valid."""

import numpy as np
import scipy
import shapely
from numpy.typing import NDArray

GRID = 0.01
"""QuPath keeps hundredths of a px."""
MIN_PX2 = 1.0


def repaired(geometry: shapely.Geometry) -> shapely.MultiPolygon:
    """Return the area of any geometry as a valid MultiPolygon on a grid of 0.01 px, without slivers below 1 px²."""
    sound = geometry
    if not shapely.is_valid(sound):
        sound = shapely.make_valid(sound, method="structure", keep_collapsed=False)
    sound = shapely.set_precision(sound, GRID)
    parts = [q for p in shapely.get_parts(sound) for q in shapely.get_parts(p) if q.geom_type == "Polygon"]
    return shapely.MultiPolygon([p for p in parts if p.area >= MIN_PX2])


def mask_polygons(mask: NDArray[np.bool_]) -> shapely.MultiPolygon:
    """Return the outlines of a mask `(h, w)`, in its px, with holes; the px are squares from (x, y) to (x+1, y+1).

    Px that touch by a corner alone are joined first, so that no two outlines meet.
    """
    padded = np.pad(mask, 1)
    _join_corners(padded)
    labels, count = scipy.ndimage.label(padded)
    if not count:
        return shapely.MultiPolygon()
    corners, rings = _rings(padded)
    first = corners[[ring[0] for ring in rings]]  # (R, 2) top, then left, corner of each ring: its inside is below it
    is_shell = padded[first[:, 0] + 1, first[:, 1] + 1]
    owner = labels[first[:, 0] + is_shell, first[:, 1] + is_shell]
    places = corners[np.concatenate(rings)][:, ::-1].astype(float)  # (N, 2) x, y
    owners = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    outlines = np.asarray(shapely.linearrings(places, indices=owners), object)
    holes: dict[int, list[shapely.LinearRing]] = {}
    for one, part in zip(outlines[~is_shell], owner[~is_shell], strict=True):
        holes.setdefault(int(part), []).append(one)
    shells = zip(outlines[is_shell], owner[is_shell], strict=True)
    return shapely.MultiPolygon([shapely.Polygon(one, holes.get(int(part))) for one, part in shells])


def _join_corners(mask: NDArray[np.bool_]) -> None:
    """Fill each square of 2 x 2 px of which only two opposite ones are set, until there is none."""
    quarters = mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]
    while True:
        a, b, c, d = quarters
        crossed = (a & d & ~b & ~c) | (b & c & ~a & ~d)
        if not crossed.any():
            return
        for quarter in quarters:
            quarter |= crossed


def _rings(padded: NDArray[np.bool_]) -> tuple[NDArray[np.intp], list[list[int]]]:
    """Return the corners of all outlines `(C, 2)` as (row, column) in px of the mask, and the corners of each ring.

    Outlines turn at every corner, so corners pair up along their row, and along their column.
    """
    square = sum(part.view(np.uint8) for part in (padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]))
    corners = np.argwhere(np.asarray(square) & 1)  # (C, 2), in order of rows
    across = np.arange(len(corners)) ^ 1
    by_column = np.lexsort((corners[:, 0], corners[:, 1]))
    down = np.empty_like(by_column)
    down[by_column] = by_column[np.arange(len(corners)) ^ 1]
    beside, below = across.tolist(), down.tolist()
    seen, rings = bytearray(len(corners)), []
    for start in range(len(corners)):
        if seen[start]:
            continue
        ring, at = [], start
        while not seen[at]:
            turn = beside[at]
            seen[at] = seen[turn] = 1
            ring += [at, turn]
            at = below[turn]
        rings.append(ring)
    return corners, rings
