"""Plug-ins of a package that is installed as far as Python can tell: a module and its dist-info on the path."""

import sys
from pathlib import Path

import pytest

from wsi import registry
from wsi.errors import UsageError

MODULE = "wsi_test_plugin_of_registry"
ENTRY_POINTS = f"""[wsi.readers]
zeta = {MODULE}:Reader
alpha = {MODULE}:Reader

[wsi.encoders]
broken = {MODULE}:no_such_name
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / f"{MODULE}.py").write_text("class Reader:\n    kind = 'from a package'\n")
    info = tmp_path / f"{MODULE}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {MODULE}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return MODULE


def test_plugins_of_a_group_are_found_by_name(installed: str) -> None:
    found = registry.plugins("wsi.readers")
    assert [name for name in found if name in ("alpha", "zeta")] == ["alpha", "zeta"]
    assert "broken" not in found


def test_finding_plugins_imports_none(installed: str) -> None:
    registry.plugins("wsi.readers")
    assert installed not in sys.modules


def test_loading_one_imports_it(installed: str) -> None:
    reader = registry.load("wsi.readers", "alpha")
    assert getattr(reader, "kind", None) == "from a package"
    assert installed in sys.modules


def test_wrong_name_offers_the_near_one(installed: str) -> None:
    with pytest.raises(UsageError, match=r"'alfa' is not installed; found .*alpha.* Did you mean 'alpha'\?"):
        registry.load("wsi.readers", "alfa")


def test_a_group_without_plugins_is_empty() -> None:
    assert registry.plugins("wsi.no_such_group") == {}
    with pytest.raises(UsageError, match="found none"):
        registry.load("wsi.no_such_group", "x")


def test_a_plugin_that_cant_be_imported_is_named(installed: str) -> None:
    with pytest.raises(UsageError, match=rf"'broken' .*{MODULE}"):
        registry.load("wsi.encoders", "broken")
