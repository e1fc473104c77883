"""`wsi-run explain`: where in one picture a model's score comes from, by the method of one's choice."""

from pathlib import Path

import click

from wsi.cli.options import FILE
from wsi.cli.progress import plain


@click.command("explain")
@click.argument("image", type=FILE)
@click.option("-m", "--model", required=True, metavar="NAME", help="Model name or folder (see `wsi-run models list`).")
@click.option("-o", "--out", type=FILE, required=True, help="Folder for the pictures.")
@click.option(
    "--method",
    metavar="NAME",
    help="signed-cam (what a run draws), grad-cam, integrated-gradients, occlusion, or attention (over windows).",
)
@click.option("--head", default="", metavar="NAME", help="One of the model's further heads; its own by default.")
@click.option("--to", metavar="CLASS", help="The class that is spoken for; by default the one that a run shows.")
@click.option("--accept-licence", multiple=True, metavar="NAME", help="Terms that you keep, for a model that asks.")
def command(
    image: Path,
    model: str,
    out: Path,
    method: str | None,
    head: str,
    to: str | None,
    accept_licence: tuple[str, ...],
) -> int:
    """Show where in IMAGE a model's score comes from.

    \b
      wsi-run explain a.png -m MODEL -o WHY
      wsi-run explain a.png -m MODEL -o WHY --method occlusion --head NAME
      wsi-run explain a.png -m MODEL -o WHY --to severe

    Writes NAME.METHOD.png, the picture with what speaks for (yellow) and against (blue), and NAME.METHOD.tiff, the same as
    float32 over the picture's own px. Only places within one map compare, and none is a probability. Research use only.
    """
    from wsi.config import Config
    from wsi.engine.explain_image import explain_image
    from wsi.engine.recipe import settle_recipe
    from wsi.errors import UsageError

    if not image.is_file():
        raise UsageError(f"{image}: no such file; expected one picture")
    recipe = settle_recipe(Config(model=model, accept_licence=list(accept_licence)), "predict")
    files, means = explain_image(image, out, recipe, method=method, head=head, to=to)
    click.echo(plain(f"Yellow speaks for {means}, blue against it."))
    for file in files:
        click.echo(plain(str(file)))
    return 0
