"""wsi-run: whole slides in; grades, heatmaps and QuPath annotations out."""

__version__ = "0.1.0"
