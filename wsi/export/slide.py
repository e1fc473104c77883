"""All files for people in one slide's folder."""

import re
from collections.abc import Sequence

import shapely

from wsi.config import ExportConfig
from wsi.export import geojson, picture, tiff
from wsi.export.heat import heat_of
from wsi.export.regions import merge_hot
from wsi.results import Case, Decision

_MAX_STEM = 80


def export_slide(case: Case, config: ExportConfig, *, decisions: Sequence[Decision] = ()) -> dict[str, str]:
    """Write the heatmaps and the objects for QuPath into the slide's folder; return their sha256 by file name.

    A slide without a verdict gets its tissue only; one without a scale, on which nothing can be placed, nothing.

    Args:
        decisions: what each person said last about the slide; the shapes that they drew come along.

    Raises:
        ArtifactError: a file that these are made from is missing or damaged.
    """
    result, scores = case.result, case.scores
    if result.scale is None:
        return {}
    name, polygons, heat, hot = objects_name(result.path), _tissue(case), heat_of(result), None
    if scores is not None and heat is not None and heat.threshold is not None:
        hot = merge_hot(scores, result.scale, threshold=heat.threshold)
    path = case.folder / name
    made = {name: geojson.write_geojson(path, case, polygons, origin=config.origin, decisions=decisions, hot=hot)}
    if scores is not None and len(scores.coords) and heat is not None:
        path = case.folder / tiff.NAME
        made[tiff.NAME] = tiff.write_heatmap_tiff(path, result, scores, origin=config.origin)
        drawn = picture.compose(case, scores, polygons, longest_px=config.heatmap_px, hot=hot)
        made[picture.NAME] = picture.write_heatmap_png(case, drawn)
    return made


def _tissue(case: Case) -> shapely.MultiPolygon | None:
    from wsi.tissue.files import from_geojson  # loads scipy, which the report has no use for

    return from_geojson(case.tissue.read_bytes()).polygons if case.tissue.is_file() else None


def objects_name(path: str) -> str:
    """Return the name of a slide's file of objects: the slide's own, safe on every file system.

    `--tissue FOLDER` knows a slide's polygons by this name.
    """
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", path.rsplit("/", 1)[-1])
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-")[:_MAX_STEM]
    return (safe or "slide") + geojson.SUFFIX
