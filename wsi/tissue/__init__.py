"""Where to look: polygons of the tissue on a slide, and how good it is."""

from wsi.tissue.annotations import drawn_tissue, find_annotation, read_annotations
from wsi.tissue.areas import Annotation
from wsi.tissue.detect import find_tissue
from wsi.tissue.files import Tissue, from_geojson, to_geojson
from wsi.tissue.focus import measure_blur
from wsi.tissue.thumbnail import Thumbnail, read_thumbnail

__all__ = [
    "Annotation",
    "Thumbnail",
    "Tissue",
    "drawn_tissue",
    "find_annotation",
    "find_tissue",
    "from_geojson",
    "measure_blur",
    "read_annotations",
    "read_thumbnail",
    "to_geojson",
]
