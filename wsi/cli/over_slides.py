"""What run, tissue, tile, encode and predict do: the same run, to a different stage."""

import json
import os
from pathlib import Path
from typing import Any

import click

from wsi.cli.main import EXIT_NOT_OK
from wsi.cli.progress import Bar, JsonLines, Profile, Quiet, Watcher, plain
from wsi.cli.settings import config_from
from wsi.config import Config
from wsi.engine.gpus import jobs_for
from wsi.engine.preview import Preview, preview
from wsi.engine.recipe import Stage, settle_recipe
from wsi.engine.run import run_slides
from wsi.errors import UsageError
from wsi.read import Rejected, SlideFile, find_slides, read_mpp_table
from wsi.resources import cores
from wsi.results import Record


def over_slides(until: Stage, given: dict[str, Any]) -> int:
    """Run the stages up to `until` and return the exit code."""
    config = with_shares(config_from(given))
    if until == "export" and config.model is None:
        until = "encode"
    recipe = settle_recipe(config, until)
    table = read_mpp_table(Path(config.read.mpp_table)) if config.read.mpp_table else None
    found = slides_in(given["slides"], given["out"])
    if config.tissue.polygons and not Path(config.tissue.polygons).is_dir():
        raise UsageError(f"--tissue {config.tissue.polygons}: not a folder; expected one with a polygon file a slide")
    if given["dry_run"]:
        return show_plan(preview(found, recipe, table=table), as_json=given["as_json"])
    watcher = watcher_for(given, sizes=slide_bytes(found))
    watcher = Profile(watcher) if given.get("profile") else watcher
    with watcher:
        records = run_slides(found, given["out"], recipe, table=table, watch=watcher.watch)
    if not given["as_json"]:
        show_records(records, given["out"], graded=until == "export")
    return 0 if all(record.status == "ok" for record in records) else EXIT_NOT_OK


def with_shares(config: Config) -> Config:
    """Say how many slides are worked on at once and share the cores among them, unless the settings do."""
    jobs = config.engine.jobs or jobs_for(config.encode.device)
    threads = config.engine.threads or max(1, cores() // jobs)
    return config.model_copy(update={"engine": config.engine.model_copy(update={"jobs": jobs, "threads": threads})})


def slides_in(target: Path, out: Path) -> list[SlideFile | Rejected]:
    """Return the slides at `target`; UsageError when there are none, or `out` is no other folder."""
    if not os.path.lexists(target):
        raise UsageError(f"{target}: no such file or folder")
    inside = target.resolve()
    if target.is_dir() and (inside == out.resolve() or inside.is_relative_to(out.resolve() / "slides")):
        raise UsageError(f"-o {out}: results would lie among the slides in {target}; give a folder of its own")
    found = find_slides(target, skip=out)
    if not found:
        raise UsageError(
            f"{target}: no slides found; expected files that OpenSlide, tiffslide or Pillow can open "
            "(.svs, .tif, .ndpi, .mrxs, .scn, .bif, .dcm, .png, .jpg and kin)"
        )
    return found


def slide_bytes(found: list[SlideFile | Rejected]) -> dict[str, int]:
    """Return the size of each slide, to weigh how much of the work is done; 0 of what isn't read or has gone meanwhile."""
    return {s.id: sum(map(_bytes, s.files)) if isinstance(s, SlideFile) else 0 for s in found}


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the run says what is the matter


def watcher_for(given: dict[str, Any], *, sizes: dict[str, int]) -> Watcher:
    if given["as_json"]:
        return JsonLines()
    return Quiet() if given["quiet"] else Bar(sizes)


def show_records(records: list[Record], out: Path, *, graded: bool) -> None:
    """Print what became of the slides: those that are not ok by name, then where to look."""
    count = {status: sum(r.status == status for r in records) for status in ("ok", "partial", "refused", "failed")}
    for record in records:
        if record.status != "ok":
            click.echo(plain(f"{record.status:8}{record.code:15}{record.reason}"))
    click.echo(f"{counted(len(records), 'slide')}: " + ", ".join(f"{n} {status}" for status, n in count.items() if n))
    if graded:
        click.echo(
            f"Report: {out / 'report.html'}\nQuPath: {out / 'qupath'} (open the project, or drag a slide's .geojson.gz onto it)"
        )
        click.echo("Research use only. Not for diagnosis.")
    else:
        click.echo(f"Files: {out / 'slides'}")


def counted(number: int, noun: str) -> str:
    """Return `1 slide`, `2 slides`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_plan(rows: list[Preview], *, as_json: bool) -> int:
    """Print a dry run; 3 when some slides would be refused."""
    for row in rows:
        if as_json:
            click.echo(json.dumps(row.as_dict()))
        elif row.code:
            click.echo(plain(f"{row.slide}: would be refused, {row.code}: {row.reason}"))
        elif row.image:
            click.echo(plain(f"{row.slide}: {row.image} ({row.reader}), {counted(row.tiles, 'window')}"))
        else:
            click.echo(
                f"{row.slide}: {row.width} x {row.height} px at {row.mpp:.4g} µm/px ({row.mpp_source}, {row.reader}), "
                f"{row.tissue_mm2:.2g} mm² tissue, {counted(row.tiles, 'tile')}, about {row.bytes / 1e6:.1f} MB"
            )
    good = [row for row in rows if not row.code]
    if not as_json:
        click.echo(
            f"{counted(len(good), 'slide')} would be run, {len(rows) - len(good)} refused; "
            f"{counted(sum(r.tiles for r in good), 'tile')}, "
            f"about {sum(r.bytes for r in good) / 1e6:.1f} MB in OUT"
        )
    return 0 if len(good) == len(rows) else EXIT_NOT_OK
