"""Polygons that a person drew: GeoJSON (QuPath), ASAP XML, ImageScope XML."""

import gzip
import json
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import shapely
from shapely.affinity import translate

from wsi.errors import AnnotationError
from wsi.geometry import Bounds, Mpp
from wsi.tissue.files import Tissue
from wsi.tissue.shapes import repaired

MAX_BYTES = 256 << 20
SUFFIXES = (".geojson", ".geojson.gz", ".json", ".json.gz", ".zip", ".xml")
EXCLUDED = ("exclu", "ignore", "artifact", "artefact", "negative", "background")
"""Beginnings of class names whose area is taken out of the tissue."""
LEVEL0 = "level0"
_FORBIDDEN = (b"<!doctype", b"<!entity")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One drawn area. `area`: px of the file's own frame, valid; `excluded`: it marks what is not to be looked at."""

    area: shapely.MultiPolygon
    name: str
    group: str
    excluded: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """All areas of a file. `from_bounds`: coordinates start at the corner of the scan, as QuPath has them."""

    annotations: list[Annotation]
    from_bounds: bool


def read_annotations(path: Path) -> Drawing:
    """Read the areas in a file of any of the three kinds; points and lines are passed over.

    Raises:
        AnnotationError: not such a file, damaged, too large, or with coordinates that are no numbers.
    """
    content = _content(path)
    try:
        if content.lstrip()[:1] == b"<":
            return Drawing(list(_xml(content)), from_bounds=False)
        found = json.loads(content.decode("utf-8-sig"))
        level0 = isinstance(found, dict) and found.get("origin") == LEVEL0
        return Drawing(list(_features(found)), from_bounds=not level0)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        ElementTree.ParseError,
        shapely.errors.ShapelyError,
    ) as error:
        raise AnnotationError(
            f"{path.name}: can't be read as annotations ({error}); expected GeoJSON as QuPath exports it, ASAP XML or "
            "ImageScope XML"
        ) from error


def drawn_tissue(path: Path, *, bounds: Bounds, mpp: Mpp) -> Tissue:
    """Return the drawn areas as the tissue of a slide: their union, less the excluded ones, inside the slide.

    Raises:
        AnnotationError: see `read_annotations`.
    """
    drawing = read_annotations(path)
    wanted = shapely.union_all([a.area for a in drawing.annotations if not a.excluded])
    unwanted = shapely.union_all([a.area for a in drawing.annotations if a.excluded])
    area = shapely.difference(wanted, unwanted)
    corner, size = bounds.location, bounds.size
    if drawing.from_bounds:
        area = translate(area, corner.x, corner.y)
    inside = shapely.intersection(area, shapely.box(corner.x, corner.y, corner.x + size.width, corner.y + size.height))
    polygons = repaired(inside)
    reason = ""
    if polygons.is_empty:
        found = f"{len(drawing.annotations)} areas" if drawing.annotations else "no areas"
        reason = f"no tissue: {path.name} holds {found}, none of them inside the slide"
    return Tissue(polygons, round(float(polygons.area * mpp.x * mpp.y * 1e-6), 4), {}, "unknown", reason, "drawn")


def find_annotation(folder: Path, relative: str) -> Path | None:
    """Return the file in `folder` that belongs to the slide at `relative`: by its path, or its name alone."""
    slide = Path(relative)
    for base in (folder / relative, folder / slide.with_suffix(""), folder / slide.name, folder / slide.stem):
        for suffix in SUFFIXES:
            path = base.with_name(base.name + suffix)
            if path.is_file():
                return path
    return None


