"""`wsi-run shortcuts`: does something trivial tell the label?"""

import json
from pathlib import Path
from typing import Any

import click

from wsi.cli.options import FILE


@click.command("shortcuts")
@click.argument("labels", type=FILE)
@click.argument("folder", type=FILE)
@click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    required=True,
    metavar="COLUMN",
    help="What is to be learnt: COLUMN, COLUMN:KIND or COLUMN:KIND:NAMES, as for training. May be given again.",
)
@click.option(
    "--patient",
    default="patient",
    metavar="COLUMN",
    help="Column of the patient (patient). Name the slides' own column where each is of another patient.",
)
@click.option("--slide", metavar="COLUMN", help="Column of the slide or picture (slide, file, image, ...).")
@click.option("--site", metavar="COLUMN", help="Column of the site (site, center, hospital, ...).")
@click.option(
    "-m",
    "--model",
    metavar="NAME",
    help="Also take this model's evidence away: does it still score? Needs features in FOLDER.",
)
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True, help="Folds, by patient.")
@click.option("--seed", type=int, default=0, show_default=True, help="All of chance comes from it.")
@click.option(
    "--warn-above",
    type=click.FloatRange(0.5, 1.0),
    default=0.65,
    show_default=True,
    help="AUC from which on a trait is a warning, when its interval is above chance.",
)
@click.option("--markdown", type=FILE, metavar="FILE", help="Write the report there too.")
@click.option("--strict", is_flag=True, help="Exit with 3 when there is a warning.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout, for programs.")
def command(labels: Path, folder: Path, **given: Any) -> int:
    """Can color, size, file or site alone tell the label? Then a model may learn that and nothing else.

    LABELS is a CSV with a line a slide or picture. FOLDER holds pictures, or is the OUT of a run (thumbnails and
    features), or holds features as CLAM and TRIDENT write them.

    \b
      wsi-run shortcuts labels.csv PICTURES --target malignant --patient lesion
      wsi-run shortcuts labels.csv OUT --target grade --site hospital
      wsi-run shortcuts labels.csv OUT --target tumor --model tumor

    Each trait alone is put through a logistic regression that is tested on patients it wasn't fitted on. A warning
    doesn't say that a model uses the trait, but that its figure can't show that it doesn't.

    Exit status: 0 done, 3 a warning with --strict.
    """  # fmt: skip
    from wsi.cli.main import EXIT_NOT_OK
    from wsi.publish import publish
    from wsi.train.evidence import Trial
    from wsi.train.gather import Ask
    from wsi.train.shortcut_report import ShortcutReport
    from wsi.train.shortcuts import probe_traits
    from wsi.train.trivial import trivial_traits

    ask = Ask(tuple(given["targets"]), given["patient"], given["slide"], given["site"])
    cohort, traits = trivial_traits(labels, folder, ask)
    probes = probe_traits(cohort, traits, folds=given["folds"], seed=given["seed"], warn_above=given["warn_above"])
    trials: list[Trial] = []
    if given["model"]:
        from wsi.cli.without_evidence import try_model  # torch loads only where a model was named

        trials = try_model(given["model"], labels, folder, ask=ask, seed=given["seed"])
    report = ShortcutReport(cohort, tuple(probes), tuple(trials))
    if given["markdown"]:
        publish(given["markdown"], report.markdown().encode())
    if given["as_json"]:
        for row in report.rows():
            click.echo(json.dumps(row))
    else:
        click.echo(report.text(), nl=False)
    return EXIT_NOT_OK if given["strict"] and report.warnings else 0
