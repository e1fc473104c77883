"""Where shipped models and recipes are looked for, and what a process may have of the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wsi import resources


def test_checkout_gives_its_own_folders() -> None:
    checkout = Path(__file__).parents[1]
    assert resources.shipped("models") == checkout / "models"
    assert resources.shipped("configs") == checkout / "configs"


def test_user_without_a_home_folder_has_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> str:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    assert resources.home() == Path("/")


def test_installed_package_gives_the_data_inside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "wsi"
    (package / "_data" / "models").mkdir(parents=True)
    (package.parent / "models").mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.shipped("models") == package / "_data" / "models", "another package's models/ must not be taken"


@pytest.mark.parametrize(
    ("told", "expected"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("", 8), (None, 8)]
)
def test_no_more_cores_are_used_than_a_container_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(resources, "QUOTA", tmp_path / "cpu.max")
    if told is not None:
        resources.QUOTA.write_text(told)
    assert resources.cores() == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can be told to hold memory")
def test_memory_that_is_held_does_not_come_page_by_page_again() -> None:
    script = """
import sys, resource
from wsi.resources import hold_memory
if sys.argv[1] == "held":
    hold_memory()
for turn in range(12):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    layers = [bytearray(20 << 20) for _ in range(3)]
    del layers
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

    def pages(way: str) -> int:
        command = [sys.executable, "-c", script, way]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    held, plain = pages("held"), pages("plain")
    if plain < 10 * 1000:
        pytest.skip("this C library holds memory by itself")
    assert held < plain / 10
