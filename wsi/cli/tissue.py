"""`wsi-run tissue`: polygons of the tissue, to look at or to edit."""

from typing import Any

import click

from wsi.cli.options import slide_options


@click.command("tissue")
@slide_options(tile=False, encode=False)
def command(**given: Any) -> int:
    """Find the tissue of every slide: tissue.geojson, which QuPath opens and --tissue takes back.

    \b
      wsi-run tissue SLIDES -o OUT
      cp OUT/slides/a-0123abcd/tissue.geojson drawn/a.geojson      edit the copy of slide a in QuPath, then
      wsi-run SLIDES -o OUT --tissue drawn/
    """
    from wsi.cli.over_slides import over_slides

    return over_slides("tissue", given)
