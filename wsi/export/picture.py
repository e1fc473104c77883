"""heatmap.png: the slide at a glance, with its heat, its outlines, its scale and its verdict."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps, PngImagePlugin, UnidentifiedImageError

from wsi.errors import ArtifactError
from wsi.export.colors import HEAT, heat_index
from wsi.export.geojson import TISSUE_COLOR
from wsi.export.grid import lay_out, smooth
from wsi.export.heat import Heat, heat_of, heat_share
from wsi.export.ink import BLACK, WHITE, Lines, width_of, write
from wsi.export.panel import Key, Unit, draw_panel
from wsi.export.place import shown
from wsi.export.regions import clip, merge_hot
from wsi.export.words import model_hash, notice, referral, round_length, verdict
from wsi.geometry import Bounds
from wsi.printable import printable
from wsi.publish import publish
from wsi.results import Case, Result, Scale, Scores

NAME = "heatmap.png"
HEAT_SHARE = 0.62
"""How much of a px is heat; the rest is the tissue below it in gray, whose stain would change the color."""
SMALLEST_PX = 640
"""Smaller pictures are composed at this size, then shrunk: their text couldn't be set."""
EDGE: tuple[int, int, int] = (208, 214, 221)
_GLASS = 255


def write_heatmap_png(case: Case, picture: Image.Image) -> str:
    """Publish what `compose` made of a slide and return the file's sha256."""
    facts = PngImagePlugin.PngInfo()
    for key, value in _facts(case.result).items():
        facts.add_itxt(key, value) if not value.isascii() else facts.add_text(key, value)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=facts, compress_level=6)
    return publish(case.folder / NAME, buffer.getvalue())


def compose(
    case: Case,
    scores: Scores,
    tissue: shapely.MultiPolygon | None,
    *,
    longest_px: int,
    hot: shapely.MultiPolygon | None = None,
) -> Image.Image:
    """Return the picture of a slide with a verdict and N >= 1 tiles, at most `longest_px` px long.

    Args:
        hot: what `merge_hot` says of the tiles, where it is known already.

    Raises:
        ArtifactError: thumbnail.jpg is damaged.
    """
    result, heat = case.result, heat_of(case.result)
    assert result.scale is not None
    assert heat is not None
    area = shown(result.scale)
    unit = Unit(max(longest_px, SMALLEST_PX))
    size = unit.picture(area.size.width * result.scale.mpp_x, area.size.height * result.scale.mpp_y)
    sheet = Image.new("RGB", unit.sheet(size), WHITE)
    if heat.threshold is not None and hot is None:
        hot = merge_hot(scores, result.scale, threshold=heat.threshold)
    slide = _slide(case, scores, tissue, hot, area, size, unit, heat)
    left, top = (sheet.width - size[0]) // 2, unit.px(28)
    sheet.paste(slide, (left, top))
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline=EDGE)
    draw_panel(draw, result, unit, sheet.size, key=key_of(heat))
    if max(sheet.size) > longest_px:
        sheet = ImageOps.contain(sheet, (longest_px, longest_px), Image.Resampling.LANCZOS)
    return sheet


def _facts(result: Result) -> dict[str, str]:
    return {
        "Title": f"Heatmap of {printable(result.slide)}",
        "Description": notice(result),
        "Comment": verdict(result) + (f". {referral(result)}" if result.refer else ""),
        "Software": "wsi-run",
        "ModelSHA256": model_hash(result),
    }


def _slide(
    case: Case,
    scores: Scores,
    tissue: shapely.MultiPolygon | None,
    hot: shapely.MultiPolygon | None,
    area: Bounds,
    size: tuple[int, int],
    unit: Unit,
    heat: Heat,
) -> Image.Image:
    result = case.result
    assert result.scale is not None
    grid = lay_out(scores.coords, heat_share(heat, scores), result.scale)
    values = smooth(grid, area, width=size[0], height=size[1])
    picture = Image.fromarray(heat_over(_thumbnail(case.thumbnail, size), values))
    if tissue is not None:
        _outline(picture, [clip(tissue, area)], area, TISSUE_COLOR, unit.exact(2.2))
    if hot is not None:
        outlined = [clip(hot, area)]
        _outline(picture, outlined, area, WHITE, unit.exact(6))
        _outline(picture, outlined, area, BLACK, unit.exact(3))
    _scale_bar(picture, result.scale, area, unit)
    return picture


