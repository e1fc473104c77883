"""`wsi-run tissue`: polygons of the tissue, to look at or to edit."""

from typing import Any

import click

from wsi.cli.options import slide_options


@click.command("tissue")
@slide_options()
def command(**given: Any) -> int:
    """Find the tissue of every slide: tissue.geojson, which QuPath opens and --tissue takes back.

    \b
      wsi-run tissue SLIDES -o OUT
    """
    from wsi.cli.over_slides import over_slides

    return over_slides("tissue", given)
