"""<name>.geojson.gz: tiles with their scores, tissue and merged regions, as every QuPath since 0.4 reads them.

The heat is `tile` objects, which measurement maps color and which QuPath draws from a cache; a handful of
annotations hold tissue and regions. Text is streamed: 100,000 tiles never stand in memory as objects.
"""

import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi.export.drawn import DrawnShape, drawn_shapes
from wsi.export.grid import percentile
from wsi.export.heat import heat_of
from wsi.export.place import Origin, shown
from wsi.export.regions import HotRegion, clip, hot_regions
from wsi.export.words import model_hash, notice, referral, verdict
from wsi.geometry import Bounds
from wsi.printable import printable
from wsi.publish import publishing, sha256_file
from wsi.results import RESEARCH_USE, Case, Decision, Result, Scale, Scores

SUFFIX = ".geojson.gz"
NAMESPACE = hashlib.sha1(b"wsi-run/geojson", usedforsecurity=False).digest()[:16]
TISSUE_COLOR = (0, 158, 115)
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
"""Two bits of a UUID say of which kind it is: the hex digit that holds them, by the one that was there."""
_BATCH = 4096
_HEAD_BYTES = 16384
"""The first feature starts before: what the file says of itself is within."""
_LEVEL = 4
"""Of zlib: a quarter larger than 9 at a quarter of the time."""


def write_geojson(
    path: Path,
    case: Case,
    tissue: shapely.MultiPolygon | None,
    *,
    origin: Origin = "qupath",
    decisions: Sequence[Decision] = (),
    hot: shapely.MultiPolygon | None = None,
) -> str:
    """Publish a slide's objects for QuPath and return the file's sha256.

    Args:
        tissue: in level-0 px.
        origin: "qupath" counts px from the slide's bounds, as QuPath shows it; "level0" from the file's
            own corner. The file says which in its member `wsi_run`.
        decisions: what each person said last about the slide; their shapes come along.
        hot: what `merge_hot` says of the tiles, where it is known already.

    Raises:
        ValueError: the result says nothing of the slide's size, so nothing can be placed.
    """
    if case.result.scale is None:
        raise ValueError(f"{case.result.slide}: no scale, so no place for its objects")
    area = shown(case.result.scale, origin)
    features = chain(
        (drawn_object(case.result, shape) for shape in drawn_shapes(decisions, case.result, area)),
        _features(case, tissue, case.result.scale, area, hot),
    )
    return write_collection(path, about_file(case.result, area, origin), features)


def write_collection(path: Path, about: Mapping[str, object], features: Iterable[str]) -> str:
    """Publish features, JSON each, as one zipped collection and return the file's sha256."""
    squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)  # a gzip header without time or name
    with publishing(path) as part:
        with part.open("wb") as file:
            for text in _collection(about, features):
                file.write(squeeze.compress(text.encode("ascii")))
            file.write(squeeze.flush())
        return sha256_file(part)


def read_origin(path: Path) -> str:
    """Return the origin that a file of ours says its coordinates have; "qupath" when it says none."""
    try:
        with path.open("rb") as file:
            head = zlib.decompressobj(31).decompress(file.read(_HEAD_BYTES), _HEAD_BYTES)
    except (OSError, zlib.error):
        return "qupath"
    found = re.search(rb'"origin":"(qupath|level0)"', head)
    return found[1].decode() if found else "qupath"


def _collection(about: Mapping[str, object], features: Iterable[str]) -> Iterator[str]:
    yield f'{{"type":"FeatureCollection","wsi_run":{_json(about)},"features":[\n'
    separator = ""
    for text in features:
        yield separator + text
        separator = ",\n"
    yield "\n]}\n"


def about_file(result: Result, area: Bounds, origin: Origin) -> dict[str, object]:
    """Return what a file of objects says of itself."""
    return {
        "notice": RESEARCH_USE,
        "origin": origin,
        "origin_px0": [area.location.x, area.location.y],
        "slide": result.slide,
        "verdict": verdict(result),
        "refer": referral(result),
        "model": f"{result.provenance.model} {result.provenance.model_version}" if result.provenance else "",
        "model_sha256": model_hash(result),
    }


