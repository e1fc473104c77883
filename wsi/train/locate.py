"""Where the bags lie: the OUT of a run, a folder of CLAM or TRIDENT, or one archive."""

import functools
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from wsi.encode import Features, read_features
from wsi.errors import ArtifactError, LabelsError
from wsi.publish import sha256_file
from wsi.results import Record

JOURNAL = "results.jsonl"


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
    """All bags of a features folder or archive; refused: slides without features, by name, and why; what: they are."""

    path: Path
    bags: tuple[BagFile, ...]
    refused: Mapping[str, str]
    what: str = "features file"


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
    for record in read_records(out / JOURNAL).values():
        path = out / "slides" / record.slide / "features.h5"
        if record.status in ("ok", "partial") and path.is_file():
            bags.append(BagFile(record.path, path, None, record.artifacts.get("features.h5", "")))
        else:
            refused[record.path] = record.code or record.status
    return bags, refused


def read_records(journal: Path) -> dict[str, Record]:
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


def open_archive(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays x, bag and (when there) y of an .npz.

    Raises:
        LabelsError: it isn't such an archive.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("x", "bag", "y") if name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise LabelsError(f"{path}: not a readable .npz ({error}); expected arrays x, bag and maybe y") from error
    x, bag = arrays.get("x"), arrays.get("bag")
    if x is None or bag is None or x.ndim != 2 or bag.shape != x.shape[:1] or bag.dtype.kind not in "iu":
        shapes = {name: array.shape for name, array in arrays.items()}
        raise LabelsError(f"{path}: holds {shapes}; expected x (tiles, D) and bag (tiles,) of whole numbers")
    return arrays


def _in_archive(path: Path) -> tuple[BagFile, ...]:
    bags = np.unique(open_archive(path)["bag"])
    return tuple(BagFile(str(number), path, int(number)) for number in bags)


def read_bag(file: BagFile) -> Features:
    """Read one slide's features.

    Raises:
        ArtifactError: damaged, or not the file that the run which made it recorded.
    """
    if file.bag is not None:
        return _from_archive(file)
    if file.sha256 and sha256_file(file.path) != file.sha256:
        raise ArtifactError(f"{file.path}: changed since it was written (its sha256 differs); encode the slide again")
    return read_features(file.path)


@functools.lru_cache(maxsize=1)
def _held_archive(path: Path, _size: int, _changed_ns: int) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of the archive last read: it is read whole for each of its bags else."""
    return open_archive(path)


def _from_archive(file: BagFile) -> Features:
    stamp = file.path.stat()
    arrays = _held_archive(file.path, stamp.st_size, stamp.st_mtime_ns)
    tiles = arrays["x"][arrays["bag"] == file.bag].astype(np.float32, copy=False)
    if not np.isfinite(tiles).all():
        raise ArtifactError(f"{file.path}: bag {file.bag} holds NaN or infinity; make the archive again")
    order = np.arange(len(tiles), dtype=np.int32)  # an archive has no places: the tiles stand in a row
    return Features(np.stack([order, np.zeros_like(order)], axis=1), tiles, {}, f"archive {file.path.name}", None)
