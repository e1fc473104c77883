"""Which slide a name in a labels file means: tolerant of folder and suffix, never guessing between two."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from wsi.errors import did_you_mean
from wsi.train.locate import BagFile

SUFFIXES = frozenset({
    ".h5", ".hdf5", ".npz", ".svs", ".tif", ".tiff", ".ome", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".czi",
    ".dcm", ".svslide", ".qptiff", ".isyntax", ".zarr", ".jpg", ".jpeg", ".png", ".bmp", ".jp2", ".nii", ".gz",
})  # fmt: skip
"""Ends of file names that say how a slide is stored, not which one it is."""
_UUID = re.compile(r"\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
"""What the Genomic Data Commons adds to a slide's name."""


def stem(name: str) -> str:
    """Return a slide's name without its folder and the ends that say how it is stored."""
    last = PurePosixPath(name.replace("\\", "/")).name
    while (end := PurePosixPath(last).suffix.lower()) in SUFFIXES:
        last = last[: -len(end)]
    return last


def _keys(name: str) -> tuple[str, ...]:
    """Return what a name may be known by, the strictest first."""
    path = unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))
    last = PurePosixPath(path).name
    bare = stem(path)
    folder = path[: -len(last)]
    return (path, folder + bare, last, bare, bare.casefold(), _UUID.sub("", bare).casefold())


class Names:
    """Finds the one bag that a name in a labels file means."""

    def __init__(self, bags: Iterable[BagFile]) -> None:
        self._by_key: list[dict[str, list[BagFile]]] = []
        for bag in bags:
            for tier, key in enumerate(_keys(bag.name)):
                if len(self._by_key) <= tier:
                    self._by_key.append(defaultdict(list))
                self._by_key[tier][key].append(bag)

    def find(self, name: str) -> list[BagFile]:
        """Return the bags that the strictest reading of `name` fits: none, one, or several that can't be told apart."""
        for keys, key in zip(self._by_key, _keys(name), strict=False):
            if key in keys:
                return keys[key]
        return []

    def hint(self, name: str) -> str:
        """Return the known names near to an unknown one, as part of a message."""
        return did_you_mean(stem(name), self._by_key[3]) if self._by_key else ""
