"""Objects for QuPath of a picture that was read whole: in the picture's own px, for QuPath opens plain pictures as well."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from wsi.export.colors import HEAT
from wsi.export.drawn import drawn_shapes
from wsi.export.explained_regions import FROM, explained_regions, outline
from wsi.export.explanation import OUTSIDE
from wsi.export.geojson import (
    Looks,
    about_file,
    annotation,
    class_name,
    class_pair,
    drawn_object,
    tile_objects,
    write_collection,
)
from wsi.export.heat import heat_of
from wsi.export.place import shown
from wsi.export.words import quantity_name
from wsi.geometry import Bounds
from wsi.printable import printable
from wsi.results import Decision, ImageFacts, Result, Scale, Scores, Structure

SEEN_COLOR = (128, 128, 128)
FOR_COLOR, AGAINST_COLOR = (tuple(HEAT[end].tolist()) for end in (-1, 0))


def write_image_geojson(
    path: Path,
    result: Result,
    scores: Scores | None,
    labels: NDArray[np.uint8] | None,
    *,
    explanation: NDArray[np.uint8] | None = None,
    decisions: Sequence[Decision] = (),
) -> str:
    """Publish the structures, or the verdict with what spoke for it, of a picture for QuPath; return the file's sha256.

    Args:
        scores: of its windows; None of a model that marks structures.
        labels: `(height, width)` of the picture as it was read; None of a model of bags.
        explanation: as `read_explanation` returns it.
        decisions: what each person said last about the picture; their shapes come along.
    """
    assert result.image is not None
    scale = scale_of_image(result.image)
    area = shown(scale)
    drawn = (drawn_object(result, shape) for shape in drawn_shapes(decisions, result, area))
    marked = _graded(result, explanation, area) if labels is None else _structures(result, labels, result.structures)
    features = chain(drawn, marked, _windows(result, scores, scale))
    return write_collection(path, about_file(result, area, "qupath"), features)


def scale_of_image(image: ImageFacts) -> Scale:
    """Return how a picture's windows lie on it; it has no µm, so a px counts as one."""
    height, width = image.shape
    side = image.window or [float(height), float(width)]
    return Scale(
        width=width,
        height=height,
        bounds=[0, 0, width, height],
        mpp_x=1.0,
        mpp_y=1.0,
        mpp_source="none",
        tile_px=round(side[1]),
        tile_mpp=1.0,
        tile_px0_x=side[1],
        tile_px0_y=side[0],
        stride_px0_x=side[1],
        stride_px0_y=side[0],
    )


def _graded(result: Result, explanation: NDArray[np.uint8] | None, area: Bounds) -> Iterator[str]:
    """Yield what was looked at, with the verdict as measurements, and where the explanation is strong.

    None of them is of the class that was graded: that is said of the picture, not of a place in it.
    """
    seen = None if explanation is None else explanation != OUTSIDE
    is_part = seen is not None and not seen.all()
    whole = shapely.MultiPolygon([shapely.box(0, 0, area.size.width, area.size.height)])
    shape, kind = (outline(seen, area), "Field of view") if seen is not None and is_part else (whole, "Picture")
    yield annotation(result, kind, shape, (kind, SEEN_COLOR), _measured(result))
    if explanation is None or result.image is None:
        return
    spoken = printable(result.image.explained)
    for number, one in enumerate(explained_regions(explanation, area), 1):
        side, color = ("for", FOR_COLOR) if one.is_for else ("against", AGAINST_COLOR)
        told = {"Mean share of the strongest": one.strength, "Outlined from": FROM, "Area px^2": one.shape.area}
        name = f"Explanation {number}: spoke {side} {spoken}"
        yield annotation(result, name, one.shape, (f"Explanation - {side}", color), told)


def _measured(result: Result) -> dict[str, float]:
    """Return all that a model of bags says of a picture, by name."""
    told = {f"P({printable(one.name)})": one.probability for one in result.classes}
    if result.value is not None:
        told[quantity_name(result.value)] = result.value.value
    for also in result.also:
        told |= {f"{printable(also.title)} - P({printable(one.name)})": one.probability for one in also.classes}
    return told


def _windows(result: Result, scores: Scores | None, scale: Scale) -> Iterator[str]:
    heat = heat_of(result)
    if scores is None or heat is None or len(scores.coords) < 2:
        return
    looks = Looks(heat.name, math.inf, None, None)
    if heat.threshold is not None:
        hot, cold = class_pair(result)
        looks = Looks(f"P({hot[0]})", heat.threshold, hot, cold)
    yield from tile_objects(result, scores, scale, shown(scale), looks)


def _structures(result: Result, labels: NDArray[np.uint8], structures: Sequence[Structure]) -> Iterator[str]:
    from wsi.tissue.shapes import mask_polygons  # loads scipy, which the report has no use for

    for label, one in enumerate(structures, 1):
        shape = mask_polygons(labels == label)
        if not shape.is_empty:
            measured = {"Area px^2": float(one.samples), f"Amount ({one.told_unit})": one.amount}
            yield annotation(result, one.name, shape, (class_name(one.name), tuple(one.color)), measured)
