"""What `wsi-run finetune --pictures` does: settings, the run under a lock, and what it shows."""

from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from wsi.cli.progress import plain
from wsi.cli.settings import find_config
from wsi.config import read_yaml
from wsi.errors import UsageError
from wsi.locks import lock
from wsi.train.checkpoint import Epoch
from wsi.train.picture_audit import audit_pictures
from wsi.train.picture_folder import write_picture_model
from wsi.train.picture_run import PicturePlan, PictureRun, plan_pictures, train_pictures
from wsi.train.picture_settings import PictureConfig

_OF_FIT = ("epochs", "batch", "learning_rate", "device", "precision", "threads", "train", "blocks")


def run_picture_training(given: dict[str, Any], folder: Path) -> int:
    """Train a classifier of pictures as the settings and options say; return the exit code."""
    config = picture_config(given)
    plan = plan_pictures(
        given["tiles"], given["pictures"], config, weights=given["weights"], with_model=given["out"] is not None
    )
    with lock(folder, wait=False):
        _tell_plan(plan)
        run = train_pictures(plan, folder, watch=None if given["quiet"] else _tell)
        audit = audit_pictures(run)
        if given["out"] is not None:
            write_picture_model(run, given["out"], audit=audit)
    _show(run)
    for line in audit:
        click.echo(plain(f"{line.over}: {line.figure.name} {line.figure.text()}"))
    click.echo(f"Run: {folder}: predictions.csv, figures.json and curves.svg of each target")
    if given["out"] is not None:
        click.echo(
            f"Model: {given['out']}: `wsi-run PICTURES -o OUT -m {given['out']}` runs it; complete its README.md"
        )
    click.echo("Research use only. Not for diagnosis.")
    return 0


def picture_config(given: dict[str, Any]) -> PictureConfig:
    """Return the settings file's settings with the options over them.

    Raises:
        UsageError: no settings file, or an option it can't have. ConfigError: a settings file that doesn't fit.
    """
    if given["config"] is None:
        raise UsageError("--pictures: name a settings file with -c; the folder configs has examples")
    base = read_yaml(find_config(given["config"]), PictureConfig)
    told = {name: given[name] for name in ("seed", "encoder") if given.get(name) is not None}
    fit = {name: given[name] for name in _OF_FIT if given.get(name) is not None}
    if given.get("stain") is not None or given.get("classes") is not None:
        raise UsageError("--stain and --classes are for tiles; of pictures the settings file says it")
    if fit.get("precision") == "fp16":
        raise UsageError("--precision fp16 isn't for pictures; expected auto, fp32 or bf16")
    merged = base.model_dump()
    try:
        return PictureConfig.model_validate({**merged, **told, "fit": {**merged["fit"], **fit}})
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _tell_plan(plan: PicturePlan) -> None:
    patients = len({case.patient for case in plan.cohort.cases})
    targets = ", ".join(one.title or one.column for one in plan.config.asked)
    click.echo(
        f"{len(plan.cohort)} pictures of {patients} patients; {len(plan.splits.folds)} folds; {targets}", err=True
    )
    for warning in plan.briefing.warnings:
        click.echo(plain(f"warning: {warning}"), err=True)


def _tell(part: str, epoch: Epoch) -> None:
    click.echo(f"{part}: epoch {epoch.number + 1}, loss {epoch.train_loss:.4g}", err=True)


def _show(run: PictureRun) -> None:
    for asked, learned in zip(run.plan.config.asked, run.learned, strict=True):
        for line in learned.lines:
            told = f"{asked.title or asked.column}: {line.over}: {line.figure.name} {line.figure.text()}"
            click.echo(plain(f"{told} [{line.figure.denominator}]"))
        if learned.decisions.lacking:
            click.echo(plain(f"warning: {asked.title or asked.column}: {learned.decisions.lacking}"), err=True)
