"""`wsi-run train-masks`: from images and their masks to a model folder that marks structures."""

from pathlib import Path
from typing import Any

import click

from wsi.cli.options import FILE, with_options

_OPTIONS = [
    click.argument("images", type=FILE),
    click.argument("masks", type=FILE),
    click.option("-o", "--out", type=FILE, metavar="MODEL", help="Model folder to write; without it only the held-out figures are made."),
    click.option("-c", "--config", type=FILE, help="Recipe: structures, preprocessing, network (the folder configs has examples)."),
    click.option("--structures", metavar="A,B", help="Without a recipe: names of the structures; the first is value 1 of the masks."),
    click.option("--patient", metavar="REGEX", help="Regular expression over file names whose group is the patient: ^p(\\d+)_."),
    click.option("--run", "run_folder", type=FILE, metavar="RUN", help="Folder of the run: settings, folds, checkpoints, held-out scores; runs/NAME by default. Run again to go on."),
    click.option("--scheme", type=click.Choice(["k-fold", "holdout"]), help="A network a fold, or one tested on a share of the patients."),
    click.option("--folds", type=int, help="How many folds."),
    click.option("--epochs", type=int, help="Passes over the training images."),
    click.option("--learning-rate", type=float, help="Of AdamW, at its highest."),
    click.option("--seed", type=int, help="All of chance comes from it."),
    click.option("--device", help="auto, cpu, cuda, cuda:1."),
    click.option("--threads", type=int, help="CPU threads; other numbers give other last bits."),
    click.option("--dry-run", is_flag=True, help="Show what the data look like and the plan; train nothing."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
]  # fmt: skip


@click.command("train-masks")
@with_options(_OPTIONS)
def command(**given: Any) -> int:
    """Train a model that marks structures in pictures or volumes, test it on patients it never saw, write its folder.

    \b
      wsi-run train-masks PICTURES MASKS --structures vessel -o models/mine
      wsi-run train-masks images labels -c settings.yaml -o models/mine
      wsi-run train-masks images labels --structures liver,tumor --dry-run
      wsi-run NEW_IMAGES -o OUT -m models/mine

    A mask is called as its image is, or begins so. The same command again goes on after a stop. Research use only.
    """
    from wsi.cli.mask_training import run_mask_training

    name: str = given["out"].name if given["out"] is not None else given["images"].name
    return run_mask_training(given, given["run_folder"] or Path("runs", name))
