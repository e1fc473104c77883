"""Models that say more than a class: a value, a survival curve, several labels, told in every file for people."""

import csv
import gzip
import json
from pathlib import Path

import pytest
import yaml

from tests.flow.conftest import Command
from tests.predict import any_head
from tests.traps import write_trap
from wsi.model_folder import encoder_card, find_folder

ENCODER = "mobilenetv2-imagenet"


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    write_trap(folder / "one.svs", side=1000, seed=4)
    return folder


def model(folder: Path, aggregate: str, kind: str) -> Path:
    card = encoder_card(find_folder(ENCODER, "encoder"))
    encoder = {"name": ENCODER, "sha256": card.weights.sha256}
    head = any_head.draw(any_head.spec_of(aggregate, kind), dim=card.dim)
    return any_head.write(folder, [head], kind, dim=card.dim, encoder=encoder)


@pytest.mark.parametrize(
    ("aggregate", "kind", "column", "told"),
    [
        ("transmil", "regression", "value", "Ki-67 index"),
        ("dsmil", "discrete-time", "S(12 months)", "risk of death within 24 months"),
        ("clam-mb", "multilabel", "P(BRAF)", "KRAS"),
    ],
)
def test_a_run_tells_what_the_model_says_in_every_file(
    command: Command, slide: Path, tmp_path: Path, aggregate: str, kind: str, column: str, told: str
) -> None:
    out = tmp_path / "OUT"
    ended = command(slide, "-o", out, "-m", model(tmp_path / "model", aggregate, kind), "-q")
    assert ended.status == 0, ended.stdout + ended.stderr
    (folder,) = (out / "slides").iterdir()
    result = json.loads((folder / "result.json").read_text())
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "ok"
    assert 0 <= float(row[column]) <= 1 or kind == "regression"
    assert told in (out / "report.html").read_text()
    assert (folder / "heatmap.png").stat().st_size > 0
    with gzip.open(folder / "one.geojson.gz", "rt") as file:
        objects = json.load(file)["features"]
    tiles = [one for one in objects if one["properties"]["objectType"] == "tile"]
    assert tiles
    if kind == "multilabel":
        assert (result["value"], result["survival"]) == (None, None)
        assert result["grade"] == (" + ".join(result["labels"]) or "none")
        return
    assert (result["grade"], result["positive"], result["classes"]) == (None, None, [])
    assert result["value"]["name"] in tiles[0]["properties"]["measurements"] or kind == "regression"
    assert not any("classification" in one["properties"] for one in tiles)
    assert float(row["value"]) == pytest.approx(result["value"]["value"], rel=1e-5)
    if kind == "discrete-time":
        assert result["survival"]["times"] == any_head.TIMES
        assert float(row["S(24 months)"]) == pytest.approx(1 - result["value"]["value"], abs=1e-6)
    assert yaml.safe_load((out / "run.yaml").read_text())["model"]["id"] == "tiny"
