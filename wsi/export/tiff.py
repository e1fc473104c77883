"""heatmap.ome.tiff: the tile scores as a pyramid that lies on the slide, in colors.

Pixels are colors, not values: QuPath, Bio-Formats, OpenSlide and tiffslide all show them as they are. Where the
slide is in them is said by the physical size of a pixel; the picture covers exactly the part that QuPath shows.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import tifffile
from numpy.typing import NDArray

from wsi.export.colors import HEAT, heat_index
from wsi.export.grid import Grid, fit, lay_out, sample
from wsi.export.heat import Heat, heat_of, heat_share
from wsi.export.place import Origin, shown
from wsi.export.words import model_hash, notice, referral, verdict
from wsi.geometry import Bounds
from wsi.printable import printable
from wsi.publish import publishing, sha256_file
from wsi.results import Result, Scale, Scores

NAME = "heatmap.ome.tiff"
LONGEST_PX = 8192
PX_A_CELL = 4
"""Cells don't lie on the picture's px, so a border is off by up to half a px: 1/8 of a cell."""
TILE_PX = 256
SMALLEST_PX = 512
"""The coarsest level is no longer than this."""
MAX_STRETCH = 0.005
"""Share by which a side may be rounded so that every level halves exactly."""
_BAND_ROWS = 512
_LEVEL = 6
"""Of zlib."""
_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_WHITE = (255, 255, 255)


def write_heatmap_tiff(path: Path, result: Result, scores: Scores, *, origin: Origin = "qupath") -> str:
    """Publish the heatmap of a slide with a scale and N >= 1 tiles, and return the file's sha256.

    Args:
        origin: "qupath" covers the slide's bounds, "level0" the whole of the file's level 0.
    """
    heat = heat_of(result)
    assert result.scale is not None
    assert heat is not None
    area = shown(result.scale, origin)
    grid = lay_out(scores.coords, heat_share(heat, scores), result.scale)
    width, height, levels = pyramid_size(*fit(area, LONGEST_PX, finest=min(grid.cell_x, grid.cell_y) / PX_A_CELL))
    shades = _shades(grid, area, width, height)
    description = _describe(result, heat, area, origin, width, height)
    with publishing(path) as part:
        _write(part, shades, levels, description, _px_um(result.scale, area, width, height))
        return sha256_file(part)


def pyramid_size(width: int, height: int) -> tuple[int, int, int]:
    """Return width, height and number of levels: sides are rounded so that every level is half of the one before.

    A long thin picture, whose short side can't be rounded by less than MAX_STRETCH, gets fewer levels.
    """
    levels = 1 + max(0, math.ceil(math.log2(max(width, height) / SMALLEST_PX)))
    while levels > 1:
        step = 1 << (levels - 1)
        sides = [step * max(1, round(side / step)) for side in (width, height)]
        if all(abs(new - old) <= MAX_STRETCH * old for new, old in zip(sides, (width, height), strict=True)):
            return sides[0], sides[1], levels
        levels -= 1
    return width, height, 1


def _px_um(scale: Scale, area: Bounds, width: int, height: int) -> tuple[float, float]:
    return area.size.width * scale.mpp_x / width, area.size.height * scale.mpp_y / height


def _shades(grid: Grid, area: Bounds, width: int, height: int) -> NDArray[np.uint8]:
    """Return `(height, width)`: 0 where no tile lies, else 1-255 as the score rises. One byte a px, built in bands."""
    shades = np.zeros((height, width), np.uint8)
    for top in range(0, height, _BAND_ROWS):
        rows = slice(top, min(top + _BAND_ROWS, height))
        values = sample(grid, area, width=width, height=height, rows=rows)
        shades[rows] = np.where(np.isnan(values), 0, np.maximum(heat_index(values), 1))
    return shades


def _halve(shades: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean of each 2 x 2 px, over those that hold a tile."""
    height, width = shades.shape
    blocks = shades.reshape(height // 2, 2, width // 2, 2)
    total = blocks.sum(axis=(1, 3), dtype=np.uint16)
    count = (blocks > 0).sum(axis=(1, 3), dtype=np.uint16)
    mean: NDArray[np.uint16] = (total + count // 2) // np.maximum(count, np.uint16(1))
    return mean.astype(np.uint8)


def _colors(shades: NDArray[np.uint8]) -> NDArray[np.uint8]:
    table = HEAT.copy()
    table[0] = _WHITE
    colored: NDArray[np.uint8] = table[shades]
    return colored


def _blocks(shades: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield the TIFF's tiles in RGB, row by row, those at the border filled up with white."""
    for top in range(0, shades.shape[0], TILE_PX):
        for left in range(0, shades.shape[1], TILE_PX):
            block = np.zeros((TILE_PX, TILE_PX), np.uint8)
            piece = shades[top : top + TILE_PX, left : left + TILE_PX]
            block[: piece.shape[0], : piece.shape[1]] = piece
            yield _colors(block)


def _write(path: Path, shades: NDArray[np.uint8], levels: int, description: bytes, px_um: tuple[float, float]) -> None:
    with path.open("wb") as file, tifffile.TiffWriter(file, ome=False) as tiff:
        for level in range(levels):
            tiff.write(
                _blocks(shades),
                shape=(*shades.shape, 3),
                dtype=np.uint8,
                photometric="rgb",
                planarconfig="contig",
                tile=(TILE_PX, TILE_PX),
                compression="adobe_deflate",
                compressionargs={"level": _LEVEL},
                subifds=levels - 1 if level == 0 else None,
                subfiletype=0 if level == 0 else 1,
                description=description if level == 0 else None,
                resolution=(1e4 / px_um[0] / 2**level, 1e4 / px_um[1] / 2**level),
                resolutionunit="CENTIMETER",
                software="wsi-run",
                datetime=None,
                metadata=None,
                maxworkers=1,
            )
            if level < levels - 1:
                shades = _halve(shades)


def _describe(result: Result, heat: Heat, area: Bounds, origin: Origin, width: int, height: int) -> bytes:
    """Return the OME-XML, in ASCII: what the picture is, how large a px is, and where its corner lies on the slide."""
    assert result.scale is not None
    x_um, y_um = _px_um(result.scale, area, width, height)
    model = result.provenance
    facts = {
        "Notice": result.notice,
        "Slide": result.slide,
        "Shows": f"{heat.name} of each tile",
        "Verdict": verdict(result),
        "Refer": referral(result),
        "Model": f"{model.model} {model.model_version}" if model else "",
        "ModelSHA256": model_hash(result),
        "Origin": origin,
        "OriginX": str(area.location.x),
        "OriginY": str(area.location.y),
        "Level0PxPerPxX": f"{area.size.width / width:.10g}",
        "Level0PxPerPxY": f"{area.size.height / height:.10g}",
    }
    values = "".join(f"<M K={quoteattr(key)}>{escape(printable(value))}</M>" for key, value in facts.items())
    size = f'SizeX="{width}" SizeY="{height}" SizeZ="1" SizeC="3" SizeT="1"'
    physical = "".join(
        f' PhysicalSize{axis}="{um!r}" PhysicalSize{axis}Unit="µm"' for axis, um in zip("XY", (x_um, y_um), strict=True)
    )
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="{_NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{_NAMESPACE} {_NAMESPACE}/ome.xsd" Creator="wsi-run">'
        f'<Image ID="Image:0" Name={quoteattr(printable(result.slide) + " heatmap")}>'
        f"<Description>{escape(notice(result))}</Description>"
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" Interleaved="true" {size}{physical}>'
        '<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="1"/></Pixels>'
        '<AnnotationRef ID="Annotation:0"/></Image>'
        '<StructuredAnnotations><MapAnnotation ID="Annotation:0" Namespace="wsi-run/heatmap">'
        f"<Value>{values}</Value></MapAnnotation></StructuredAnnotations></OME>"
    )
    return xml.encode("ascii", "xmlcharrefreplace")
