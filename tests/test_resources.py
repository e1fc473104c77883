"""Where shipped models and recipes are looked for."""

import os
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
