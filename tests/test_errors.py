"""The tree of errors: what is drawn is what is there, and codes are for programs to rely on."""

import re
from collections.abc import Iterator

import pytest

from wsi import errors
from wsi.errors import ConfigError, UsageError, WsiError, did_you_mean, from_code

GROUPS = {"SlideError", "MppError", "ChildError"}
"""Never raised themselves, so the tree shows no code."""


def classes(root: type[WsiError] = WsiError) -> Iterator[type[WsiError]]:
    """Yield the errors of wsi/errors.py; those that other tests define are left out."""
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from classes(child)


def drawn() -> dict[str, tuple[str, str]]:
    """Return what the tree at the top of errors.py shows: name -> (parent, code; "" where none is drawn)."""
    tree: dict[str, tuple[str, str]] = {}
    above: list[str] = ["WsiError"]
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^([│ ├└─]*)(?:── )(\w+) +(E_\w+)?", line):
            depth = len(found[1] + "── ") // 4
            above = [*above[:depth], found[2]]
            tree[found[2]] = (above[depth - 1], found[3] or "")
    return tree


def test_drawn_tree_is_the_real_one() -> None:
    real = {one.__name__: (one.__bases__[0].__name__, one.code) for one in classes()}
    shown = drawn()
    assert {name: parent for name, (parent, _) in shown.items()} == {name: parent for name, (parent, _) in real.items()}
    assert {name: code for name, (_, code) in shown.items() if code} == {
        name: code for name, (_, code) in real.items() if name not in GROUPS
    }


@pytest.mark.parametrize("error", [*classes()], ids=lambda error: error.__name__)
def test_every_error_is_a_fitting_builtin_too(error: type[WsiError]) -> None:
    assert issubclass(error, ValueError | OSError | RuntimeError)


@pytest.mark.parametrize("error", [*classes()], ids=lambda error: error.__name__)
def test_error_crosses_a_process_by_code_and_message(error: type[WsiError]) -> None:
    rebuilt = from_code(error.code, "what happened")
    assert type(rebuilt) is error
    assert str(rebuilt) == "what happened"


def test_codes_are_unique_and_of_one_form() -> None:
    codes = [one.code for one in classes()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"E_[A-Z]+(_[A-Z]+)*", code) for code in codes)


def test_unknown_code_is_an_error_of_the_tool() -> None:
    assert type(from_code("E_NEVER_HEARD", "x")) is WsiError


def test_config_error_ends_like_a_usage_error() -> None:
    assert issubclass(ConfigError, UsageError)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tumr", " Did you mean 'tumor'?"),
        ("feature", " Did you mean 'features'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_near_names_are_offered(name: str, told: str) -> None:
    assert did_you_mean(name, ["tumor", "features", "openslide"]) == told


def test_two_near_names_are_offered_at_most() -> None:
    assert did_you_mean("uni", ["uni2", "uni3", "uni4", "uni5"]).count("'") == 4
