"""Where the shipped models and recipes lie, inside the wheel or beside `wsi/` in a checkout; and the user's folders."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped(kind: str) -> Path:
    """Return the folder `kind` ("models" or "configs") of this installation."""
    inside = _PACKAGE / "_data" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def home() -> Path:
    """Return the user's home folder; "/", as container tools have it, for a user whom the machine doesn't know."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def cache_folder() -> Path:
    """Return the folder of what can be made again: it may be deleted at any time, and may not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "wsi-run"
