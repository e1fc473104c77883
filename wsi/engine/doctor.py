"""What this tool needs of a machine, checked one by one."""

import importlib.metadata
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wsi.engine.child import Child
from wsi.errors import WsiError
from wsi.model_folder import CARD
from wsi.resources import cores, shipped

FLOORS = {
    "openslide-python": (1, 4),
    "openslide-bin": (4, 0, 1),
    "tiffslide": (3, 0),
    "torch": (2, 10),
    "timm": (1, 0, 20),
    "h5py": (3, 11),
    "shapely": (2, 1),
    "pydicom": (3, 0, 2),
    "pydantic": (2, 7),
}
"""Oldest versions that work and have no known hole in what they decode, as pyproject.toml has them."""
MIN_FREE_GB = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    found: str
    good: bool
    next_step: str = ""


def examine() -> list[Finding]:
    """Look at everything; takes a few seconds, uses no network."""
    return [*_versions(), _openslide_library(), _child(), *_models(), _disk(), _accelerator()]


def _versions() -> Iterator[Finding]:
    for name, floor in FLOORS.items():
        least = ".".join(map(str, floor))
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "not installed", False, f'pip install "{name}>={least}"')
            continue
        yield Finding(
            name, found, _numbers(found) >= floor, f'needs {least} or later: pip install -U "{name}>={least}"'
        )


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _openslide_library() -> Finding:
    try:
        import openslide
    except (ImportError, OSError) as error:
        return Finding("OpenSlide library", str(error), False, "pip install -U openslide-bin")
    found = openslide.__library_version__
    good = _numbers(found) >= (4, 0, 0)
    return Finding("OpenSlide library", found, good, "an older one on the system is used: pip install -U openslide-bin")


def _child() -> Finding:
    child = Child("wsi.engine.reader")
    try:
        child.send({"do": "hello"})
        child.receive(60.0)
        return Finding("decoder process", "answers", True)
    except WsiError as error:
        return Finding("decoder process", str(error), False, "run with WSI_DEBUG=1 to see what it says")
    finally:
        child.stop()


def _models() -> Iterator[Finding]:
    for path in sorted(shipped("models").glob(f"*/{CARD}")):
        name = path.parent.name
        try:
            from wsi.predict.mask_model import check_model

            check_model(name)
            yield Finding(f"model {name}", "loads, selftest reproduced", True)
        except (WsiError, ImportError, OSError) as error:
            yield Finding(f"model {name}", str(error), False, "install the package again")


def _disk() -> Finding:
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free / 1e9
    return Finding("free disk", f"{free:.1f} GB in {folder}", free >= MIN_FREE_GB, "free some space")


def _accelerator() -> Finding:
    try:
        from wsi.encode.device import find_device
    except (ImportError, OSError) as error:
        return Finding("device", str(error), False, "install the package again: torch can't be loaded")
    if (device := find_device("auto")).type != "cpu":
        return Finding("device", f"{device.type}, found by torch", True)
    return Finding("device", f"cpu, {cores()} cores (no GPU found; large encoders will be slow)", True)
