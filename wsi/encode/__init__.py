"""Tiles to features. What is named here needs no torch; `wsi.encode.load.load_encoder` does."""

from wsi.encode.catalog import Entry, check, entries, plugin_names
from wsi.encode.features import Features, combine, read_features, require_same_encoder, write_features
from wsi.encode.identity import EncoderIdentity
from wsi.encode.sources import encoders_folder

__all__ = [
    "EncoderIdentity",
    "Entry",
    "Features",
    "check",
    "combine",
    "encoders_folder",
    "entries",
    "plugin_names",
    "read_features",
    "require_same_encoder",
    "write_features",
]
