"""Shapes that a person drew, as a browser sends them: checked, bounded and brought to one form."""

from typing import Any

from wsi.review.refusal import Refused
from wsi.review.text import clean

MAX_SHAPES, MAX_POINTS, MAX_NAME = 200, 50_000, 200
NO_SHAPES: dict[str, Any] = {"type": "FeatureCollection", "features": []}
_DEPTH = {"Polygon": 1, "MultiPolygon": 2}


def checked_shapes(found: object, *, width: int, height: int) -> dict[str, Any]:
    """Return a FeatureCollection of polygons with what is known of them: name, class and color, kind "drawn".

    Args:
        width, height: of level 0, in px; a shape may reach beyond the slide by as much on every side.

    Raises:
        Refused (422): it isn't one, or too large, or not finite.
    """
    if not isinstance(found, dict) or found.get("type") != "FeatureCollection":
        raise _no("expected a GeoJSON FeatureCollection")
    features = found.get("features")
    if not isinstance(features, list) or len(features) > MAX_SHAPES:
        raise _no(f"expected a list of at most {MAX_SHAPES} features")
    counter = _Counter(width, height)
    return {"type": "FeatureCollection", "features": [_feature(one, counter) for one in features]}


class _Counter:
    """Counts the points of all shapes, and knows where they may lie."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._points = 0

    def ring(self, found: object) -> list[list[float]]:
        if not isinstance(found, list) or len(found) < 3:
            raise _no("a ring has at least 3 points")
        self._points += len(found)
        if self._points > MAX_POINTS:
            raise _no(f"expected at most {MAX_POINTS:,} points")
        points = [self._point(one) for one in found]
        if points[0] != points[-1]:
            points.append(points[0])
        if len(points) < 4:
            raise _no("a ring has at least 3 points")
        return points

    def _point(self, found: object) -> list[float]:
        if not isinstance(found, list) or len(found) != 2:
            raise _no("a point has two numbers")
        x, y = found
        for value, size in zip((x, y), self._size, strict=True):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise _no("a point has two numbers")
            if not -size <= value <= 2 * size:  # NaN isn't, nor is a whole number that no float can hold
                raise _no("a point lies on the slide or near it")
        return [round(float(x), 2), round(float(y), 2)]


def _feature(found: object, counter: _Counter) -> dict[str, Any]:
    if not isinstance(found, dict) or found.get("type") != "Feature" or not isinstance(found.get("geometry"), dict):
        raise _no("expected features with a geometry")
    geometry, told = found["geometry"], found.get("properties") or {}
    kind, rings = geometry.get("type"), geometry.get("coordinates")
    if not isinstance(kind, str) or kind not in _DEPTH or not isinstance(told, dict) or not isinstance(rings, list):
        raise _no("expected polygons")
    polygons = rings if kind == "MultiPolygon" else [rings]
    if not polygons or not all(isinstance(polygon, list) and polygon for polygon in polygons):
        raise _no("expected polygons with a ring each")
    checked = [[counter.ring(ring) for ring in polygon] for polygon in polygons]
    properties: dict[str, Any] = {"kind": "drawn", "name": _text(told.get("name")), "class": _text(told.get("class"))}
    if told.get("color") is not None:
        properties["color"] = _color(told["color"])
    coordinates = checked if kind == "MultiPolygon" else checked[0]
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def _text(found: object) -> str:
    if found is None:
        return ""
    if not isinstance(found, str) or len(found) > MAX_NAME:
        raise _no(f"names are text of at most {MAX_NAME} characters")
    return clean(found)


def _color(found: object) -> list[int]:
    if not isinstance(found, list) or len(found) != 3:
        raise _no("a color is three whole numbers from 0 to 255")
    if not all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in found):
        raise _no("a color is three whole numbers from 0 to 255")
    return list(found)


def _no(message: str) -> Refused:
    return Refused(422, "E_SHAPES", f"The shapes can't be kept: {message}.", next="Draw fewer or simpler shapes.")
