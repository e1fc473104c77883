"""Objects for QuPath of a picture that was read whole: in the picture's own px, for QuPath opens plain pictures as well."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.export.drawn import drawn_shapes
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
from wsi.results import Decision, ImageFacts, Result, Scale, Scores, Structure


def write_image_geojson(
    path: Path,
    result: Result,
    scores: Scores | None,
    labels: NDArray[np.uint8] | None,
    *,
    decision: Decision | None = None,
) -> str:
    """Publish the structures and windows of a picture for QuPath; return the file's sha256.

    Args:
        scores: of its windows; None of a model that marks structures.
        labels: `(height, width)` of the picture as it was read; None of a model of bags.
        decision: what a person decided last about the picture; its shapes come along.
    """
    assert result.image is not None
    scale = scale_of_image(result.image)
    area = shown(scale)
    drawn = (drawn_object(result, shape) for shape in drawn_shapes(decision, result, area))
    features = chain(drawn, _features(result, scores, labels, scale))
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


def _features(result: Result, scores: Scores | None, labels: NDArray[np.uint8] | None, scale: Scale) -> Iterator[str]:
    if labels is not None:
        yield from _structures(result, labels, result.structures)
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
