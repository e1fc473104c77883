"""timm without torch's compiler and the hub's client, which take two of its three seconds to load.

timm and torchvision name two functions of the compiler where they define networks, and call neither unless a network is
compiled. Both are deferred here while timm loads; whatever else they ask of the compiler, they get the compiler itself.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

__all__ = ["SwiGLUPacked", "timm"]

COMPILER, HUB = "torch._dynamo", "huggingface_hub"


class _Deferred(ModuleType):
    """A module that knows some functions, and loads the one that it stands for when it is asked for anything else."""

    def __init__(self, name: str, **known: object) -> None:
        super().__init__(name)
        self.__dict__.update(known)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _forget()
        return getattr(importlib.import_module(self.__name__), name)


def _forget() -> None:
    for name in (COMPILER, f"{COMPILER}.utils"):
        if isinstance(sys.modules.get(name), _Deferred):
            del sys.modules[name]


def _disable(function: Callable[..., Any], *_: object, **__: object) -> Callable[..., Any]:
    """Leave a function as it is: only what is compiled needs to know of it, and timm's networks aren't here."""
    return function


def _is_compile_supported(device_type: str) -> bool:
    return bool(importlib.import_module(f"{COMPILER}.utils").is_compile_supported(device_type))


@contextlib.contextmanager
def _deferred() -> Iterator[None]:
    """Put stand-ins where the compiler and the hub's client aren't loaded yet, and take them away."""
    hub_is_absent = HUB not in sys.modules
    if hub_is_absent:
        sys.modules[HUB] = None  # type: ignore[assignment]  # there is no such package, says this to an import
    if COMPILER not in sys.modules:
        utils = _Deferred(f"{COMPILER}.utils", is_compile_supported=_is_compile_supported)
        sys.modules[utils.__name__] = utils
        sys.modules[COMPILER] = _Deferred(COMPILER, utils=utils, disable=_disable)
    try:
        yield
    finally:
        _forget()
        if hub_is_absent:
            del sys.modules[HUB]


with _deferred():
    import timm
    from timm.layers.mlp import SwiGLUPacked
