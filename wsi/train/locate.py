"""Where the bags lie, and which of them a name in a labels file means."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import ValidationError

from wsi.errors import LabelsError, did_you_mean
from wsi.results import Record

JOURNAL = "results.jsonl"
SUFFIXES = frozenset({
    ".h5", ".hdf5", ".npz", ".svs", ".tif", ".tiff", ".ome", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".czi",
    ".dcm", ".svslide", ".qptiff", ".isyntax", ".zarr", ".jpg", ".jpeg", ".png", ".bmp", ".jp2", ".nii", ".gz",
})  # fmt: skip
"""Ends of file names that say how a slide is stored, not which one it is."""
_UUID = re.compile(r"\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
"""What the Genomic Data Commons adds to a slide's name."""


@dataclass(frozen=True, slots=True)
class BagFile:
    """One slide's features: in a file of their own, or one bag of an archive.

    name: the slide's path as its maker knew it, or the bag's number. sha256: what the run that made the file
    recorded; "" where none did.
    """

    name: str
    path: Path
    bag: int | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Located:
    """All bags of a features folder or archive; refused: slides without features, by name, and why."""

    path: Path
    bags: tuple[BagFile, ...]
    refused: Mapping[str, str]


def locate(features: Path) -> Located:
    """Return the bags in `features`, in order of their names.

    It may be the OUT of a run (slides/<id>/features.h5 with results.jsonl), a folder of .h5 files as CLAM
    (h5_files/) and TRIDENT write them, or one .npz with `x` (tiles, D), `bag` (tiles,) and maybe `y` (bags,).

    Raises:
        LabelsError: nothing of the kind is there.
    """
    if features.suffix == ".npz" and features.is_file():
        return Located(features, _in_archive(features), {})
    if not features.is_dir():
        raise LabelsError(f"{features}: no such folder; expected the OUT of a run, a folder of .h5 files, or an .npz")
    bags, refused = _in_out(features) if (features / JOURNAL).is_file() else (_in_folder(features), {})
    if not bags:
        raise LabelsError(f"{features}: no features there; expected slides/<id>/features.h5, *.h5 or h5_files/*.h5")
    return Located(features, tuple(sorted(bags, key=lambda bag: bag.name)), refused)


def _in_out(out: Path) -> tuple[list[BagFile], dict[str, str]]:
    bags, refused = [], {}
    for record in _records(out / JOURNAL).values():
        path = out / "slides" / record.slide / "features.h5"
        if record.status in ("ok", "partial") and path.is_file():
            bags.append(BagFile(record.path, path, None, record.artifacts.get("features.h5", "")))
        else:
            refused[record.path] = record.code or record.status
    return bags, refused


def _records(journal: Path) -> dict[str, Record]:
    """Return the last record of each slide; lines that aren't records, or lead elsewhere, are passed over."""
    found: dict[str, Record] = {}
    with journal.open("rb") as file:
        for line in file:
            try:
                record = Record.model_validate_json(line)
            except ValidationError:
                continue
            if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", record.slide):
                found[record.slide] = record
    return found


def _in_folder(folder: Path) -> list[BagFile]:
    inner = folder / "h5_files"
    if not inner.is_dir() and (folder / "slides").is_dir():
        files = sorted((folder / "slides").glob("*/features.h5"))
        if files:
            return [BagFile(path.parent.name, path) for path in files]
    base = inner if inner.is_dir() else folder
    files = sorted(path for path in base.rglob("*.h5") if path.is_file() and not path.name.startswith("."))
    return [BagFile(path.relative_to(base).as_posix(), path) for path in files]


def open_archive(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays x, bag and (when there) y of an .npz.

    Raises:
        LabelsError: it isn't such an archive.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("x", "bag", "y") if name in archive.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise LabelsError(f"{path}: not a readable .npz ({error}); expected arrays x, bag and maybe y") from error
    x, bag = arrays.get("x"), arrays.get("bag")
    if x is None or bag is None or x.ndim != 2 or bag.shape != x.shape[:1] or bag.dtype.kind not in "iu":
        shapes = {name: array.shape for name, array in arrays.items()}
        raise LabelsError(f"{path}: holds {shapes}; expected x (tiles, D) and bag (tiles,) of whole numbers")
    return arrays


def _in_archive(path: Path) -> tuple[BagFile, ...]:
    bags = np.unique(open_archive(path)["bag"])
    return tuple(BagFile(str(number), path, int(number)) for number in bags)


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
