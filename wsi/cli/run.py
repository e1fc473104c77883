"""`wsi-run SLIDES -o OUT`: from slides to grades, heatmaps, annotations and a report."""

from typing import Any

import click

from wsi.cli.options import slide_options


@click.command("run")
@slide_options()
def command(**given: Any) -> int:
    """Grade every slide in SLIDES (a folder, or one slide) and write heatmaps, annotations and a report to OUT.

    \b
      wsi-run SLIDES -o OUT
      wsi-run SLIDES -o OUT -m models/mine --mpp-table scales.csv
      wsi-run SLIDES -o OUT --tissue annotations/
      wsi-run SLIDES -o OUT -c features

    Run the same command again to go on after a stop; finished work is kept, changed slides are redone.
    Exit status: 0 all slides ok, 2 wrong usage, 3 finished but some slides not ok, 130 or 143 stopped.
    """
    from wsi.cli.over_slides import over_slides

    return over_slides("export", given)
