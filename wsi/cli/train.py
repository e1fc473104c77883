"""`wsi-run train`: from labels and features to a model folder."""

from pathlib import Path
from typing import Any

import click

from wsi.cli.options import FILE, with_options

_OPTIONS = [
    click.argument("labels", type=FILE),
    click.option("--features", type=FILE, metavar="DIR", help="OUT of `wsi-run encode`, a folder of CLAM's or TRIDENT's .h5 files, or an .npz."),
    click.option("--slides", type=FILE, metavar="DIR", help="Slides to encode first, into RUN/features; needs --encoder."),
    click.option("--target", required=True, metavar="COLUMN", help="What to predict: COLUMN, COLUMN:KIND or COLUMN:KIND:NAMES (os:survival:months,dead; grade:ordinal:low,mid,high)."),
    click.option("-o", "--out", type=FILE, metavar="MODEL", help="Model folder to write; without it only the run folder is made."),
    click.option("--run", "run_folder", type=FILE, metavar="RUN", help="Folder of the run: checkpoints, curves, predictions. The default is runs/NAME of the model folder or target. Run again to go on."),
    click.option("-c", "--config", type=FILE, help="Settings file (see `wsi-run config show train`)."),
    click.option("--kind", help="binary, multiclass, multilabel, ordinal, regression or survival; seen from the values if left out."),
    click.option("--head", metavar="NAME", help="gated-attention, mean, max, clam-sb, clam-mb, dsmil, transmil, a plug-in's, or linear."),
    click.option("--background", metavar="DIR", help="Features of tiles that speak for nothing (blood, clot, pen), for --head linear."),
    click.option("--scheme", help="k-fold, repeated-k-fold, nested, holdout, leave-one-out or leave-site-out."),
    click.option("--folds", type=int, help="How many folds."),
    click.option("--repeats", type=int, help="How often, for repeated-k-fold."),
    click.option("--splits", "folds_file", type=FILE, metavar="FILE", help="Folds from a file: splits.json of a run, or a CSV."),
    click.option("--patient", metavar="COLUMN", help="Column of the patient."),
    click.option("--slide", metavar="COLUMN", help="Column of the slide."),
    click.option("--site", metavar="COLUMN", help="Column of the hospital or scanner."),
    click.option("--bag", help="slide, or patient: all slides of a patient as one bag."),
    click.option("--bins", type=int, help="Survival in so many time bins; 0 is Cox's model."),
    click.option("--epochs", type=int, help="Most passes over the training cases."),
    click.option("--learning-rate", type=float, help="Of AdamW."),
    click.option("--search", type=int, metavar="N", help="Try N settings inside the training cases of each fold."),
    click.option("--final", help="members: the folds' heads vote; refit: one head, trained on all cases."),
    click.option("--encoder", metavar="NAME", help="Encoder of --slides, or of features that don't name theirs."),
    click.option("--seed", type=int, help="All of chance comes from it."),
    click.option("--device", help="auto, cpu, cuda, cuda:1."),
    click.option("--mlflow", is_flag=True, help="Log to MLflow, too, when it is installed."),
    click.option("--dry-run", is_flag=True, help="Show the briefing and the plan; train nothing."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
]  # fmt: skip


@click.command("train")
@with_options(_OPTIONS)
def command(**given: Any) -> int:
    """Train a model on labels (a CSV, a line a slide) and features, test it on patients it never saw, write its folder.

    \b
      wsi-run encode SLIDES -o FEATURES --encoder mobilenetv2-imagenet
      wsi-run train labels.csv --features FEATURES --target grade -o models/grade
      wsi-run train labels.csv --features FEATURES --target grade --dry-run
      wsi-run train labels.csv --features FEATURES --target os:survival:months,dead -o models/os
      wsi-run train labels.csv --features FEATURES --target grade --head clam-sb --search 20 --scheme nested
      wsi-run train labels.csv --slides SLIDES --encoder mobilenetv2-imagenet --target grade -o models/grade
      wsi-run SLIDES -o OUT -m models/grade

    The same command again goes on after a stop. Research use only.
    """
    from wsi.cli.training import run_training

    return run_training(given, run_folder_of(given))


def run_folder_of(given: dict[str, Any]) -> Path:
    """Return the run's folder: as given, else runs/ and the name of the model folder or the target."""
    if given["run_folder"] is not None:
        return Path(given["run_folder"])
    name: str = given["out"].name if given["out"] is not None else given["target"].split(":")[0]
    return Path("runs", name)
