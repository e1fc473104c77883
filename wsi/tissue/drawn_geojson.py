"""Areas in GeoJSON as QuPath exports it: a collection, a bare array, one feature or a bare geometry."""

import json
from collections.abc import Iterator
from typing import Any

from wsi.tissue.areas import MAX_POINTS, Annotation, annotation, polygon

LEVEL0 = "level0"
OWN_MEMBERS = ("wsi-run", "wsi_run")
"""Where tissue.geojson and the exported objects keep what GeoJSON has no place for."""
NOT_DRAWN = ("detection", "cell", "tile")
"""QuPath objects that a program found, not areas that a person drew."""


def geojson_areas(content: bytes) -> tuple[list[Annotation], bool]:
    """Return the areas, and whether they count from the corner of the scan, as QuPath's own do.

    Points, lines and detections are passed over. A repeated key counts as its last value.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: it is something else.
    """
    if content.count(b"[") + content.count(b"{") > 2 * MAX_POINTS:
        raise ValueError(f"it has more than {MAX_POINTS:,} points")
    found = json.loads(content)
    return list(_features(found)), not (isinstance(found, dict) and _counts_from_file(found))


def _counts_from_file(collection: dict[str, Any]) -> bool:
    """Return whether a file of this tool says that its coordinates start at the file's own corner."""
    said = [collection, *(collection.get(name) for name in OWN_MEMBERS)]
    abouts = [about for about in said if isinstance(about, dict)]
    return any(about.get("origin") == LEVEL0 or about.get("offset") == [0, 0] for about in abouts)


def _features(found: Any) -> Iterator[Annotation]:
    if isinstance(found, list):
        for one in found:
            yield from _features(one)
    elif found.get("type") == "FeatureCollection":
        yield from _features(found["features"])
    elif found.get("type") == "Feature":
        about = found.get("properties") or {}
        if about.get("objectType") in NOT_DRAWN:
            return
        label = about.get("classification") or {}
        group = label.get("name") if isinstance(label, dict) else label
        yield from _areas(found.get("geometry"), str(about.get("name") or ""), str(group or ""))
    elif "type" in found:
        yield from _areas(found, "", "")
    else:
        raise ValueError("no GeoJSON type in it")


def _areas(geometry: Any, name: str, group: str) -> Iterator[Annotation]:
    if geometry is None:
        return
    match geometry["type"]:
        case "Polygon":
            polygons = [geometry["coordinates"]]
        case "MultiPolygon":
            polygons = geometry["coordinates"]
        case "GeometryCollection":
            for one in geometry["geometries"]:
                yield from _areas(one, name, group)
            return
        case _:
            return
    parts = [polygon(_ring(rings[0]), [_ring(hole) for hole in rings[1:]]) for rings in polygons if rings]
    yield annotation(parts, name, group)


def _ring(points: Any) -> list[tuple[float, float]]:
    return [(_number(point[0]), _number(point[1])) for point in points]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a coordinate is {value!r:.40}, expected a number")
    return float(value)
