"""What `wsi-run train` does: settings, encoding where asked for, the run under a lock, and what it shows."""

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from wsi.cli.options import put
from wsi.cli.progress import REDRAW_S, plain
from wsi.cli.settings import find_config
from wsi.config import read_yaml
from wsi.errors import UsageError
from wsi.locks import lock
from wsi.train.checkpoint import Epoch
from wsi.train.run import Asked, Finished, Planned, plan, train
from wsi.train.settings import TrainConfig

_KEYS = {
    "seed": ("seed",),
    "patient": ("data", "patient"),
    "slide": ("data", "slide"),
    "site": ("data", "site"),
    "bag": ("data", "bag"),
    "kind": ("target", "kind"),
    "bins": ("target", "bins"),
    "head": ("head", "aggregate"),
    "background": ("linear", "background"),
    "epochs": ("fit", "epochs"),
    "learning_rate": ("fit", "learning_rate"),
    "device": ("fit", "device"),
    "scheme": ("splits", "scheme"),
    "folds": ("splits", "folds"),
    "repeats": ("splits", "repeats"),
    "search": ("search", "trials"),
    "final": ("model", "final"),
    "encoder": ("model", "encoder"),
}


def run_training(given: dict[str, Any], folder: Path) -> int:
    """Train as the options say and return the exit code."""
    config = train_config(given)
    name, _, told = given["target"].partition(":")
    if given["kind"] not in (None, told.partition(":")[0] or given["kind"]):
        raise UsageError(f"--kind {given['kind']}: --target {given['target']} makes {name} another kind; leave one out")
    if (given["features"] is None) == (given["slides"] is None):
        raise UsageError("give --features (from `wsi-run encode`), or --slides and --encoder to encode first")
    if given["slides"] is not None and given["dry_run"]:
        return _encode(given, folder / "features")
    if given["slides"] is not None:
        _encode(given, folder / "features")
    features = given["features"] or folder / "features"
    asked = Asked(given["labels"], features, target_of(given["target"], config), given["folds_file"])
    planned = plan(asked, config, with_model=given["out"] is not None)
    if given["dry_run"]:
        click.echo(str(planned.briefing), nl=False)
        click.echo("\n" + told_plan(planned, given["out"], folder))
        return 0
    bar: Progress | None = None if given["quiet"] else Progress(planned)
    with lock(folder, wait=False):
        finished = train(planned, folder, out=given["out"], watch=bar, mlflow=given["mlflow"])
    if bar is not None:
        bar.end()
    show(finished, planned, folder, given["out"])
    return 0


def train_config(given: dict[str, Any]) -> TrainConfig:
    """Return the settings file's settings with the options over them; UsageError or ConfigError for a wrong one."""
    base = read_yaml(find_config(given["config"]), TrainConfig) if given["config"] is not None else TrainConfig()
    merged = base.model_dump()
    for name, keys in _KEYS.items():
        if (value := given.get(name)) is not None:
            put(merged, keys, value)
    try:
        return TrainConfig.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        place = tuple(map(str, first["loc"]))
        option = next((name for name, keys in _KEYS.items() if keys == place), None)
        said = f"--{option.replace('_', '-')}" if option else ".".join(place)
        raise UsageError(f"{said}: {first['msg']}; found {first['input']!r}") from error


def target_of(text: str, config: TrainConfig) -> str:
    """Return the target with the kind of the settings, where it doesn't tell its own."""
    return text if ":" in text or config.target.kind is None else f"{text}:{config.target.kind}"


def _encode(given: dict[str, Any], out: Path) -> int:
    """Encode the slides into `out`, or show what would be; goes on where it stopped. Returns the exit code."""
    from wsi.cli.over_slides import over_slides

    if given["encoder"] is None:
        raise UsageError("--slides: name an --encoder (see `wsi-run models list`)")
    asked = {name: given[name] for name in ("slides", "encoder", "device", "dry_run", "quiet")}
    return over_slides("encode", {**asked, "out": out, "config": None, "as_json": False})


def told_plan(planned: Planned, out: Path | None, folder: Path) -> str:
    """Return what would be done, in a few lines."""
    study = planned.study
    spec, fit, splits = study.spec, study.config.fit, study.splits
    trials = max(study.config.search.trials, 1)
    folds = f"{len(splits.folds)} folds ({splits.scheme}) of {len(study.cohort)} cases"
    lines = (
        f"Would train {folds} for {study.target.name} ({study.task.kind}), {trials} setting{'s' * (trials > 1)} each",
        f"Head: {spec.aggregate}, {study.bags.dim} wide features, {spec.hidden} hidden; at most {fit.epochs} epochs",
        f"Run folder: {folder}",
        f"Model folder: {out if out is not None else 'none'}",
    )
    return "\n".join(lines)


class Progress:
    """A line that is redrawn on a terminal; elsewhere one line a finished part."""

    def __init__(self, planned: Planned) -> None:
        self._parts = [fold.name for fold in planned.study.splits.folds]
        self._epochs = planned.study.config.fit.epochs
        self._live = sys.stderr.isatty()
        self._started = time.monotonic()
        self._drawn = 0.0
        self._at: tuple[str, Epoch] | None = None

    def epoch(self, part: str, epoch: Epoch) -> None:
        if self._at is not None and self._at[0] != part:
            self._done()
        self._at = (part, epoch)
        now = time.monotonic()
        if self._live and now - self._drawn >= REDRAW_S:
            self._drawn = now
            text = f"{self._told(part, epoch)}  {self._left(now, part, epoch)}"
            click.echo("\r\x1b[K" + plain(text)[: shutil.get_terminal_size().columns - 1], err=True, nl=False)

    def trial(self, part: str, trial: int, loss: float) -> None:
        self._line(f"{part}: trial {trial + 1}, validation loss {loss:.4g}")

    def end(self) -> None:
        """Tell the last part."""
        if self._at is not None:
            self._done()

    def _told(self, part: str, epoch: Epoch) -> str:
        losses = f"loss {epoch.train_loss:.4g}, validation {epoch.validation_loss:.4g}"
        return f"{part}: epoch {epoch.number + 1}/{self._epochs}, {losses}"

    def _done(self) -> None:
        assert self._at is not None
        self._line(self._told(*self._at))

    def _line(self, text: str) -> None:
        click.echo(("\r\x1b[K" if self._live else "") + plain(text), err=True)

    def _left(self, now: float, part: str, epoch: Epoch) -> str:
        """Return the time left when no fold stops early."""
        if part not in self._parts:
            return ""
        share = (self._parts.index(part) + (epoch.number + 1) / self._epochs) / len(self._parts)
        left = (now - self._started) * (1 - share) / share
        return f"{round(left)} s left at most" if left < 120 else f"{round(left / 60)} min left at most"


def show(finished: Finished, planned: Planned, folder: Path, out: Path | None) -> None:
    """Print the figures and where everything is."""
    for warning in planned.briefing.warnings:
        click.echo(plain(f"warning: {warning}"))
    for line in finished.lines:
        click.echo(plain(f"{line.over}: {line.figure.name} {line.figure.text()} [{line.figure.denominator}]"))
    board = " (tensorboard/ too)" if finished.tensorboard else ""
    click.echo(f"Run: {folder}: metrics.csv, curves.svg, predictions.csv, figures.json, briefing.md{board}")
    if out is not None:
        click.echo(f"Model: {out}: `wsi-run SLIDES -o OUT -m {out}` runs it; complete its README.md")
    click.echo("Research use only. Not for diagnosis.")
