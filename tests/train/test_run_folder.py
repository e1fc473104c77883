"""What a run leaves to be looked up: curves, and the trackers of those who have them."""

import sys
import types
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.train.drawn import draw_bags, two_classes
from tests.train.studies import cohort_of, config, study_of
from wsi.errors import UsageError
from wsi.train.checkpoint import Epoch
from wsi.train.crossval import FoldResult, run_folds
from wsi.train.curves import draw_curves
from wsi.train.figures import make_figures
from wsi.train.heldout import hold_out
from wsi.train.study import Study
from wsi.train.trackers import log_mlflow, write_tensorboard


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, list[FoldResult], Path]:
    folder = tmp_path_factory.mktemp("run")
    cases = two_classes(12)
    labels = ["yes" if label else "no" for label in cases.labels[:, 0]]
    cohort = cohort_of(folder / "cohort", cases.read, {"grade": labels}, target="grade")  # type: ignore[arg-type]
    study = study_of(cohort, config(fit={"epochs": 2}, splits={"folds": 2}))
    return study, run_folds(study, folder / "run"), folder / "run"


def test_curves_lie_in_the_frame_and_rise_with_the_loss() -> None:
    svg = draw_curves(
        {"a & b": [Epoch(0, 2.0, 1.5, 0.1), Epoch(1, 1.0, float("nan"), 0.1)], "c": [Epoch(0, 1.2, 1.1, 0.1)]}
    )
    root = ElementTree.fromstring(svg)
    names = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a & b" in names
    first = next(root.iter("{http://www.w3.org/2000/svg}polyline")).attrib["points"].split()
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in first)
    assert (x0, y0) == (48.0, 48.0)  # the largest loss is at the top
    assert (x1, y1) == (592.0, 312.0)


def test_curves_of_nothing_and_of_one_value_are_drawn() -> None:
    for folds in ({}, {"a": [Epoch(0, 1.0, 1.0, 0.1)]}):
        assert draw_curves(folds).startswith("<svg")


def test_tensorboard_is_written_once_where_it_is_installed(
    trained: tuple[Study, list[FoldResult], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            self.folder = Path(folder)
            self.folder.mkdir(parents=True)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((self.folder.name, name, value, step))

        def close(self) -> None:
            return None

    board = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    _, results, _ = trained
    assert write_tensorboard(tmp_path, results)
    assert write_tensorboard(tmp_path, results)
    losses = [value for folder, name, value, _ in told if (folder, name) == ("fold_1", "train_loss")]
    assert losses == [epoch.train_loss for epoch in results[0].trained.epochs]


def test_without_tensorboard_nothing_is_written(
    trained: tuple[Study, list[FoldResult], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert not write_tensorboard(tmp_path, trained[1])
    assert list(tmp_path.iterdir()) == []


def test_mlflow_gets_settings_figures_and_epochs(
    trained: tuple[Study, list[FoldResult], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, results, _ = trained
    (tmp_path / "metrics.csv").write_text("x")
    logged: dict[str, Any] = {"metrics": [], "files": []}

    class Run:
        def __enter__(self) -> None:
            return None

        def __exit__(self, *_: object) -> None:
            return None

    fake = types.SimpleNamespace(
        set_experiment=lambda name: logged.update(experiment=name),
        start_run=lambda run_name: Run(),
        log_params=lambda params: logged.update(params=params),
        log_metric=lambda name, value, step=0: logged["metrics"].append(name),
        log_artifact=lambda path: logged["files"].append(Path(path).name),
    )
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    log_mlflow(study, results, make_figures(study, hold_out(study, results)), tmp_path)
    assert logged["experiment"] == "grade"
    assert logged["params"]["fit.epochs"] == 2
    assert {"held-out cases/AUC", "fold 1/validation loss"} <= set(logged["metrics"])
    assert logged["files"] == ["metrics.csv"]


def test_real_tensorboard_holds_the_losses_of_each_epoch(
    trained: tuple[Study, list[FoldResult], Path], tmp_path: Path
) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _, results, _ = trained
    assert write_tensorboard(tmp_path, results)
    events = reading.EventAccumulator(str(tmp_path / "tensorboard" / "fold_1")).Reload()
    losses = [event.value for event in events.Scalars("train_loss")]
    assert losses == pytest.approx([epoch.train_loss for epoch in results[0].trained.epochs])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # MLflow's own, at its import
def test_real_mlflow_takes_all_figures_of_several_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'tracked.db'}")
    monkeypatch.chdir(tmp_path)
    mlflow = pytest.importorskip("mlflow")
    bags = draw_bags(np.arange(18.0) % 3, tiles=(2, 4))
    grades: list[object] = [["G1", "G2, high", "H&E's"][i % 3] for i in range(18)]
    cohort = cohort_of(tmp_path / "cohort", bags, {"grade": grades}, target="grade:multiclass")
    settings = config(fit={"epochs": 1}, splits={"scheme": "repeated-k-fold", "folds": 2, "repeats": 2})
    study = study_of(cohort, settings)
    results = run_folds(study, tmp_path / "run")
    lines = make_figures(study, hold_out(study, results))
    log_mlflow(study, results, lines, tmp_path / "run")
    (tracked,) = mlflow.search_runs(experiment_names=["grade"], output_format="list")
    told = {name: value for name, value in tracked.data.metrics.items() if "validation loss" not in name}
    assert len(told) == sum(line.figure.value is not None for line in lines)
    assert told["held-out cases/AUC macro one vs rest"] == lines[0].figure.value


def test_mlflow_that_is_not_installed_is_named(
    trained: tuple[Study, list[FoldResult], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError, match="pip install mlflow"):
        log_mlflow(trained[0], trained[1], [], tmp_path)