def _features(
    case: Case,
    tissue: shapely.MultiPolygon | None,
    scale: Scale,
    area: Bounds,
    merged: shapely.MultiPolygon | None,
) -> Iterator[str]:
    result = case.result
    px_mm2 = scale.mpp_x * scale.mpp_y / 1e6
    if tissue is not None and not (shape := clip(tissue, area)).is_empty:
        flaws = {f"Share of tissue: {name}": share for name, share in result.quality.items()}
        measurements = {"Area mm^2": shape.area * px_mm2, **flaws}
        yield annotation(result, "Tissue", shape, ("Tissue", TISSUE_COLOR), measurements)
    heat = heat_of(result)
    if case.scores is None or heat is None:
        return
    if heat.threshold is None:
        yield from tile_objects(result, case.scores, scale, area, Looks(heat.name, math.inf, None, None))
        return
    hot, cold = class_pair(result)
    regions = hot_regions(case.scores, scale, area, threshold=heat.threshold, merged=merged)
    for number, region in enumerate(regions, 1):
        yield annotation(result, f"{hot[0]} region {number}", region.shape, hot, _measured(region, hot, px_mm2))
    yield from tile_objects(result, case.scores, scale, area, Looks(f"P({hot[0]})", heat.threshold, hot, cold))


def _measured(region: HotRegion, hot: tuple[str, tuple[int, ...]], px_mm2: float) -> dict[str, float]:
    return {
        "Area mm^2": region.shape.area * px_mm2,
        "Tiles": region.tiles,
        f"Mean P({hot[0]})": region.score,
    }


def class_name(name: str) -> str:
    """Return a class name that QuPath reads as one class.

    "A: B" would be a class derived from A, whose color is random unless A came first; an empty name is refused.
    """
    return printable(name).replace(":", " -").strip() or "Unnamed"


def class_pair(result: Result) -> tuple[tuple[str, tuple[int, ...]], tuple[str, tuple[int, ...]] | None]:
    """Return the positive class with its color, and the other one when there are just two."""
    hot = next(c for c in result.classes if c.name == result.positive)
    others = [c for c in result.classes if c is not hot]
    cold = (class_name(others[0].name), tuple(others[0].color)) if len(others) == 1 else None
    return (class_name(hot.name), tuple(hot.color)), cold


def _classification(of: tuple[str, tuple[int, ...]]) -> dict[str, object]:
    return {"name": of[0], "color": list(of[1])}


def annotation(
    result: Result,
    name: str,
    shape: shapely.MultiPolygon,
    of: tuple[str, tuple[int, ...]],
    measurements: Mapping[str, float],
) -> str:
    """Return an annotation of a class (name, color) as a feature."""
    properties = {
        "objectType": "annotation",
        "name": f"{name} - research use only",
        "classification": _classification(of),
        "isLocked": True,
        "measurements": {key: round(v, 6) for key, v in measurements.items() if np.isfinite(v)},
        "metadata": {
            "notice": notice(result),
            "model_sha256": model_hash(result),
            "verdict": verdict(result),
            "refer": referral(result),
        },
    }
    place = f'"id":"{_uuid(_seed(result), name)}","geometry":{_geometry(shape)}'
    return f'{{"type":"Feature",{place},"properties":{_json(properties)}}}'


def drawn_object(result: Result, drawn: DrawnShape) -> str:
    """Return what a person drew as an annotation that can be edited."""
    properties = {
        "objectType": "annotation",
        "name": drawn.name,
        "classification": _classification((class_name(drawn.kind), drawn.color)),
        "isLocked": False,
        "metadata": {"notice": notice(result), "drawn by": drawn.who, "drawn at": drawn.when},
    }
    place = f'"id":"{_uuid(_seed(result), drawn.name)}","geometry":{_geometry(drawn.shape)}'
    return f'{{"type":"Feature",{place},"properties":{_json(properties)}}}'


