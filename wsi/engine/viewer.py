"""The viewing process: it opens slides to be looked at and gives tiles and pieces of them as JPEG.

Run as `python -m wsi.engine.viewer` by Child. It keeps a few slides open and answers: open, tile, crop, each with bytes.
"""

import json
from collections import OrderedDict
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from wsi.engine.child import Message, send, serve
from wsi.engine.view_frames import ViewFrames
from wsi.errors import AbsentError, RegionError, WsiError
from wsi.geometry import MPP_MAX, MPP_MIN, Point, Region, Size, best_level
from wsi.read import (  # the readers are loaded before the first slide, not with it
    Framed,
    Source,
    dicom_reader,  # noqa: F401
    direct_source,
    open_slide,
    openslide_reader,
    tiffslide_reader,  # noqa: F401
)
from wsi.read.find import mark_of

OPEN_SLIDES = 8
TILE_PX = 256
"""Side of the tiles of a level whose stored frames are of no use as they are."""
COARSEST_PX = 4096
"""A slide whose coarsest level is larger than this gets smaller ones, made as they are asked for."""
SHRINKS = 4, 16
"""How much smaller: a tile is made of 4,096 x 4,096 px of the stored level at most."""
MAX_PIECE_PX = 16 << 20
"""px of the level that a piece may be made of."""
_FRAME_PX = range(128, 1025)
"""Sides of stored frames that are handed on: smaller ones are too many, larger ones too much at once."""
_QUALITY = 88


@dataclass(frozen=True, slots=True)
class Step:
    """A level as it is shown: a stored level, over `shrink`; size in its own px, and the side of its tiles."""

    level: int
    shrink: int
    size: Size
    downsample: float
    tile_px: int
    is_framed: bool
    """Whether its tiles are the stored frames."""

    def region(self, column: int, row: int) -> Region:
        """Return what a tile is made of, in px of the stored level."""
        left, top = column * self.tile_px, row * self.tile_px
        size = Size(min(self.tile_px, self.size.width - left), min(self.tile_px, self.size.height - top))
        place = Point(round(left * self.downsample), round(top * self.downsample))
        return Region(place, self.level, Size(size.width * self.shrink, size.height * self.shrink))


def steps_of(source: Source) -> tuple[Step, ...]:
    """Return the levels that are shown of a slide, the largest first."""
    steps = []
    for number, level in enumerate(source.levels):
        frame_px = _frame_px(source, number)
        steps.append(Step(number, 1, level.size, level.downsample, frame_px or TILE_PX, bool(frame_px)))
    last = steps[-1]
    for shrink in SHRINKS:
        if max(steps[-1].size.width, steps[-1].size.height) > COARSEST_PX:
            size = Size(max(1, last.size.width // shrink), max(1, last.size.height // shrink))
            steps.append(Step(last.level, shrink, size, last.downsample * shrink, TILE_PX, False))
    return tuple(steps)


def _frame_px(source: Source, level: int) -> int | None:
    """Return the side of the stored frames where they are square and known; None where tiles are cut otherwise."""
    size = source.frame_size(level) if isinstance(source, Framed) else None
    return size.width if size and size.width == size.height and size.width in _FRAME_PX else None


class Shown:
    """One open slide."""

    def __init__(self, path: Path, frames: ViewFrames, *, whole: bool = False) -> None:
        """Open a slide, or with `whole` a picture as models of pictures read it."""
        self._source = _picture(path) if whole else _slide(path)
        self._frames = frames
        self.steps = steps_of(self._source)

    def about(self) -> Message:
        """Return how the slide is shown, and of which levels the tiles are the stored frames."""
        mpp, full = self._source.metadata_mpp, self._source.levels[0].size
        return {
            "width": full.width,
            "height": full.height,
            "levels": [
                {"width": s.size.width, "height": s.size.height, "downsample": s.downsample, "tile_px": s.tile_px}
                for s in self.steps
            ],
            "framed": [number for number, step in enumerate(self.steps) if step.is_framed],
            "mpp": mpp.mean if mpp and MPP_MIN <= mpp.mean <= MPP_MAX else None,
        }

    def tile(self, level: int, column: int, row: int) -> bytes:
        step, source = self.steps[level], self._source
        if step.is_framed and isinstance(source, Framed):
            stored = source.jpeg_frame(step.level, column, row)
            if stored is not None:
                return stored
            frame = source.frame_px(step.level, column, row)
            if frame is not None:
                return jpeg(frame)
        pixels = self._frames.region(source, step.region(column, row))
        return jpeg(np.asarray(Image.fromarray(pixels).reduce(step.shrink)) if step.shrink > 1 else pixels)

    def crop(self, x: int, y: int, width: int, height: int, px: int) -> bytes:
        levels, longest = self._source.levels, max(width, height)
        level = best_level(levels, max(1.0, longest / px))
        downsample = levels[level].downsample
        size = Size(max(1, round(width / downsample)), max(1, round(height / downsample)))
        if size.area > MAX_PIECE_PX:
            raise RegionError(f"a piece of {size.width} x {size.height} px is too large to be shown at once")
        image = Image.fromarray(self._frames.region(self._source, Region(Point(x, y), level, size)))
        image.thumbnail((px, px), Image.Resampling.BICUBIC, reducing_gap=2.0)
        return jpeg(np.asarray(image))

    def close(self) -> None:
        self._frames.forget(self._source)
        self._source.close()


def _slide(path: Path) -> Source:
    source = open_slide(path)
    is_dicom = source.reader == openslide_reader.NAME and source.properties.get("openslide.vendor") == "dicom"
    return direct_source.direct_dicom(source, path) if is_dicom else source


def _picture(path: Path) -> Source:
    from wsi.engine.picture_view import PictureSource  # loads scipy, which slides have no use for

    return PictureSource(path)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Return px `(height, width, 3)` as JPEG, colors at half the size."""
    pixels = np.ascontiguousarray(pixels)
    return bytes(simplejpeg.encode_jpeg(pixels, quality=_QUALITY, colorspace="RGB", colorsubsampling="420"))


class Shelf:
    """The slides that this process has open, the one longest unused closed first."""

    def __init__(self) -> None:
        self._frames = ViewFrames()
        self._open: OrderedDict[tuple[str, tuple[int, ...], bool], Shown] = OrderedDict()

    def answer(self, pipe: Connection, message: Message, _blobs: list[bytes]) -> None:
        shown = self._shown(Path(message["path"]), tuple(message["mark"]), whole=message["whole"])
        match message["do"]:
            case "open":
                send(pipe, {}, json.dumps(shown.about()).encode())
            case "tile":
                send(pipe, {}, shown.tile(message["level"], message["column"], message["row"]))
            case "crop":
                send(pipe, {}, shown.crop(**message["piece"]))
            case other:
                raise WsiError(f"the viewing process was asked for {other!r}, which it doesn't know")

    def _shown(self, path: Path, mark: tuple[int, ...], *, whole: bool) -> Shown:
        """Return the open slide; AbsentError when its file isn't the one of that mark any more."""
        try:
            is_same = mark_of(path) == mark
        except OSError as error:
            raise AbsentError("the slide isn't where it lay a moment ago") from error
        if not is_same:
            raise AbsentError("the slide's file was changed a moment ago")
        key = (str(path), mark, whole)
        shown = self._open.get(key)
        if shown is None:
            shown = self._open[key] = Shown(path, self._frames, whole=whole)
            while len(self._open) > OPEN_SLIDES:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return shown


if __name__ == "__main__":
    serve(Shelf().answer)
