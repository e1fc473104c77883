"""From slides to a model and back: encode, train, and run the model on the slides, each as a user does it."""

import csv
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.encode.tiny import save, tiny_vit, with_random_weights
from tests.flow.conftest import Command
from tests.traps import write_trap
from wsi.publish import sha256_file

Tree = Callable[[Path], dict[str, str]]
SETTINGS = "data:\n  duplicates: report\nfit:\n  patience: 0\n"
"""An encoder of random weights sees all drawn slides as one: they are told as copies, and not taken as one patient."""


def write_encoder(folder: Path) -> Path:
    """Write an encoder's folder with a tiny ViT."""
    folder.mkdir(parents=True)
    weights = save(with_random_weights(tiny_vit()), folder / "weights.safetensors")
    card = {
        "kind": "encoder",
        "id": "tiny",
        "title": "A tiny ViT",
        "licence": {"weights": "CC0-1.0"},
        "architecture": tiny_vit().model_dump(),
        "weights": {"file": weights.name, "sha256": sha256_file(weights)},
        "input": {"tile_px": 32, "mpp": 4.0},
        "transform": {"mean": [0.5, 0.4, 0.6], "std": [0.2, 0.3, 0.25]},
        "pooling": "cls",
        "dim": 32,
    }
    (folder / "model.yaml").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder, six slides and their labels."""
    home = tmp_path_factory.mktemp("cohort")
    write_encoder(home / "tiny")
    rows = [["slide", "patient", "grade"]]
    for n in range(6):
        write_trap(home / "slides" / f"s{n}.svs", side=1000, mpp=0.5, seed=n)
        rows.append([f"s{n}.svs", f"p{n}", ("low", "high")[n % 2]])
    (home / "train.yaml").write_text(SETTINGS)
    with (home / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return home


@pytest.fixture(scope="module")
def trained(command: Command, cohort: Path) -> Path:
    """A folder with a model, and the run that made it from slides."""
    home = cohort / "trained"
    asked = ("train", cohort / "labels.csv", "--slides", cohort / "slides", "--encoder", cohort / "tiny")
    quick = ("-c", cohort / "train.yaml", "--folds", "2", "--epochs", "3", "-q")
    ended = command(*asked, "--target", "grade", "-o", home / "model", "--run", home / "run", *quick)
    assert ended.status == 0, ended.stdout + ended.stderr
    return home


@pytest.mark.slow
def test_slides_and_labels_become_a_model_that_runs_at_once(
    command: Command, cohort: Path, trained: Path, tmp_path: Path
) -> None:
    model = trained / "model"
    assert (trained / "run" / "features" / "results.jsonl").is_file()
    card = (model / "model.yaml").read_text()
    told = command(cohort / "slides", "-o", tmp_path / "OUT", "-m", model, "--encoder", cohort / "tiny", "-q")
    assert told.status == 0, told.stdout + told.stderr + card
    with (tmp_path / "OUT" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {row["status"] for row in rows} == {"ok"}


@pytest.mark.slow
def test_killed_training_goes_on_to_the_same_bytes(
    command: Command, cohort: Path, trained: Path, tmp_path: Path, tree: Tree
) -> None:
    features = trained / "run" / "features"
    asked = ("train", cohort / "labels.csv", "--features", features, "--target", "grade", "--folds", "2", "-q")
    long = ("--epochs", "40", "-c", cohort / "train.yaml")
    started = time.monotonic()
    assert command(*asked, *long, "-o", tmp_path / "a" / "model", "--run", tmp_path / "whole").status == 0
    whole_s = time.monotonic() - started
    process = command.start(*asked, *long, "-o", tmp_path / "b" / "model", "--run", tmp_path / "cut")
    time.sleep(0.8 * whole_s)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert command(*asked, *long, "-o", tmp_path / "b" / "model", "--run", tmp_path / "cut").status == 0
    assert tree(tmp_path / "a" / "model") == tree(tmp_path / "b" / "model")
    whole, cut = (
        {
            name: digest for name, digest in tree(tmp_path / run).items() if not name.startswith("tensorboard/")
        }  # told by the clock
        for run in ("whole", "cut")
    )
    assert whole == cut
