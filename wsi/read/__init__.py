"""From a file to an open slide: levels, scale, bounds and px. One module a backend."""

import logging

from wsi.read.find import Rejected, SlideFile, find_slides
from wsi.read.modality import check_brightfield
from wsi.read.opening import READERS, open_slide
from wsi.read.scale import MppTable, agrees_with_table, read_mpp_table, resolve_mpp
from wsi.read.source import Framed, Reader, Remembering, Shrinking, Source

# What tifffile finds wrong with a file is told by our errors; its own log names files and quotes their text.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
# Pillow's DEBUG lines quote the texts that a picture carries: a name, a date, a place.
logging.getLogger("PIL").setLevel(logging.INFO)

__all__ = [
    "READERS",
    "Framed",
    "MppTable",
    "Reader",
    "Rejected",
    "Remembering",
    "Shrinking",
    "SlideFile",
    "Source",
    "agrees_with_table",
    "check_brightfield",
    "find_slides",
    "open_slide",
    "read_mpp_table",
    "resolve_mpp",
]
