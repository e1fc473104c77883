"""Polygons that a person drew, taken as the tissue: GeoJSON (QuPath), ASAP XML, ImageScope XML."""

import os
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize
from xml.parsers import expat

import shapely
from shapely.affinity import translate

from wsi.errors import AnnotationError
from wsi.geometry import Bounds, Mpp
from wsi.tissue.areas import Annotation
from wsi.tissue.drawn_geojson import geojson_areas
from wsi.tissue.drawn_xml import xml_areas
from wsi.tissue.files import Tissue
from wsi.tissue.shapes import repaired
from wsi.tissue.unpack import unpacked

SUFFIXES = (".geojson", ".geojson.gz", ".json", ".json.gz", ".zip", ".xml")
_BEFORE_XML = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"


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
    content = unpacked(path)
    try:
        if content[:64].lstrip(_BEFORE_XML)[:1] == b"<":
            return Drawing(xml_areas(content), from_bounds=False)
        annotations, from_bounds = geojson_areas(content)
        return Drawing(annotations, from_bounds)
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        expat.ExpatError,
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
    reason = f"no tissue: {path.name} {_why_none(drawing.annotations)}" if polygons.is_empty else ""
    return Tissue(polygons, round(float(polygons.area * mpp.x * mpp.y * 1e-6), 4), {}, "unknown", reason, "drawn")


def find_annotation(folder: Path, relative: str) -> Path | None:
    """Return the file in `folder` that belongs to the slide at `relative`: by its path, or its name alone.

    Letters with accents may be spelled as one sign or as two, as macOS does.
    """
    for slide in (Path(normalize(form, relative)) for form in ("NFC", "NFD")):
        for base in (folder / slide, folder / slide.with_suffix(""), folder / slide.name, folder / slide.stem):
            for suffix in SUFFIXES:
                path = base.with_name(base.name + suffix)
                if os.path.isfile(path):  # noqa: PTH113, as pathlib raises where a name is too long
                    return path
    return None


def _why_none(annotations: list[Annotation]) -> str:
    if not annotations:
        return "holds no areas"
    if all(annotation.excluded for annotation in annotations):
        return "only says what to leave out; draw what to look at, too"
    return f"holds {len(annotations)} areas, none of which is left inside the slide"
