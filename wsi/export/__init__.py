"""Results as files for people and for other tools: heatmaps, QuPath's objects and project, table and report."""

from wsi.export.project import known_places
from wsi.export.run import export_run
from wsi.export.slide import export_slide, objects_name

__all__ = ["export_run", "export_slide", "known_places", "objects_name"]
