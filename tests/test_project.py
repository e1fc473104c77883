"""The project's own files agree with each other and with the code."""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsi.cli.main import COMMANDS
from wsi.errors import ChildError, MppError, SlideError

CHECKOUT = Path(__file__).parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
SMALL_BYTES, WEIGHTS_BYTES = 50_000, 12 << 20
PYTHONS = ["3.11", "3.12", "3.13"]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def pins() -> dict[str, str]:
    """Return the versions of constraints.txt; fails on a line of any other form."""
    lines = [
        line for line in (CHECKOUT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    return {plain(name): version for name, version in (line.split("==") for line in lines)}


def floors() -> Iterator[tuple[str, str]]:
    """Yield every package that pyproject.toml asks for, with its floor."""
    groups = PROJECT["dependency-groups"]
    for line in [*PROJECT["project"]["dependencies"], *groups["test"], *groups["dev"]]:
        if isinstance(line, str):
            name, _, floor = line.partition(">=")
            yield plain(name), floor


def test_every_dependency_is_pinned_at_or_above_its_floor() -> None:
    tested = pins()
    for name, floor in floors():
        assert numbers(tested[name]) >= numbers(floor), name


def test_dependencies_have_floors_and_no_ceilings() -> None:
    wanted = PROJECT["project"]["dependencies"]
    assert [line for line in wanted if not re.fullmatch(r"[\w-]+>=[\d.]+", line)] == []


def test_pins_are_of_packages_that_any_platform_can_have() -> None:
    assert [name for name in pins() if name.startswith(("nvidia", "cuda", "triton"))] == []


def test_hooks_run_the_versions_that_the_check_runs() -> None:
    hooks = (CHECKOUT / ".pre-commit-config.yaml").read_text()
    found = re.search(r"ruff-pre-commit\s+rev: v([\d.]+)", hooks)
    assert found is not None
    assert found[1] == pins()["ruff"]


def test_pythons_are_the_same_everywhere() -> None:
    said = [line.rsplit(" ", 1)[1] for line in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", line)]
    workflow = (CHECKOUT / ".github" / "workflows" / "ci.yml").read_text()
    assert said == PYTHONS
    assert f"python: {PYTHONS}".replace("'", '"') in workflow
    assert f"from {PYTHONS[0]} to {PYTHONS[-1]}" in (CHECKOUT / "scripts" / "environment").read_text()
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in README


def test_readme_names_every_command() -> None:
    table = README.split("## Commands")[1].split("## ")[0]
    missing = [name for name in COMMANDS if not re.search(rf"`[^`]*\b{name}\b|\b{name} ", table)]
    assert missing == []


def test_readme_explains_every_code_that_a_slide_can_get() -> None:
    kinds = [one for root in (SlideError, MppError, ChildError) for one in root.__subclasses__() if one is not MppError]
    codes = {one.code for one in kinds if one.__module__ == "wsi.errors"}
    assert len(codes) >= 12
    assert [code for code in sorted(codes) if f"`{code}`" not in README] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/README.md"])
def test_links_of_documents_lead_somewhere(name: str) -> None:
    path = CHECKOUT / name
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def tracked() -> list[Path]:
    if not (CHECKOUT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := CHECKOUT / name).exists()]


def test_no_large_file_is_kept_but_weights() -> None:
    large = {path for path in tracked() if path.stat().st_size > SMALL_BYTES}
    weights = {path for path in large if path.suffix == ".safetensors" and CHECKOUT / "models" in path.parents}
    assert large - weights == set()
    assert all(path.stat().st_size <= WEIGHTS_BYTES for path in weights)


def test_commands_for_people_can_be_started() -> None:
    names = [CHECKOUT / "scripts" / name for name in ("demo", "check", "test")]
    assert all(os.access(path, os.X_OK) for path in names)
    for path in [*names, CHECKOUT / "scripts" / "environment"]:
        subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.parametrize("script", ["demo", "check", "test"])
def test_machine_without_python_is_told_what_to_install(script: str, tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "dirname", "cat", "rm", "cmp"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    ended = subprocess.run(
        [str(tmp_path / "bin" / "bash"), str(tmp_path / "scripts" / script)],
        cwd="/", env={"PATH": str(tmp_path / "bin")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "a Python from 3.11 to 3.13" in ended.stderr
    assert "PYTHON=/path/to/python3" in ended.stderr
    assert not (tmp_path / ".venv").exists()
