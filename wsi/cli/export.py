"""`wsi-run export`: the files for people once more, from existing results."""

from pathlib import Path
from typing import Any

import click

from wsi.cli.options import FILE


@click.command("export")
@click.argument("out", type=FILE)
@click.option(
    "--origin",
    type=click.Choice(["qupath", "level0"]),
    help="Where coordinates start: QuPath's corner of the scan, or the file's.",
)
@click.option("--heatmap-px", type=int, help="Longest side of heatmap.png.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout, for programs.")
def command(out: Path, **given: Any) -> int:
    """Redo heatmaps, annotations, tables, report and QuPath project in OUT; the slides aren't needed.

    \b
      wsi-run export OUT
      wsi-run export OUT --origin level0
    """
    from wsi.cli.main import EXIT_NOT_OK
    from wsi.cli.over_slides import show_records, watcher_for
    from wsi.cli.settings import merge_settings
    from wsi.engine import journal
    from wsi.engine.finish import RUN, read_run
    from wsi.engine.run import export_slides
    from wsi.errors import UsageError

    if not (out / RUN).is_file():
        raise UsageError(f"{out}: no results here ({RUN} is missing); run `wsi-run SLIDES -o {out}` first")
    recipe = read_run(out)
    recipe = recipe.model_copy(update={"config": merge_settings(recipe.config, given)})
    watcher = watcher_for(given, sizes=dict.fromkeys(journal.read(out), 1))
    with watcher:
        records = export_slides(out, recipe, watch=watcher.watch)
    if not given["as_json"]:
        show_records(records, out, graded=True)
    return 0 if all(record.status == "ok" for record in records) else EXIT_NOT_OK
