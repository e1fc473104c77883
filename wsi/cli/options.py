"""Options that commands share, and how options become settings."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

DEFAULT_RECIPE = "tumor"
FILE = click.Path(path_type=Path)

_READ = [
    click.option("--mpp", type=float, metavar="UM", help="µm per pixel for slides that don't say it."),
    click.option("--mpp-table", type=FILE, metavar="CSV", help="Table with columns slide, mpp for such slides."),
    click.option("--mpp-override", is_flag=True, help="Let --mpp and --mpp-table win over what the slides say."),
    click.option("--tissue", "polygons", type=FILE, metavar="DIR", help="Only look inside polygons drawn by a person: a folder of GeoJSON, ASAP XML or ImageScope XML, named like the slides."),
    click.option("--reader", metavar="NAME", help="Open slides with this reader only (openslide, tiffslide, dicom, image)."),
]  # fmt: skip
_TILE = [
    click.option("-m", "--model", metavar="NAME", help="Model name or folder (see `wsi-run models list`)."),
    click.option("--accept-licence", multiple=True, metavar="NAME", help="Terms that you keep, for a model that asks for it: CC-BY-NC-4.0."),
    click.option("--encoder", metavar="NAME", help="Encoder name, folder or timm:NAME, for features without a grade."),
    click.option("--tile-px", type=int, help="Tile side in px, for features without a model."),
    click.option("--tile-mpp", type=float, help="µm per px of the tiles, for features without a model."),
    click.option("--overlap", type=float, help="Share of a tile's side that the next repeats (0 to 0.95)."),
]  # fmt: skip
_ENCODE = [
    click.option("--weights", type=FILE, metavar="FILE", help="A local .safetensors file for the encoder."),
    click.option("--device", help="auto, cpu, cuda, cuda:1 or mps."),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), help="What the encoder computes in."),
    click.option("--backend", type=click.Choice(["torch", "openvino", "onnxruntime"]), help="What runs the encoder on a CPU; other than torch needs pip install \"wsi-run[NAME]\"."),
    click.option("--batch-size", type=int, help="Tiles a GPU takes at once (found by itself)."),
]  # fmt: skip
_RUN = [
    click.argument("slides", type=FILE),
    click.option("-o", "--out", type=FILE, required=True, help="Folder for the results; run again to go on."),
    click.option("-c", "--config", type=FILE, help="Settings file, or the name of a shipped one (tumor, features)."),
    click.option("-j", "--jobs", type=int, help="Slides worked on at once."),
    click.option("--dry-run", is_flag=True, help="Show slides, tiles, sizes and refusals; write nothing."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
    click.option("--profile", is_flag=True, help="At the end, show where the time went and what the encoder waited for."),
    click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout, for programs."),
]  # fmt: skip

_KEYS = {
    "model": ("model",),
    "accept_licence": ("accept_licence",),
    "mpp": ("read", "mpp"),
    "mpp_table": ("read", "mpp_table"),
    "mpp_override": ("read", "mpp_override"),
    "reader": ("read", "reader"),
    "polygons": ("tissue", "polygons"),
    "tile_px": ("tile", "tile_px"),
    "tile_mpp": ("tile", "mpp"),
    "overlap": ("tile", "overlap"),
    "encoder": ("encode", "encoder"),
    "weights": ("encode", "weights"),
    "device": ("encode", "device"),
    "precision": ("encode", "precision"),
    "backend": ("encode", "backend"),
    "batch_size": ("encode", "batch_size"),
    "jobs": ("engine", "jobs"),
    "origin": ("export", "origin"),
    "heatmap_px": ("export", "heatmap_px"),
}
_RENAMED = {"polygons": "tissue"}
"""Options that are called otherwise on the command line."""

Decorated = Callable[..., Any]


def slide_options(*, tile: bool = True, encode: bool = True) -> Callable[[Decorated], Decorated]:
    """Add the arguments and options of a command that goes over slides, as far as tiles and their features."""
    return with_options([*_RUN[:3], *(_TILE if tile else []), *(_ENCODE if encode else []), *_READ, *_RUN[3:]])


def with_options(options: Sequence[Callable[[Decorated], Decorated]]) -> Callable[[Decorated], Decorated]:
    """Add arguments and options to a command; its help shows them in this order."""

    def add(function: Decorated) -> Decorated:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def put(settings: dict[str, Any], keys: Sequence[str], value: object) -> None:
    """Set a value in nested settings."""
    for key in keys[:-1]:
        settings = settings.setdefault(key, {})
    settings[keys[-1]] = value


def settings(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given as nested settings; those left out are left out."""
    found: dict[str, Any] = {}
    for name, keys in _KEYS.items():
        value = given.get(name)
        if value is None or value is False or value == ():
            continue
        put(found, keys, str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value)
    return found


def option_of(setting: tuple[str, ...]) -> str:
    """Return the option that sets a setting; the setting's own name when none does."""
    name = next((name for name, keys in _KEYS.items() if keys == setting), None)
    return "--" + _RENAMED.get(name, name).replace("_", "-") if name else ".".join(setting)
