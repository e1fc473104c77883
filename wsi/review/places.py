"""Where the slides of OUT lie on this machine: as its QuPath project has it, or beside one that it has."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from wsi.export.project import FOLDER, ID_KEY
from wsi.read import SlideFile, find_slides
from wsi.results import Record


def slide_places(out: Path, records: Mapping[str, Record]) -> dict[str, Path]:
    """Return the files of the slides with these records, by id, as far as OUT tells them.

    Refused slides aren't in the project: the folder that was run is told by where the others lie, and the path below it
    by the record.
    """
    known = _in_project(out)
    roots = {root for slide, path in known.items() if slide in records and (root := _root(path, records[slide].path))}
    others = {slide: Path(record.path) for slide, record in records.items() if slide not in known}
    below = {slide: path for slide, path in others.items() if not path.is_absolute() and ".." not in path.parts}
    places = ((slide, root / path) for slide, path in below.items() for root in sorted(roots))
    # os.path's answer for a folder that may not be looked into is no; pathlib's is an error.
    return known | {slide: path for slide, path in places if os.path.isfile(path)}  # noqa: PTH113


def _root(path: Path, relative: str) -> Path | None:
    """Return the folder that was run, by a slide's file and its path below that folder; None where they don't agree."""
    parts = Path(relative).parts
    agrees = tuple(normalize("NFC", part) for part in path.parts[-len(parts) :]) == parts
    return Path(*path.parts[: -len(parts)]) if agrees and len(parts) < len(path.parts) else None


def _in_project(out: Path) -> dict[str, Path]:
    """Return the files of slides by id; a project that isn't there or is damaged knows none."""
    try:
        images = json.loads((out / FOLDER / "project.qpproj").read_bytes())["images"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    found = {}
    for image in images if isinstance(images, list) else ():
        try:
            slide, address = image["metadata"][ID_KEY], urlsplit(image["serverBuilder"]["uri"])
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if isinstance(slide, str) and address.scheme == "file" and not address.netloc:
            found[slide] = Path(unquote(address.path))
    return found


def slides_below(root: Path, records: Mapping[str, Record]) -> dict[str, Path]:
    """Return the files below `root` of the slides with these records, by id: same relative path, same content.

    A slide whose file is another one by now has another id, and isn't shown under the old results.
    """
    found = {slide.id: slide.path for slide in find_slides(root) if isinstance(slide, SlideFile)}
    return {slide: found[slide] for slide in records if slide in found}