def _thumbnail(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the thumbnail `(height, width, 3)` at this size; plain glass when there is none."""
    if not path.is_file():
        return np.full((size[1], size[0], 3), _GLASS, np.uint8)
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            return np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ArtifactError(f"{path}: not a thumbnail of this tool ({error}); run the slide again") from error


def heat_over(picture: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay the heat of `values` `(h, w)`, NaN for none, over `picture` `(h, w, 3)`, gray below it; a band at a time."""
    out = picture.copy()
    for top in range(0, len(out), 512):
        rows = slice(top, top + 512)
        inside = ~np.isnan(values[rows])
        gray = picture[rows][inside].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        out[rows][inside] = blend(gray, HEAT[heat_index(values[rows][inside])])
    return out


def blend(gray: NDArray[np.float32], heat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return heat `(N, 3)` as it looks over tissue of this gray `(N,)`."""
    mixed = HEAT_SHARE * heat.astype(np.float32) + (1 - HEAT_SHARE) * gray[:, None]
    return mixed.round().astype(np.uint8)


def _outline(
    picture: Image.Image,
    shapes: Iterable[shapely.MultiPolygon],
    area: Bounds,
    color: tuple[int, int, int],
    width: float,
) -> None:
    lines = Lines(picture.size)
    zoom = np.array([picture.width / area.size.width, picture.height / area.size.height])
    for polygon in (polygon for shape in shapes for polygon in shape.geoms):
        for ring in (polygon.exterior, *polygon.interiors):
            points = shapely.get_coordinates(shapely.simplify(ring, 0.4 / zoom.max())) * zoom
            lines.ring([(float(x), float(y)) for x, y in points], width)
    lines.lay_on(picture, color)


def _scale_bar(picture: Image.Image, scale: Scale, area: Bounds, unit: Unit) -> None:
    """Draw a bar of a round length, about a fifth of the picture, on a pale ground at the lower left."""
    um_px = area.size.width * scale.mpp_x / picture.width
    most = max(0.22 * picture.width, unit.exact(60))
    length_um = round_length(most * um_px)
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    length, pad, size = length_um / um_px, unit.exact(12), unit.exact(24)
    box = max(length, width_of(label, size)) + 2 * pad
    bottom = picture.height - pad
    if box + 2 * pad > picture.width or unit.exact(70) > picture.height:
        return
    ground = Image.new("L", picture.size, 0)
    corner = (pad, bottom - unit.exact(58), pad + box, bottom)
    ImageDraw.Draw(ground).rounded_rectangle(corner, unit.exact(6), fill=225)
    picture.paste(WHITE, (0, 0), ground)
    draw = ImageDraw.Draw(picture)
    middle = pad + box / 2
    write(draw, (middle, corner[1] + unit.exact(8)), label, size, anchor="ma")
    bar, start = bottom - unit.exact(12), round(middle - length / 2)
    draw.rectangle((start, bar - unit.exact(6), start + round(length) - 1, bar), fill=BLACK)


def key_of(heat: Heat) -> Key:
    """Return what the panel explains: the colors as they look over tissue of a middling gray."""
    ramp = blend(np.full(256, 190, np.float32), HEAT)
    rows: tuple[tuple[tuple[int, int, int], str], ...] = ((TISSUE_COLOR, "tissue"),)
    if heat.threshold is not None:
        rows += ((BLACK, f"tiles with P >= {heat.threshold:.3g}"),)
    return Key(ramp, f"{heat.name} of each tile", heat.threshold, rows, low=heat.low, high=heat.high)