def _geometry(shape: shapely.MultiPolygon) -> str:
    polygons = [_rings([polygon.exterior, *polygon.interiors]) for polygon in shape.geoms]
    if len(polygons) == 1:
        return f'{{"type":"Polygon","coordinates":{polygons[0]}}}'
    return f'{{"type":"MultiPolygon","coordinates":[{",".join(polygons)}]}}'


def _rings(rings: Iterable[shapely.LinearRing]) -> str:
    texts = [",".join(f"[{x:.10g},{y:.10g}]" for x, y in shapely.get_coordinates(r).tolist()) for r in rings]
    return "[" + ",".join(f"[{text}]" for text in texts) + "]"


@dataclass(frozen=True, slots=True)
class Looks:
    """How tiles are told: the name of their score, and the class at and above the threshold and below it, if any."""

    score: str
    threshold: float
    hot: tuple[str, tuple[int, ...]] | None
    cold: tuple[str, tuple[int, ...]] | None


def tile_objects(result: Result, scores: Scores, scale: Scale, area: Bounds, looks: Looks) -> Iterator[str]:
    """Yield the tiles, `_BATCH` at a time, clipped to the slide; those beyond it are left out."""
    kinds = [f'"classification":{_json(_classification(of))},' if of else "" for of in (looks.cold, looks.hot)]
    labels = [f"{_json(name)}:" for name in (looks.score, "Attention", "Attention percentile")]
    corners, kept = _rectangles(scores.coords, scale, area)
    columns = [scores.score, scores.attention, percentile(scores.attention)]
    values = np.stack(columns, axis=1).astype(np.float64)[kept]
    is_hot, coords = (scores.score >= looks.threshold)[kept], scores.coords[kept]
    seed, digits = _seed(result), ".6g" if looks.hot is None else ".4f"  # a value's unit may be small
    edges, places = np.unique(corners[kept], return_inverse=True)
    px, places = [f"{edge:.10g}" for edge in edges.tolist()], places.reshape(-1, 4)  # tiles in rows share most of them
    for start in range(0, len(values), _BATCH):
        batch = slice(start, start + _BATCH)
        rows = zip(
            *([px[place] for place in edge] for edge in places[batch].T.tolist()),
            *values[batch].T.tolist(),
            is_hot[batch].tolist(),
            *coords[batch].T.tolist(),
            strict=True,
        )
        yield ",\n".join(
            f'{{"type":"Feature","id":"{_uuid(seed, f"tile {x} {y}")}",'
            f'"geometry":{{"type":"Polygon","coordinates":'
            f"[[[{a},{b}],[{c},{b}],[{c},{d}],[{a},{d}],[{a},{b}]]]}},"
            f'"properties":{{"objectType":"tile",{kinds[is_tumor]}"isLocked":true,'
            f'"measurements":{{{labels[0]}{p:{digits}},{labels[1]}{weight:.6g},{labels[2]}{rank:.5g}}}}}}}'
            for a, b, c, d, p, weight, rank, is_tumor, x, y in rows
        )


def _rectangles(coords: NDArray[np.int32], scale: Scale, area: Bounds) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return left, top, right, bottom of each tile `(N, 4)` in the file's px, and which lie on the slide."""
    start = coords - np.array([area.location.x, area.location.y], np.float64)
    end = start + np.array([scale.tile_px0_x, scale.tile_px0_y])
    size = np.array([area.size.width, area.size.height], np.float64)
    corners = np.hstack([np.clip(start, 0, size), np.clip(end, 0, size)]).round(2)
    on_slide: NDArray[np.bool_] = np.all(corners[:, 2:] > corners[:, :2], axis=1)
    return corners, on_slide


def _seed(result: Result) -> bytes:
    return NAMESPACE + result.slide.encode(errors="surrogatepass") + b"\0"


def _uuid(seed: bytes, name: str) -> str:
    """Return a UUIDv5 (RFC 9562, 5.5): the same object has the same id on every run, so QuPath knows it again."""
    text = hashlib.sha1(seed + name.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
