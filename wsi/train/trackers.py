"""Where else a run is written for those who have the tools: TensorBoard's event files, MLflow's tracking server."""

import importlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wsi.errors import UsageError
from wsi.train.crossval import FoldResult
from wsi.train.figures import Line
from wsi.train.study import Study

TENSORBOARD = "tensorboard"


def write_tensorboard(folder: Path, results: Sequence[FoldResult]) -> bool:
    """Write event files of all epochs in tensorboard/<fold>; return whether TensorBoard is installed."""
    try:
        board: Any = importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        return False
    for one in results:
        at = folder / TENSORBOARD / one.fold.name.replace(", ", "-").replace(" ", "_")
        if at.exists():
            continue  # a rerun adds nothing
        writer = board.SummaryWriter(str(at))
        for epoch in one.trained.epochs:
            for name in ("train_loss", "validation_loss", "learning_rate"):
                value = getattr(epoch, name)
                if math.isfinite(value):
                    writer.add_scalar(name, value, epoch.number + 1)
        writer.close()
    return True


def log_mlflow(study: Study, results: Sequence[FoldResult], lines: Sequence[Line], folder: Path) -> None:
    """Log settings, figures, epochs and the run's files to the MLflow that the environment names.

    Raises:
        UsageError: MLflow isn't installed.
    """
    try:
        mlflow: Any = importlib.import_module("mlflow")
    except ImportError as error:
        raise UsageError("--mlflow: MLflow isn't installed; pip install mlflow, or leave it out") from error
    mlflow.set_experiment(study.target.name)
    with mlflow.start_run(run_name=folder.name):
        mlflow.log_params(
            {"data": study.data_digest, "splits": study.splits.digest, **_flat(study.config.model_dump())}
        )
        for one in results:
            for epoch in one.trained.epochs:
                if math.isfinite(epoch.validation_loss):
                    name = _metric(f"{one.fold.name}/validation loss")
                    mlflow.log_metric(name, epoch.validation_loss, step=epoch.number + 1)
        for line in lines:
            if line.figure.value is not None:
                mlflow.log_metric(_metric(f"{line.over}/{line.figure.name}"), line.figure.value)
        for path in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
            mlflow.log_artifact(str(path))


def _metric(name: str) -> str:
    """Return a name without the signs that MLflow refuses."""
    return re.sub(r"[^\w .:/-]", "", name)


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found
