"""Where the slides of OUT lie on this machine: as its QuPath project has it."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from wsi.export.project import FOLDER, ID_KEY
from wsi.read import SlideFile, find_slides
from wsi.results import Record


def slide_places(out: Path) -> dict[str, Path]:
    """Return the files of the slides by id; a project that isn't there or is damaged knows none."""
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
