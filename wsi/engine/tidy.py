"""Remove what this tool wrote, and nothing that anybody else put beside it."""

import contextlib
from collections.abc import Collection
from pathlib import Path

from wsi.engine.book import BOOK
from wsi.errors import LockedError
from wsi.export import objects_name
from wsi.locks import LOCK, lock
from wsi.publish import sweep
from wsi.results import ARTIFACTS


def remove_own(folder: Path, path: str, *, keep: Collection[str] = ()) -> None:
    """Remove the files that a run writes for the slide at `path`, but for those named in `keep`.

    Files by other names are somebody else's and stay. A folder behind a link isn't touched: who knows whose it is.
    """
    if folder.is_symlink():
        return
    for name in {*ARTIFACTS, BOOK, objects_name(path)}.difference(keep):
        if (folder / name).is_file():
            (folder / name).unlink()


def remove_slide(folder: Path, path: str) -> bool:
    """Remove a slide's folder, unless another run works on it; return whether the slide is gone.

    With somebody else's files in it the folder itself stays.
    """
    try:
        with lock(folder):
            sweep(folder)
            remove_own(folder, path)
            (folder / LOCK).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
    except LockedError:
        return False
    return True
