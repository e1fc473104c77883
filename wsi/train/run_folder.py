"""The folder of a training run: everything that a person or a program looks up afterwards."""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsi.config import as_yaml
from wsi.errors import ArtifactError
from wsi.publish import publish
from wsi.train.briefing import Briefing
from wsi.train.cohort import Cohort
from wsi.train.crossval import FoldResult
from wsi.train.curves import draw_curves
from wsi.train.figures import Line
from wsi.train.heldout import HeldOut
from wsi.train.seal import Splits, read_splits, write_splits
from wsi.train.settings import TrainConfig
from wsi.train.study import Study

CONFIG, SPLITS, BRIEFING = "config.yaml", "splits.json", "briefing.md"
METRICS, CURVES, PREDICTIONS, FIGURES = "metrics.csv", "curves.svg", "predictions.csv", "figures.json"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """config.yaml, splits.json, briefing.md; folds/ with checkpoints; then metrics.csv, curves.svg, predictions.csv, figures.json."""

    path: Path

    def begin(self, config: TrainConfig, cohort: Cohort, splits: Splits, briefing: Briefing) -> None:
        """Write what is known before the first step; a folder that has it already must say the same.

        Raises:
            ArtifactError: the folder holds a run of other cases, folds or settings.
        """
        told = f"# wsi-run train, target {', '.join(target.name for target in cohort.targets)}\n{as_yaml(config)}"
        at = self.path / CONFIG
        if at.exists() and at.read_text(encoding="utf-8") != told:
            raise ArtifactError(f"{at}: a run of other settings is here; give another --run, or remove this folder")
        if (self.path / SPLITS).exists():
            if read_splits(self.path / SPLITS, cohort).digest != splits.digest:
                raise ArtifactError(
                    f"{self.path / SPLITS}: other folds are here; give another --run, or remove this folder"
                )
        else:
            write_splits(self.path / SPLITS, cohort, splits)
        publish(at, told.encode())
        publish(self.path / BRIEFING, briefing.markdown().encode())

    def finish(self, study: Study, results: Sequence[FoldResult], held: HeldOut, lines: Sequence[Line]) -> None:
        """Write what came out; the same study gives the same bytes."""
        publish(self.path / METRICS, _table(_metrics(results)))
        publish(self.path / CURVES, draw_curves({one.fold.name: one.trained.epochs for one in results}).encode())
        publish(self.path / PREDICTIONS, _table(_predictions(study, held)))
        told = {"data": study.data_digest, "splits": study.splits.digest, "figures": [_figure(line) for line in lines]}
        publish(self.path / FIGURES, (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode())


def _table(rows: Iterator[dict[str, Any]]) -> bytes:
    """Return a CSV; the columns are the first row's."""
    made = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(made[0]) if made else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(made)
    return text.getvalue().encode()


def _metrics(results: Sequence[FoldResult]) -> Iterator[dict[str, Any]]:
    for one in results:
        for epoch in one.trained.epochs:
            yield {
                "fold": one.fold.name,
                "epoch": epoch.number + 1,
                "train_loss": _number(epoch.train_loss),
                "validation_loss": _number(epoch.validation_loss),
                "learning_rate": _number(epoch.learning_rate),
                "kept": int(epoch.number == one.trained.best.number),
            }


def _predictions(study: Study, held: HeldOut) -> Iterator[dict[str, Any]]:
    """Yield a row a case that was tested: its truth, and what heads that never saw it say."""
    names = _columns(study, held.raw.shape[1])
    for row, place in enumerate(held.places.tolist()):
        case, target = study.cohort.cases[place], study.target
        called = int(held.called[row])
        yield {
            "case": case.id,
            "patient": case.patient,
            "site": case.site or "",
            "fold": held.folds[row],
            **{f"true {column}": _plain(case.targets[column]) for column in target.columns},
            **{name: _number(value) for name, value in zip(names, held.calibrated[row].tolist(), strict=True)},
            **{
                f"uncalibrated {name}": _number(value)
                for name, value in zip(names, held.raw[row].tolist(), strict=True)
            },
            **{
                f"baseline {name}": _number(value)
                for name, value in zip(names, held.baseline[row].tolist(), strict=True)
            },
            "called": target.classes[called] if called >= 0 else "",
            "referred": int(held.referred[row]),
        }


def _columns(study: Study, width: int) -> list[str]:
    if study.target.kind == "regression":
        return [study.target.name]
    if study.target.kind == "survival":
        ends = [f"until {edge:g}" for edge in study.task.edges]
        return [f"survival {end}" for end in [*ends, "the end"]] if ends else ["log hazard"]
    return [f"p {name}" for name in study.target.classes][:width]


def _plain(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:g}"


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""


def _figure(line: Line) -> dict[str, Any]:
    figure = line.figure
    return {
        "over": line.over,
        "name": figure.name,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n": figure.n,
        "count": figure.count,
        "patients": figure.patients,
        "method": figure.method,
        "reason": figure.reason,
        "of_model": line.of_model,
    }