def _content(path: Path) -> bytes:
    """Return a file's bytes, unpacked, never more than MAX_BYTES."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if content[:2] == b"\x1f\x8b":
            with gzip.open(path) as packed:
                content = packed.read(MAX_BYTES + 1)
        elif content[:4] == b"PK\x03\x04":
            content = _zipped(path)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise AnnotationError(f"{path.name}: can't be read ({error})") from error
    if len(content) > MAX_BYTES:
        raise AnnotationError(f"{path.name}: more than {MAX_BYTES >> 20} MB; expected the annotations of one slide")
    return content


def _zipped(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith((".geojson", ".json"))]
        if not names:
            raise AnnotationError(f"{path.name}: no .geojson or .json in it")
        with archive.open(names[0]) as file:
            return file.read(MAX_BYTES + 1)


def _features(found: Any) -> Iterator[Annotation]:
    """Yield the areas of a FeatureCollection, a bare array, one feature or a bare geometry."""
    if isinstance(found, list):
        for one in found:
            yield from _features(one)
    elif found.get("type") == "FeatureCollection":
        yield from _features(found["features"])
    elif found.get("type") == "Feature":
        about = found.get("properties") or {}
        label = about.get("classification") or {}
        group = str(label.get("name", "") if isinstance(label, dict) else label)
        yield from _area(found.get("geometry"), str(about.get("name") or ""), group)
    elif "type" in found:
        yield from _area(found, "", "")
    else:
        raise ValueError("no GeoJSON type in it")


def _area(geometry: Any, name: str, group: str) -> Iterator[Annotation]:
    if geometry is None:
        return
    match geometry["type"]:
        case "Polygon":
            polygons = [geometry["coordinates"]]
        case "MultiPolygon":
            polygons = geometry["coordinates"]
        case "GeometryCollection":
            for one in geometry["geometries"]:
                yield from _area(one, name, group)
            return
        case _:
            return
    parts = [shapely.Polygon(_ring(rings[0]), [_ring(hole) for hole in rings[1:]]) for rings in polygons if rings]
    yield _annotation(parts, name, group)


def _annotation(parts: list[shapely.Polygon], name: str, group: str, *, excluded: bool = False) -> Annotation:
    area = repaired(shapely.union_all([repaired(part) for part in parts]))
    marked = any(text.strip().lower().startswith(EXCLUDED) for text in (group, name))
    return Annotation(area, name, group, excluded or marked)


def _ring(points: Any) -> list[tuple[float, float]]:
    """Return a ring's points; a ring needs three of them, and an open one is closed."""
    ring = [(float(point[0]), float(point[1])) for point in points]
    if not all(math.isfinite(value) for point in ring for value in point):
        raise ValueError("a coordinate is not a finite number")
    if len(set(ring)) < 3:
        raise ValueError("an outline has fewer than three points")
    return ring


def _xml(content: bytes) -> Iterator[Annotation]:
    if any(word in content[:4096].lower() or word in content.lower() for word in _FORBIDDEN):
        raise ValueError("it defines entities, which annotations never need")
    root = ElementTree.fromstring(content)  # noqa: S314  (entities were refused above)
    if root.tag == "ASAP_Annotations":
        for one in root.iter("Annotation"):
            if one.get("Type") in ("Polygon", "Spline", "Rectangle"):
                ordered = sorted(one.iter("Coordinate"), key=lambda c: float(c.get("Order", "0")))
                yield _outline(ordered, one.get("Name", ""), one.get("PartOfGroup", ""))
    elif root.tag == "Annotations":
        for layer in root.iter("Annotation"):
            for region in layer.iter("Region"):
                yield from _region(region, layer.get("Name", ""))
    else:
        raise ValueError(f"the root is <{root.tag}>")


def _outline(points: list[ElementTree.Element], name: str, group: str, *, excluded: bool = False) -> Annotation:
    ring = _ring([(point.get("X"), point.get("Y")) for point in points])
    return _annotation([shapely.Polygon(ring)], name, group, excluded=excluded)


def _region(region: ElementTree.Element, layer: str) -> Iterator[Annotation]:
    """Yield one ImageScope region: type 0 freehand, 1 rectangle, 2 ellipse; arrows and rulers are no areas."""
    kind, vertices = region.get("Type", "0"), list(region.iter("Vertex"))
    name, excluded = region.get("Text", ""), region.get("NegativeROA", "0") == "1"
    if kind == "2" and len(vertices) in (2, 4):
        corners = [(float(v.get("X", "nan")), float(v.get("Y", "nan"))) for v in vertices]
        yield _annotation([_ellipse(corners)], name, layer, excluded=excluded)
    elif kind == "1" and len(vertices) == 2:
        (x0, y0), (x1, y1) = [(float(v.get("X", "nan")), float(v.get("Y", "nan"))) for v in vertices]
        yield _annotation(
            [shapely.box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))], name, layer, excluded=excluded
        )
    elif kind in ("0", "1"):
        yield _outline(vertices, name, layer, excluded=excluded)


def _ellipse(corners: list[tuple[float, float]]) -> shapely.Polygon:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    cx, cy, rx, ry = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, (max(xs) - min(xs)) / 2, (max(ys) - min(ys)) / 2
    turns = [2 * math.pi * i / 128 for i in range(128)]
    return shapely.Polygon(_ring([(cx + rx * math.cos(t), cy + ry * math.sin(t)) for t in turns]))
