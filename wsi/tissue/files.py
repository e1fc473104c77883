"""Tissue as a value, and as a GeoJSON file that QuPath opens and that comes back the same."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import shapely
from shapely.affinity import translate

from wsi.errors import ArtifactError
from wsi.geometry import Point
from wsi.tissue.shapes import GRID

FORMAT = "wsi-tissue/1"
COLOR = (60, 160, 90)
_IDS = uuid.UUID("6f6b1e0e-6f0e-5b4e-9a53-2f6f6a1d7c11")


@dataclass(frozen=True, slots=True)
class Tissue:
    """Where the tissue is, and how good.

    polygons: level-0 px of the file, valid, with holes, coordinates in hundredths. flaws: share of the tissue (0-1)
    that is blurred, under pen, folded, in bubbles; a flaw that wasn't measured is absent. reason: "" or why there is
    no tissue.
    """

    polygons: shapely.MultiPolygon
    area_mm2: float
    flaws: Mapping[str, float]
    stain: Literal["H&E", "IHC", "unknown"]
    reason: str
    source: Literal["detected", "drawn"]


def to_geojson(tissue: Tissue, *, slide: str, offset: Point) -> bytes:
    """Return the tissue as one annotation with QuPath's origin, `offset` level-0 px from the file's.

    A member of its own beside `features` keeps what GeoJSON has no place for.
    """
    about = {
        "format": FORMAT,
        "offset": [offset.x, offset.y],
        "area_mm2": tissue.area_mm2,
        "flaws": dict(tissue.flaws),
        "stain": tissue.stain,
        "reason": tissue.reason,
        "source": tissue.source,
    }
    features = []
    if not tissue.polygons.is_empty:
        shifted = shapely.set_precision(translate(tissue.polygons, -offset.x, -offset.y), GRID)
        parts = [part for part in shapely.get_parts(shifted) if part.geom_type == "Polygon"]
        geometry = shapely.MultiPolygon(parts) if len(parts) > 1 else parts[0]
        measurements = {"Area mm^2": round(tissue.area_mm2, 4)}
        measurements |= {f"{name} share": round(share, 4) for name, share in sorted(tissue.flaws.items())}
        features.append(
            {
                "type": "Feature",
                "id": str(uuid.uuid5(_IDS, slide)),
                "geometry": json.loads(shapely.to_geojson(geometry)),
                "properties": {
                    "objectType": "annotation",
                    "name": "Tissue",
                    "classification": {"name": "Tissue", "color": list(COLOR)},
                    "measurements": measurements,
                    "isLocked": False,
                },
            }
        )
    return (json.dumps({"type": "FeatureCollection", "features": features, "wsi-run": about}) + "\n").encode()


def from_geojson(content: bytes) -> Tissue:
    """Read back `to_geojson`; ArtifactError for anything else."""
    try:
        found = json.loads(content)
        about = found["wsi-run"]
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']!r}")
        shapes = [shapely.geometry.shape(feature["geometry"]) for feature in found["features"]]
        polygons = shapely.MultiPolygon([p for shape in shapes for p in shapely.get_parts(shape)])
        return Tissue(
            shapely.set_precision(translate(polygons, *about["offset"]), GRID),
            float(about["area_mm2"]),
            {str(name): float(share) for name, share in about["flaws"].items()},
            about["stain"],
            str(about["reason"]),
            about["source"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, shapely.errors.ShapelyError) as error:
        raise ArtifactError(f"tissue.geojson: not as this tool wrote it ({error}); run the slide again") from error
