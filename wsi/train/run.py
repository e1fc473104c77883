"""A whole training run: labels and features in; a run folder and, when asked for, a model folder out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wsi.publish import sweep
from wsi.train.briefing import Briefing, brief
from wsi.train.checkpoint import Epoch
from wsi.train.crossval import run_folds
from wsi.train.figures import Line, make_figures
from wsi.train.final import make_final
from wsi.train.folder import encoded_with, write_model
from wsi.train.gather import read_cohort
from wsi.train.heldout import hold_out
from wsi.train.model_size import check_members
from wsi.train.run_folder import RunFolder
from wsi.train.settings import TrainConfig
from wsi.train.split_files import splits_from_file
from wsi.train.study import Study, make_study, plan_splits
from wsi.train.trackers import log_mlflow, write_tensorboard


class Watcher(Protocol):
    """Told what a run is at."""

    def epoch(self, part: str, epoch: Epoch) -> None:
        """One epoch of a part (a fold, a refit) is done."""
        ...

    def trial(self, part: str, trial: int, loss: float) -> None:
        """One trial of a fold's search is done."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What is trained on what: labels (None: the archive's own), features, the target as `parse_wanted` reads it."""

    labels: Path | None
    features: Path
    target: str
    folds_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that was checked and not begun."""

    study: Study
    briefing: Briefing


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run came to; tensorboard: whether its event files were written."""

    study: Study
    lines: Sequence[Line]
    tensorboard: bool


def plan(asked: Asked, config: TrainConfig, *, with_model: bool) -> Planned:
    """Read and check everything; nothing is trained or written.

    Raises:
        LabelsError, LeakError, ArtifactError, EncoderMismatchError: see `read_cohort`.
        UsageError: settings that don't fit the target, or (`with_model`) features that don't tell their encoder
            or heads that no model folder can have.
    """
    columns = config.data
    cohort = read_cohort(
        asked.labels,
        asked.features,
        targets=[asked.target],
        patient=columns.patient,
        slide=columns.slide,
        site=columns.site,
        bag=columns.bag,
        absent=columns.absent,
        duplicates=columns.duplicates,
    )
    splits = plan_splits(cohort, config) if asked.folds_file is None else splits_from_file(asked.folds_file, cohort)
    study = make_study(cohort, splits, config, target=cohort.targets[0].name)
    if with_model:
        encoded_with(study)
        check_members(study)
    return Planned(study, brief(cohort, splits))


def train(
    planned: Planned, folder: Path, *, out: Path | None, watch: Watcher | None = None, mlflow: bool = False
) -> Finished:
    """Train what was planned, or go on with it; the holder of the folder's lock calls it.

    Args:
        folder: of the run. out: model folder; None makes none.

    Raises:
        ArtifactError: the folder holds another run.
    """
    study, run = planned.study, RunFolder(folder)
    sweep_all(folder)
    run.begin(study.config, study.cohort, study.splits, planned.briefing)
    told, searched = (None, None) if watch is None else (watch.epoch, watch.trial)
    results = run_folds(study, folder, watch=told, watch_search=searched)
    held = hold_out(study, results)
    lines = make_figures(study, held)
    run.finish(study, results, held, lines)
    board = write_tensorboard(folder, results)
    if out is not None:
        write_model(study, make_final(study, results, folder, watch=told), held, lines, out)
    if mlflow:
        log_mlflow(study, results, lines, folder)
    return Finished(study, lines, board)


def sweep_all(folder: Path) -> None:
    """Remove temporary files that a killed run left in its folder."""
    for inside in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sweep(inside)
