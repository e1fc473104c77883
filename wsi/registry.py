"""Find the readers, encoders, heads and exporters that installed packages offer by entry point."""

import sys
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points

from wsi.errors import UsageError, did_you_mean


def plugins(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of `group` (wsi.readers, wsi.encoders, …) by name, none loaded yet."""
    return {point.name: point for point in sorted(_installed(group, tuple(sys.path)), key=lambda p: p.name)}


@cache
def _installed(group: str, _path: tuple[str, ...]) -> EntryPoints:
    """Return a group's entry points; all packages are looked through once for each sys.path."""
    return entry_points(group=group)


def load(group: str, name: str) -> object:
    """Import and return what the entry point `name` of `group` names.

    Raises:
        UsageError: no installed package offers that name, or what it names can't be imported.
    """
    found = plugins(group)
    if name not in found:
        known = ", ".join(found) or "none"
        raise UsageError(f"{group}: {name!r} is not installed; found {known}.{did_you_mean(name, found)}")
    point = found[name]
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else "its package"
        raise UsageError(
            f"{group}: {name!r} names {point.value}, which can't be imported ({error}); install {package} again"
        ) from error
