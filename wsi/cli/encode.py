"""`wsi-run encode`: features of an encoder, for training and other tools."""

from typing import Any

import click

from wsi.cli.options import slide_options


@click.command("encode")
@slide_options()
def command(**given: Any) -> int:
    """Encode every slide's tiles: features.h5, as CLAM and TRIDENT read it.

    \b
      wsi-run encode SLIDES -o OUT --encoder mobilenetv2-imagenet
    """
    from wsi.cli.over_slides import over_slides

    return over_slides("encode", given)
