"""Heads by name: those of this room and those of plug-ins (entry points of the group wsi.heads)."""

from collections.abc import Mapping

from wsi.errors import UsageError, did_you_mean
from wsi.mil.clam import ClamMulti, ClamSingle
from wsi.mil.dsmil import DualStream
from wsi.mil.gated_attention import GatedAttention
from wsi.mil.head import Head, HeadSpec
from wsi.mil.max_pool import MaxPool
from wsi.mil.mean_pool import MeanPool
from wsi.mil.transmil import TransMil
from wsi.registry import load, plugins

HEADS: Mapping[str, type[Head]] = {
    "mean": MeanPool,
    "max": MaxPool,
    "gated-attention": GatedAttention,
    "clam-sb": ClamSingle,
    "clam-mb": ClamMulti,
    "dsmil": DualStream,
    "transmil": TransMil,
}
"""This room's heads by the name that a card gives."""
GROUP = "wsi.heads"


def head_type(name: str) -> type[Head]:
    """Return the class of a head's name; this room's own names win over a plug-in's.

    Raises:
        UsageError: no head of that name, or a plug-in that isn't a Head.
    """
    if name in HEADS:
        return HEADS[name]
    known = [*HEADS, *plugins(GROUP)]
    if name not in known:
        raise UsageError(f"no head is called {name!r}; known: {', '.join(known)}.{did_you_mean(name, known)}")
    found = load(GROUP, name)
    if not (isinstance(found, type) and issubclass(found, Head)):
        raise UsageError(f"{GROUP}: {name!r} names {found!r}, expected a subclass of wsi.mil.Head")
    return found


def make_head(spec: HeadSpec, dim: int) -> Head:
    """Return the head that `spec` tells, untrained, for features of width `dim`.

    Raises:
        UsageError: no head of that name, or it isn't for targets of the spec's kind.
    """
    return head_type(spec.aggregate)(spec, dim)
