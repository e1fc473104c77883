"""From masks to polygons, and polygons made valid."""

import numpy as np
import shapely
from numpy.typing import NDArray

GRID = 0.01
"""QuPath keeps hundredths of a px."""
MIN_PX2 = 1.0


def repaired(geometry: shapely.Geometry) -> shapely.MultiPolygon:
    """Return the area of any geometry as a valid MultiPolygon on a grid of 0.01 px, without slivers below 1 px²."""
    sound = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    sound = shapely.set_precision(sound, GRID)
    parts = [p for p in shapely.get_parts(sound) if p.geom_type == "Polygon"]
    parts += [q for p in shapely.get_parts(sound) if p.geom_type == "MultiPolygon" for q in shapely.get_parts(p)]
    return shapely.MultiPolygon([p for p in parts if p.area >= MIN_PX2])


def mask_polygons(mask: NDArray[np.bool_]) -> shapely.MultiPolygon:
    """Return the outlines of a mask `(h, w)`, in its px, with holes; the px are squares from (x, y) to (x+1, y+1)."""
    if not mask.any():
        return shapely.MultiPolygon()
    padded = np.pad(mask, 1).astype(np.int8)
    across = _runs(np.diff(padded, axis=0)[:, 1:-1])
    down = _runs(np.diff(padded, axis=1)[1:-1, :].T)
    lines = np.concatenate(
        [
            np.stack([across[:, [1, 0]], across[:, [2, 0]]], axis=1),
            np.stack([down[:, [0, 1]], down[:, [0, 2]]], axis=1),
        ]
    ).astype(float)
    faces = shapely.get_parts(shapely.polygonize(shapely.linestrings(lines)))
    inside = shapely.get_coordinates(shapely.point_on_surface(faces)).astype(int)
    return shapely.MultiPolygon(list(faces[mask[inside[:, 1], inside[:, 0]]]))


def _runs(edges: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return (row, start, end) of the runs of equal non-zero values in each row."""
    rows, columns = edges.shape
    framed = np.zeros((rows, columns + 2), np.int8)
    framed[:, 1:-1] = edges
    change = np.diff(framed, axis=1) != 0
    starts = np.argwhere(change & (framed[:, 1:] != 0))
    ends = np.argwhere(change & (framed[:, :-1] != 0))
    return np.column_stack([starts, ends[:, 1]])
