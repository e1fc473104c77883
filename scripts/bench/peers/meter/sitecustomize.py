"""Tell what imports cost, in every process that starts with this folder on its PYTHONPATH.

Python runs a module of this name as it starts. Each outermost import appends its CPU seconds to the file that the
environment's IMPORT_METER names, at once, as a process may be killed; imports of several threads are told apart.
"""

import _frozen_importlib as importing
import os
import threading
import time
from types import ModuleType
from typing import Any


class Depth(threading.local):
    """Whether this thread is inside of an import."""

    inside = False


def meter(into: str) -> None:
    """Wrap what `import` and importlib call for a module that isn't loaded yet."""
    load: Any = importing._find_and_load  # type: ignore[attr-defined]
    depth = Depth()

    def measured(name: str, import_: Any) -> ModuleType:
        if depth.inside:
            return load(name, import_)  # type: ignore[no-any-return]
        depth.inside, started = True, time.thread_time()
        try:
            return load(name, import_)  # type: ignore[no-any-return]
        finally:
            depth.inside, took = False, time.thread_time() - started
            with open(into, "a") as file:
                file.write(f"{took:.6f} {os.getpid()} {name}\n")

    importing._find_and_load = measured  # type: ignore[attr-defined]


if into := os.environ.get("IMPORT_METER"):
    meter(into)
