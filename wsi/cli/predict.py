"""`wsi-run predict`: grades without the files for people."""

from typing import Any

import click

from wsi.cli.options import slide_options


@click.command("predict")
@slide_options()
def command(**given: Any) -> int:
    """Grade every slide, without heatmaps, annotations and report; `export` adds them.

    \b
      wsi-run predict SLIDES -o OUT
    """
    from wsi.cli.over_slides import over_slides

    return over_slides("predict", given)
