"""`wsi-run tile`: where the tiles lie."""

from typing import Any

import click

from wsi.cli.options import slide_options


@click.command("tile")
@slide_options(encode=False)
def command(**given: Any) -> int:
    """Find the tissue and plan the tiles: coords.h5, as CLAM and TRIDENT read it.

    \b
      wsi-run tile SLIDES -o OUT --tile-px 256 --tile-mpp 0.5
    """
    from wsi.cli.over_slides import over_slides

    return over_slides("tile", given)
