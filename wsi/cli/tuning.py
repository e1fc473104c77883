"""What `wsi-run finetune` does: settings, the run under a lock, and what it shows."""

import contextlib
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from wsi.config import read_yaml
from wsi.errors import UsageError
from wsi.locks import lock
from wsi.train.checkpoint import Epoch
from wsi.train.finetune import TuneConfig, this_process
from wsi.train.tiles import read_tiles
from wsi.train.tune import tune

_NAMES = ("train", "blocks", "epochs", "batch", "learning_rate", "stain", "seed", "device", "precision", "threads")


def run_tuning(given: dict[str, Any], folder: Path) -> int:
    """Fine-tune as the options say and return the exit code; under torchrun only the first process tells and locks."""
    if given["encoder"] is None:
        raise UsageError("name an --encoder to start from (see `wsi-run models list`)")
    config = _config(given)
    names = tuple(part.strip() for part in (given["classes"] or "").split(",") if part.strip())
    tiles = read_tiles(given["tiles"], classes=names)
    first = this_process().rank == 0
    if first and not tiles.grouped:
        click.echo("warning: the tiles have no group column; tiles of one patient may stand on both sides", err=True)
    with lock(folder) if first else contextlib.nullcontext():
        done = tune(
            tiles,
            given["encoder"],
            config,
            folder,
            out=given["out"],
            weights=given["weights"],
            watch=_tell if first and not given["quiet"] else None,
        )
    if first:
        for line in done.lines:
            click.echo(f"{line.over}: {line.figure.name} {line.figure.text()} [{line.figure.denominator}]")
        if given["out"] is not None:
            click.echo(f"Encoder: {given['out']}: `wsi-run encode SLIDES -o FEATURES --encoder {given['out']}` uses it")
        click.echo("Research use only. Not for diagnosis.")
    return 0


def _tell(epoch: Epoch) -> None:
    losses = f"loss {epoch.train_loss:.4g}, validation {epoch.validation_loss:.4g}"
    click.echo(f"epoch {epoch.number + 1}: {losses}", err=True)


def _config(given: dict[str, Any]) -> TuneConfig:
    base = read_yaml(given["config"], TuneConfig) if given["config"] is not None else TuneConfig()
    asked = {name: given[name] for name in _NAMES if given.get(name) is not None}
    try:
        return TuneConfig.model_validate({**base.model_dump(), **asked})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"--{name}: {first['msg']}; found {first['input']!r}") from error
