"""`wsi-run shortcuts` on drawn pictures, and on a drawn model."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.predict import any_head
from tests.train.make_cohort import write_csv, write_h5
from tests.train.make_pictures import pictures_folder, with_border

LABELS = [at % 2 for at in range(40)]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    rows = [{"image": f"i{at}.png", "patient": f"p{at}", "label": "ab"[label]} for at, label in enumerate(LABELS)]
    return write_csv(tmp_path / "labels.csv", rows)


def test_shortcut_is_told_and_strict_ends_with_3(run: Run, labels: Path, tmp_path: Path) -> None:
    folder = pictures_folder(tmp_path / "p", LABELS, with_border)
    ended = run("shortcuts", labels, folder, "-t", "label", "--strict", "--markdown", tmp_path / "r.md")
    assert ended.status == 3
    assert "border color alone tells label" in ended.stdout
    assert "| border color | label | AUC" in (tmp_path / "r.md").read_text()
    assert run("shortcuts", labels, folder, "-t", "label").status == 0


def test_json_is_a_line_a_figure(run: Run, labels: Path, tmp_path: Path) -> None:
    folder = pictures_folder(tmp_path / "p", LABELS, with_border)
    rows = [json.loads(line) for line in run("shortcuts", labels, folder, "-t", "label", "--json").stdout.splitlines()]
    assert {row["trait"]: row["warns"] for row in rows}["border color"] is True
    assert {row["n"] for row in rows} == {40}


def test_misfit_is_a_usage_error(run: Run, labels: Path, tmp_path: Path) -> None:
    folder = pictures_folder(tmp_path / "p", LABELS[:-1], with_border)
    ended = run("shortcuts", labels, folder, "-t", "label")
    assert ended.status == 2
    assert "E_LABELS" in ended.stderr
    assert "no picture of 'i39.png'" in ended.stderr


def test_model_is_tried_without_its_evidence(run: Run, labels: Path, tmp_path: Path) -> None:
    head = any_head.draw(any_head.spec_of("gated-attention", "binary"), dim=8)
    model = any_head.write(tmp_path / "model", [head], "binary", dim=8)
    rng = np.random.default_rng(0)
    for at, label in enumerate(LABELS):
        write_h5(tmp_path / "f" / f"i{at}.h5", (rng.normal(size=(12, 8)) + label).astype(np.float32))
    ended = run("shortcuts", labels, tmp_path / "f", "-t", "label", "-m", model)
    assert ended.status == 0, ended.stderr
    for what in ("as it is", "without its top 90% of tiles", "with all tiles drawn from other bags"):
        assert f"  {what} " in ended.stdout
