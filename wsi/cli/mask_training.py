"""What `wsi-run train-masks` does: settings, the run under a lock, and what it shows."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from wsi.cli.options import put
from wsi.cli.progress import plain
from wsi.cli.settings import find_config
from wsi.config import read_yaml
from wsi.errors import UsageError
from wsi.locks import lock
from wsi.train.checkpoint import Epoch
from wsi.train.dense_plan import spec_of
from wsi.train.dense_run import MasksFinished, train_masks
from wsi.train.dense_settings import MaskConfig
from wsi.train.dense_study import HeldOutMask, MaskPlanned, plan_masks

_KEYS = {
    "seed": ("seed",),
    "scheme": ("scheme",),
    "folds": ("folds",),
    "patient": ("data", "patient"),
    "epochs": ("fit", "epochs"),
    "learning_rate": ("fit", "learning_rate"),
    "device": ("fit", "device"),
    "threads": ("fit", "threads"),
}
COLORS = ((220, 40, 60), (60, 130, 210), (60, 170, 90), (230, 160, 40), (150, 90, 200), (90, 190, 190))
EVERY_S = 10.0


def run_mask_training(given: dict[str, Any], folder: Path) -> int:
    """Train as the options say and return the exit code."""
    config = mask_config(given)
    plan = plan_masks(given["images"], given["masks"], config)
    if given["dry_run"]:
        click.echo(told_plan(plan, given["out"], folder))
        return 0
    with lock(folder, wait=False):
        done = train_masks(plan, folder, out=given["out"], told=None if given["quiet"] else Progress(plan))
    show(done, folder, given["out"])
    return 0


def mask_config(given: dict[str, Any]) -> MaskConfig:
    """Return the recipe's settings with the options over them; UsageError or ConfigError for a wrong one."""
    if (given["config"] is None) == (given["structures"] is None):
        raise UsageError("give a recipe with -c, or the names of what the masks mark with --structures")
    if given["config"] is not None:
        merged = read_yaml(find_config(given["config"]), MaskConfig).model_dump()
    else:
        names = [name.strip() for name in given["structures"].split(",")]
        marked = [{"name": name, "color": COLORS[at % len(COLORS)]} for at, name in enumerate(names)]
        merged = MaskConfig.model_validate({"structures": marked}).model_dump()
    for name, keys in _KEYS.items():
        if (value := given.get(name)) is not None:
            put(merged, keys, value)
    try:
        return MaskConfig.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}; found {first['input']!r}") from error


def told_plan(plan: MaskPlanned, out: Path | None, folder: Path) -> str:
    """Return what would be done, in a few lines."""
    config, spec = plan.config, spec_of(plan.config)
    assert config.input is not None
    folds = plan.splits.folds
    lines = (
        f"Found {len(plan.examples)} images with masks, of {plan.patients} patients",
        *plan.found.lines(),
        f"Preprocessing: {', '.join(step.op for step in config.input.preprocess) or 'none'}",
        f"Network: U-Net of {spec.axes} axes, widths {', '.join(map(str, spec.widths))}, stem {spec.stem}",
        f"Windows of {' x '.join(map(str, config.input.window or []))}, {config.fit.epochs} epochs",
        f"Would train {len(folds)} to test ({config.scheme}), then keep: {config.final}",
        f"Run folder: {folder}",
        f"Model folder: {out if out is not None else 'none'}",
    )
    return "\n".join(map(plain, lines))


class Progress:
    """A line every few seconds, and one a tested fold."""

    def __init__(self, plan: MaskPlanned) -> None:
        self._epochs = plan.config.fit.epochs
        self._told = -EVERY_S

    def epoch(self, part: str, epoch: Epoch) -> None:
        now = time.monotonic()
        if now - self._told >= EVERY_S or epoch.number + 1 == self._epochs:
            self._told = now
            click.echo(plain(f"{part}: epoch {epoch.number + 1}/{self._epochs}, loss {epoch.train_loss:.4g}"), err=True)

    def tested(self, part: str, rows: Sequence[HeldOutMask]) -> None:
        known = [row.scores.dice for row in rows if row.scores.dice is not None]
        mean = f"mean Dice {sum(known) / len(known):.3f}" if known else "no image has a structure"
        click.echo(plain(f"{part}: tested on {len({row.example.id for row in rows})} images, {mean}"), err=True)


def show(done: MasksFinished, folder: Path, out: Path | None) -> None:
    """Print the figures and where everything is."""
    for figure in done.figures:
        click.echo(plain(f"held out: {figure}"))
    click.echo(plain(f"Run: {folder} (held-out.csv, splits.json, config.yaml)"))
    if out is not None:
        click.echo(plain(f"Model: {out}. Run it with: wsi-run IMAGES -o OUT -m {out}"))
