"""What a person drew on a slide through the review page, brought to the px and the classes of the files for people."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import shapely

from wsi.export.regions import clip
from wsi.geometry import Bounds
from wsi.printable import printable
from wsi.results import Decision, Result

UNNAMED = "Drawn"
UNNAMED_COLOR = (0, 114, 178)
"""Of shapes whose class has no color of its own."""


@dataclass(frozen=True, slots=True)
class DrawnShape:
    """One shape: polygons in the file's px; kind: the class that the person gave it, with its color."""

    name: str
    shape: shapely.MultiPolygon
    kind: str
    color: tuple[int, ...]
    who: str
    when: str


def drawn_shapes(decisions: Iterable[Decision], result: Result, area: Bounds) -> Iterator[DrawnShape]:
    """Yield the shapes of decisions, clipped to `area`; those beyond it are left out.

    The class is what the person named it, else the decision's grade, else "Drawn".
    """
    colors = {c.name: tuple(c.color) for c in result.classes}
    drawn = ((one, feature) for one in decisions for feature in one.shapes.get("features", ()))
    for number, (decision, feature) in enumerate(drawn, 1):
        told: Mapping[str, Any] = feature["properties"]
        shape = clip(_polygons(feature["geometry"]), area)
        if shape.is_empty:
            continue
        kind = told.get("class") or decision.grade or UNNAMED
        color = tuple(told.get("color") or colors.get(kind, UNNAMED_COLOR))
        name = f"Drawn {number}" + (f": {printable(told['name'])}" if told.get("name") else "")
        yield DrawnShape(name, shape, kind, color, printable(decision.who), decision.when)


def _polygons(geometry: Mapping[str, Any]) -> shapely.MultiPolygon:
    found = shapely.from_geojson(json.dumps(geometry))
    parts = shapely.get_parts(shapely.make_valid(found, method="structure", keep_collapsed=False))
    return shapely.MultiPolygon([part for part in parts if isinstance(part, shapely.Polygon)])
