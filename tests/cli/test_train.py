"""`wsi-run train` in this process: what it asks for, shows, writes and goes on from."""

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.train.drawn import two_classes
from tests.train.studies import write_cohort
from wsi.cli.picture_training import picture_config
from wsi.cli.settings import schema_of
from wsi.config import as_yaml, read_yaml
from wsi.errors import UsageError
from wsi.predict.model import load_model
from wsi.train.settings import TrainConfig

CHECKOUT = Path(__file__).parents[2]
QUICK = ("--folds", "2", "--epochs", "2", "-q")


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[Path, Path]:
    cases = two_classes(16, strength=5.0)
    return write_cohort(tmp_path, cases.read, {"grade": ["yes" if label else "no" for label in cases.labels[:, 0]]})  # type: ignore[arg-type]


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_labels_and_features_become_a_model_folder_and_a_run_folder(
    run: Run, cohort: tuple[Path, Path], tmp_path: Path
) -> None:
    labels, features = cohort
    out, folder = tmp_path / "model", tmp_path / "run"
    asked = ("train", labels, "--features", features, "--target", "grade", "-o", out, "--run", folder, *QUICK)
    ended = run(*asked)
    assert ended.status == 0, ended.stderr
    assert "held-out cases: AUC " in ended.stdout
    assert "baseline: mean pooling" in ended.stdout
    assert "Research use only" in ended.stdout
    assert load_model(out).card.id == "model"
    made = files_of(folder)
    assert {
        "config.yaml",
        "splits.json",
        "briefing.md",
        "metrics.csv",
        "curves.svg",
        "predictions.csv",
        "figures.json",
    } <= set(made)
    rows = list(csv.DictReader(made["predictions.csv"].decode().splitlines()))
    assert len(rows) == 16
    assert {"case", "patient", "fold", "true grade", "p yes", "baseline p yes", "called", "referred"} <= set(rows[0])
    assert len(list(csv.DictReader(made["metrics.csv"].decode().splitlines()))) == 4  # 2 folds, 2 epochs
    assert made["curves.svg"].startswith(b"<svg")
    assert json.loads(made["figures.json"])["figures"][0]["name"] == "AUC"

    before = {**files_of(out), **made}
    assert run(*asked).status == 0
    assert {**files_of(out), **files_of(folder)} == before


def test_dry_run_tells_the_cohort_and_the_plan_and_writes_nothing(
    run: Run, cohort: tuple[Path, Path], tmp_path: Path
) -> None:
    labels, features = cohort
    before = files_of(tmp_path)
    ended = run("train", labels, "--features", features, "--target", "grade", "-o", tmp_path / "m", "--dry-run")
    assert ended.status == 0
    assert "Would train 5 folds (k-fold) of 16 cases for grade (binary)" in ended.stdout
    assert "Model folder: " in ended.stdout
    assert files_of(tmp_path) == before


def test_other_settings_in_the_same_run_folder_are_refused(run: Run, cohort: tuple[Path, Path], tmp_path: Path) -> None:
    labels, features = cohort
    asked = ("train", labels, "--features", features, "--target", "grade", "--run", tmp_path / "run", *QUICK)
    assert run(*asked).status == 0
    ended = run(*asked, "--seed", "4")
    assert ended.status == 3
    assert "give another --run" in ended.stderr


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--kind", "binari"), "--kind"),
        (("--folds", "1"), "--folds"),
        (("--head", "clam"), "clam-sb"),
        (("--head", "clam-mb", "--kind", "ordinal"), "clam-mb"),
        (
            ("--target", "grade:ordinal", "--kind", "binary"),
            "--kind binary: --target grade:ordinal makes grade another",
        ),
        (("--bins", "4"), "time bins are for survival"),
        (("--target", "grad"), "grade"),
        (("--patient", "pat"), "patient"),
    ],
)
def test_wrong_option_is_named_before_anything_is_trained(
    wrong: tuple[str, ...], told: str, run: Run, cohort: tuple[Path, Path], tmp_path: Path
) -> None:
    labels, features = cohort
    ended = run("train", labels, "--features", features, "--target", "grade", "--run", tmp_path / "run", *wrong)
    assert ended.status == 2, ended.stderr
    assert told in ended.stderr
    assert not (tmp_path / "run").exists()


def test_neither_or_both_of_features_and_slides_are_refused(
    run: Run, cohort: tuple[Path, Path], tmp_path: Path
) -> None:
    labels, features = cohort
    for asked in ((), ("--features", features, "--slides", tmp_path)):
        ended = run("train", labels, "--target", "grade", *asked)
        assert ended.status == 2
        assert "--features" in ended.stderr


def test_slides_need_an_encoder_named(run: Run, cohort: tuple[Path, Path], tmp_path: Path) -> None:
    labels, _ = cohort
    for more in ((), ("--dry-run",)):
        ended = run("train", labels, "--slides", tmp_path, "--target", "grade", "--run", tmp_path / "run", *more)
        assert ended.status == 2
        assert "--encoder" in ended.stderr


def test_shipped_settings_are_the_defaults() -> None:
    path = CHECKOUT / "configs" / "train.yaml"
    assert schema_of(path) is TrainConfig
    assert read_yaml(path, TrainConfig) == TrainConfig()


def test_printed_settings_are_read_back(run: Run, tmp_path: Path) -> None:
    for words in (("init", "train"), ("show", "train")):
        printed = run("config", *words).stdout
        (tmp_path / "my.yaml").write_text(printed)
        assert read_yaml(tmp_path / "my.yaml", TrainConfig) == TrainConfig()
        assert run("config", "validate", tmp_path / "my.yaml").status == 0
    assert as_yaml(TrainConfig()) == printed


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"train": "all"}, "fit: .*hidden: only over an encoder that stays as it is"),
        ({"epochs": 0}, r"fit\.epochs: "),
        ({"batch": 0}, r"fit\.batch: "),
        ({"learning_rate": -1.0}, r"fit\.learning_rate: "),
    ],
)
def test_option_that_no_picture_settings_can_have_is_refused(option: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        picture_config({"config": Path("skin"), **option})
