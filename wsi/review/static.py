"""The review as a folder that opens without a server: the same page, with all it shows beside it.

A page opened as a file may not fetch, so what is data comes as scripts; pictures come as files. Levels of a slide that
are larger than a limit are left out: it is for looking and for showing, not for grading at full size.
"""

import base64
import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsi.errors import UsageError, WsiError
from wsi.publish import explained
from wsi.review.app import PAGE, SERVED
from wsi.review.desk import Desk
from wsi.review.tiles import Piece, TileKey

DATA, PAGES, INDEX = "data", "page", "index.html"
MARK = "<!-- data -->"
"""Where index.html takes what the folder holds."""
CROP_PX = 224
DEFAULT_MPX = 16.0
NO_OUTLINES: dict[str, Any] = {"type": "FeatureCollection", "features": []}


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: cases, tiles, tiles that couldn't be decoded, and cases whose finest levels were left out."""

    cases: int
    tiles: int
    unreadable: int
    coarse: int


def write_static(desk: Desk, into: Path, *, mpx: float = DEFAULT_MPX) -> Written:
    """Write the page and all its data into a new folder.

    Args:
        desk: of an open review, not a blind one.
        mpx: million px above which a level of a slide is left out.

    Raises:
        UsageError: the folder holds something already.
        NoSpaceError, ArtifactError: it can't be written.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(f"--static {into}: is there already; give a folder that is new or empty")
    try:
        return _write(desk, into, mpx)
    except OSError as error:
        raise explained(error, into) from error


def _write(desk: Desk, into: Path, mpx: float) -> Written:
    rows, tiles, unreadable, coarse = desk.cases(), 0, 0, 0
    (into / DATA).mkdir(parents=True, exist_ok=True)
    for row in rows:
        made = _write_case(desk, row["slide"], into / DATA / row["slide"], mpx)
        tiles, unreadable, coarse = tiles + made.tiles, unreadable + made.unreadable, coarse + made.coarse
    told = {"run": {**desk.run(), "read_only": True, "static": True}, "cases": rows, "slides": {}}
    _script(into / DATA / "index.js", "window.WSI_DATA", told)
    (into / PAGES).mkdir()
    for path in sorted(PAGE.iterdir()):
        if path.suffix in SERVED and path.name != INDEX:
            shutil.copyfile(path, into / PAGES / path.name)
    (into / INDEX).write_text(_index(), encoding="utf-8")
    return Written(len(rows), tiles, unreadable, coarse)


def _index() -> str:
    """Return index.html with the folder's data before the page's own scripts."""
    text, script = (PAGE / INDEX).read_text(encoding="utf-8"), f'<script defer src="{DATA}/index.js"></script>'
    place = MARK if MARK in text else "<script"
    return text.replace(place, script if place == MARK else script + place, 1)


def _write_case(desk: Desk, slide: str, folder: Path, mpx: float) -> Written:
    """Write one slide."""
    folder.mkdir()
    case = desk.case(slide)
    tiles = unreadable = coarse = 0
    if case["view"] is not None:
        levels = case["view"]["levels"]
        kept = [level for level in levels if level["width"] * level["height"] <= mpx * 1e6] or levels[-1:]
        case["view"]["levels"] = [{**level, "id": number} for number, level in enumerate(kept)]
        coarse = int(len(kept) < len(levels))
        case["view"]["is_coarse"] = bool(coarse)
        for number, level in enumerate(kept):
            made, lost = _write_tiles(desk, slide, folder / "tiles" / str(number), level)
            tiles, unreadable = tiles + made, unreadable + lost
        _write_crops(desk, slide, folder / "crops", [*case["top"], *case["bottom"]])
    if case["thumbnail"]:
        (folder / "thumbnail.jpg").write_bytes(desk.thumbnail(slide))
    if case["overlay"]:
        (folder / "overlay.png").write_bytes(desk.overlay(slide))
    told = _results(desk, slide, case, beside=False)
    if case["is_beside"]:
        told["beside"] = _results(desk, slide, desk.beside(slide), beside=True)
    _script(folder / "case.js", f"window.WSI_DATA.slides[{json.dumps(slide)}]", told)
    return Written(1, tiles, unreadable, coarse)


def _results(desk: Desk, slide: str, case: dict[str, Any], *, beside: bool) -> dict[str, Any]:
    """Return a case with its outlines and heat; outlines that are damaged are left out."""
    layers = (case["heat"] or {}).get("layers", ())
    heat = {layer["id"]: _text(desk.heat(slide, layer["id"], beside=beside)) for layer in layers}
    outlines = NO_OUTLINES
    with contextlib.suppress(WsiError):
        outlines = json.loads(desk.outlines(slide, beside=beside))
    return {"case": case, "outlines": outlines, "heat": heat}


def _write_tiles(desk: Desk, slide: str, folder: Path, level: dict[str, Any]) -> tuple[int, int]:
    columns, rows = -(-level["width"] // level["tile_px"]), -(-level["height"] // level["tile_px"])
    folder.mkdir(parents=True)
    lost = 0
    for row in range(rows):
        for column in range(columns):
            try:
                content = desk.tile(TileKey(slide, level["id"], column, row))
            except WsiError:
                lost += 1
            else:
                (folder / f"{column}_{row}.jpg").write_bytes(content)
    return columns * rows - lost, lost


def _write_crops(desk: Desk, slide: str, folder: Path, tiles: list[dict[str, Any]]) -> None:
    """Write the pictures of the gallery, by their places; one that can't be decoded is left out."""
    folder.mkdir()
    for tile in tiles:
        piece = Piece(tile["x"], tile["y"], round(tile["size_x"]), round(tile["size_y"]), CROP_PX)
        with contextlib.suppress(WsiError):
            (folder / f"{tile['x']}_{tile['y']}.jpg").write_bytes(desk.crop(slide, piece))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _script(path: Path, name: str, told: dict[str, Any]) -> None:
    """Write data as a script that sets `name` to it: JSON in ASCII is JavaScript."""
    text = json.dumps(told, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    path.write_text(f"{name}={text};\n", encoding="ascii")
