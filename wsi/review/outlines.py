"""Outlines to draw over a slide: its tissue, the regions that the model found and the structures it marked, in level-0 px."""

import json
from typing import Any

import shapely

from wsi.errors import ArtifactError
from wsi.export.geojson import TISSUE_COLOR
from wsi.export.heat import heat_of
from wsi.export.place import shown
from wsi.export.regions import hot_regions
from wsi.printable import printable
from wsi.results import Case
from wsi.results.mask import read_mask
from wsi.review.folder import damaged
from wsi.review.frame import is_picture
from wsi.tissue import from_geojson

_RED = (200, 0, 0)


def outlines(case: Case, *, hidden: bool) -> dict[str, Any]:
    """Return a GeoJSON FeatureCollection; `hidden` leaves the model's regions out.

    Raises:
        Refused: tissue.geojson or mask.h5 is damaged.
    """
    features = _tissue(case)
    if not hidden:
        features += _regions(case) + _structures(case)
    return {"type": "FeatureCollection", "features": features}


def _tissue(case: Case) -> list[dict[str, Any]]:
    if not case.tissue.is_file():
        return []
    try:
        polygons = from_geojson(case.tissue.read_bytes()).polygons
    except (ArtifactError, OSError) as error:
        raise damaged(case.result) from error
    return [] if polygons.is_empty else [feature("tissue", "Tissue", TISSUE_COLOR, polygons)]


def _regions(case: Case) -> list[dict[str, Any]]:
    result, heat = case.result, heat_of(case.result)
    if heat is None or heat.threshold is None or case.scores is None or result.scale is None:
        return []
    color = next((tuple(c.color) for c in result.classes if c.name == result.positive), _RED)
    found = hot_regions(case.scores, result.scale, shown(result.scale, "level0"), threshold=heat.threshold)
    name = printable(result.positive or "")
    return [
        feature("region", f"{name} region {number}", color, region.shape, tiles=region.tiles, score=region.score)
        for number, region in enumerate(found, 1)
    ]


def _structures(case: Case) -> list[dict[str, Any]]:
    """Return what a model marked in a picture; Refused when mask.h5 is damaged."""
    path = case.folder / "mask.h5"
    if not is_picture(case.result) or not case.result.structures or not path.is_file():
        return []
    from wsi.tissue.shapes import mask_polygons  # loads scipy, which other reviews have no use for

    try:
        labels = read_mask(path).labels
    except (ArtifactError, OSError) as error:
        raise damaged(case.result) from error
    shapes = [(one, mask_polygons(labels == label)) for label, one in enumerate(case.result.structures, 1)]
    return [
        feature("structure", printable(one.name), tuple(one.color), shape, amount=one.told)
        for one, shape in shapes
        if not shape.is_empty
    ]


def feature(kind: str, name: str, color: tuple[int, ...], shape: shapely.Geometry, **more: Any) -> dict[str, Any]:
    """Return one GeoJSON feature."""
    return {
        "type": "Feature",
        "geometry": json.loads(shapely.to_geojson(shape)),
        "properties": {"kind": kind, "name": name, "color": list(color), **more},
    }
