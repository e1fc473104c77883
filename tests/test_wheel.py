"""What is shipped: sdist, wheel out of the sdist, and the command as it is installed from the wheel."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parents[1]
BUILT_FROM = ("wsi", "models", "configs", "tests", "scripts", "docs", ".gitignore", "pyproject.toml", "constraints.txt")
MAX_WHEEL_BYTES = 24 << 20
"""Weights of one encoder and one model, with room; more would be data that slipped in."""


def copy_checkout(target: Path) -> Path:
    """Copy what a build reads to `target`, without caches."""
    target.mkdir()
    for name in (*BUILT_FROM, *(path.name for path in CHECKOUT.glob("*.md")), "LICENSE", "NOTICE"):
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".tmp-*"))
        else:
            shutil.copy(CHECKOUT / name, target / name)
    return target


def build_wheel(checkout: Path, into: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from the unpacked sdist; return both."""
    _hatch("sdist", checkout, into)
    sdist = next(into.glob("*.tar.gz"))
    with tarfile.open(sdist) as archive:
        archive.extractall(into / "unpacked", filter="data")
    _hatch("wheel", next((into / "unpacked").iterdir()), into)
    return sdist, next(into.glob("*.whl"))


def _hatch(kind: str, checkout: Path, into: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(into)]
    ended = subprocess.run(build, cwd=checkout, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def missing_from(wheel: Path, checkout: Path) -> list[str]:
    """Return the files of models/ and configs/, and the code, that the checkout has and the wheel lacks."""
    wanted = {
        f"wsi/_data/{path.relative_to(checkout).as_posix()}"
        for folder in ("models", "configs")
        for path in (checkout / folder).rglob("*")
        if path.is_file()
    }
    wanted |= {path.relative_to(checkout).as_posix() for path in (checkout / "wsi").rglob("*") if path.is_file()}
    return sorted(name for name in wanted - names_in(wheel) if "__pycache__" not in name)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("build")
    return build_wheel(copy_checkout(base / "checkout"), base)


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the wheel into; its dependencies are the environment's."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-warn-script-location", "--target", str(target), str(built[1])], check=True)
    return target


@pytest.fixture(scope="module")
def command(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The installed wsi-run, started in a folder that holds nothing."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    environment = {**os.environ, "PYTHONPATH": str(installed), "HOME": str(elsewhere), "OMP_NUM_THREADS": "1"}

    def run(*arguments: str) -> str:
        started = [sys.executable, str(installed / "bin" / "wsi-run"), *arguments]
        ended = subprocess.run(started, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run


def test_wheel_holds_all_code_models_and_recipes(built: tuple[Path, Path]) -> None:
    assert missing_from(built[1], CHECKOUT) == []
    assert "wsi/_data/models/encoders/mobilenetv2-imagenet/weights.safetensors" in names_in(built[1])
    assert "wsi/_data/models/tumor/weights.safetensors" in names_in(built[1])
    assert "wsi/py.typed" in names_in(built[1])


def test_wheel_holds_nothing_else(built: tuple[Path, Path]) -> None:
    tops = {name.split("/")[0] for name in names_in(built[1])}
    assert tops == {"wsi", next(top for top in tops if top.endswith(".dist-info"))}
    assert not [name for name in names_in(built[1]) if name.endswith((".pyc", ".svs", ".tiff", ".h5"))]
    assert built[1].stat().st_size < MAX_WHEEL_BYTES


def test_license_and_notice_travel_with_the_wheel(built: tuple[Path, Path]) -> None:
    names = {name.split("/", 1)[1] for name in names_in(built[1]) if ".dist-info/" in name}
    assert {"licenses/LICENSE", "licenses/NOTICE"} <= names


def test_sdist_can_run_its_own_tests(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"tests/make.py", "scripts/check", "constraints.txt", "README.md", "models/tumor/model.yaml"} <= names


@pytest.mark.parametrize("pattern", ["*.safetensors", "/models/tumor/"])
def test_ignored_weights_turn_the_check_red(pattern: str, tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    with (checkout / ".gitignore").open("a") as file:
        file.write(f"{pattern}\n")
    assert missing_from(build_wheel(checkout, tmp_path)[1], checkout) != []


def test_installed_command_lists_shipped_models(command: Callable[..., str], installed: Path) -> None:
    listed = command("models", "list")
    assert "mobilenetv2-imagenet" in listed
    assert any(line.split()[:3] == ["model", "tumor", "ready"] for line in listed.splitlines())
    assert str(installed) in command("models", "check", "mobilenetv2-imagenet")


def test_installed_command_shows_a_recipe(command: Callable[..., str]) -> None:
    assert 'model: "tumor"' in command("config", "show", "tumor")


def test_installed_command_finds_nothing_wrong(command: Callable[..., str]) -> None:
    lines = command("doctor").splitlines()
    assert any("model tumor" in line and "selftest reproduced" in line for line in lines), lines
    assert any("decoder process" in line and "answers" in line for line in lines), lines
