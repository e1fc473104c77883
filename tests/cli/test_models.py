"""`wsi-run models` and `wsi-run doctor`: what is here, under which terms, and what is missing."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from wsi.engine import doctor

CHECKOUT = Path(__file__).parents[2]


def test_list_names_every_folder_of_the_catalog(run: Run) -> None:
    rows = [json.loads(line) for line in run("models", "list", "--json").stdout.splitlines()]
    listed = {(row["kind"], row["name"]) for row in rows if row["status"] != "plug-in"}
    models = {("model", path.parent.name) for path in (CHECKOUT / "models").glob("*/model.yaml")}
    encoders = {("encoder", path.parent.name) for path in (CHECKOUT / "models" / "encoders").glob("*/model.yaml")}
    assert listed == models | encoders
    assert all(row["licence"] and row["title"] for row in rows if row["status"] != "plug-in")


def test_list_for_people_says_the_same(run: Run) -> None:
    rows = [json.loads(line) for line in run("models", "list", "--json").stdout.splitlines()]
    lines = run("models", "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[row["kind"], row["name"]] for row in rows]


def test_shipped_encoder_is_ready(run: Run) -> None:
    ended = run("models", "check", "mobilenetv2-imagenet")
    assert ended.status == 0
    assert "Apache-2.0" in ended.stdout
    assert "weights.safetensors" in ended.stdout


@pytest.mark.parametrize("name", ["tumor", CHECKOUT / "models" / "tumor"], ids=["name", "folder"])
def test_shipped_model_is_ready(name: str | Path, run: Run) -> None:
    ended = run("models", "check", name)
    assert ended.status == 0
    assert ended.stdout.startswith("tumor 1: ")
    assert "research use only" in ended.stdout
    assert "selftest  reproduced on this machine" in ended.stdout


def test_folder_of_an_encoder_is_checked_like_its_name(run: Run) -> None:
    by_folder = run("models", "check", CHECKOUT / "models" / "encoders" / "mobilenetv2-imagenet")
    assert by_folder == run("models", "check", "mobilenetv2-imagenet")


def test_gated_encoder_says_what_to_do(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSI_MODELS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    ended = run("models", "check", "uni2-h")
    assert ended.status == 3
    assert "(gated)" in ended.stdout
    assert "next step" in ended.stdout


def test_doctor_asks_for_the_versions_that_the_package_asks_for() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    floors = dict(line.split(">=") for line in project["dependencies"])
    assert {name: ".".join(map(str, floor)) for name, floor in doctor.FLOORS.items()} == {
        name: floors[name] for name in doctor.FLOORS
    }


@pytest.mark.parametrize(
    ("version", "numbers"), [("2.14.1+cpu", (2, 14, 1)), ("4.0.1.2", (4, 0, 1, 2)), ("3.1.0rc1", (3, 1))]
)
def test_doctor_reads_versions(version: str, numbers: tuple[int, ...]) -> None:
    assert doctor._numbers(version) == numbers


def test_doctor_tells_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    old = doctor.Finding("torch", "2.9.0", False, 'needs 2.10 or later: pip install -U "torch>=2.10"')
    monkeypatch.setattr(doctor, "examine", lambda: [old, doctor.Finding("timm", "1.0.31", True)])
    ended = run("doctor")
    assert ended.status == 3
    assert "LOOK  torch" in ended.stdout
    assert 'pip install -U "torch>=2.10"' in ended.stdout
