"""The decoder process: all that touches a slide's bytes runs here, where a crash costs one tile.

Run as `python -m wsi.engine.reader` by Child. It keeps one slide open and answers: open, survey, tiles; or one image
that is read whole: field, samples.
"""

import io
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsi.config import ReadConfig, TissueConfig
from wsi.engine.child import Message, receive, send, serve
from wsi.engine.ring import Ring
from wsi.engine.slide_info import SlideInfo
from wsi.errors import RegionError, WsiError
from wsi.geometry import Mpp, Point, Size
from wsi.read import READERS, Remembering, Source, check_brightfield, open_slide, resolve_mpp
from wsi.read.opening import AUTO
from wsi.read.stained import check_stained
from wsi.tile import Footprint, best_reading, read_tile, read_window
from wsi.tissue import Thumbnail, drawn_tissue, find_tissue, measure_blur, read_thumbnail, to_geojson

THUMBNAIL_PX = 2048
SEVERAL = -2
"""The sign of progress while several threads read: of a crash nobody then knows which tile it was."""


class Desk:
    """The one open slide of this process."""

    def __init__(self) -> None:
        self._source: Source | None = None
        self._mpp: Mpp | None = None
        self._scaled = True
        self._field: Any = None
        """The one image read whole, where one is open."""

    def answer(self, pipe: Connection, message: Message, blobs: list[bytes]) -> None:
        match message["do"]:
            case "open":
                send(pipe, self._open(message))
            case "survey":
                self._survey(pipe, message)
            case "reading":
                source, footprint = self._slide()[0], Footprint(**message["footprint"])
                reading = best_reading(source, footprint, message["tile_px"], scaled=self._scaled)
                send(pipe, {"step": reading.step})
            case "tiles":
                self._tiles(pipe, message, np.frombuffer(blobs[0], np.int32).reshape(-1, 2))
            case "field":
                self._field = None
                self._field = prepared = _prepared(message)
                send(pipe, {"facts": prepared.facts.model_dump()}, prepared.thumbnail)
            case "samples":
                self._samples(pipe)
            case "hello":
                send(pipe, {"hello": True})
            case other:
                raise WsiError(f"the decoder process was asked for {other!r}, which it doesn't know")

    def close(self) -> None:
        """Close the slide that is open, if any."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _open(self, message: Message) -> Message:
        self.close()
        config, row = ReadConfig.model_validate(message["read"]), message["mpp_row"]
        self._source = open_slide(Path(message["path"]), reader=config.reader)
        if config.reader == AUTO:
            check_stained(self._source, message["relative"])
        self._scaled = config.scaled
        self._mpp = resolve_mpp(self._source, message["relative"], config, row=tuple(row) if row else None)
        return SlideInfo.of(self._source, self._mpp).model_dump()

    def _survey(self, pipe: Connection, message: Message) -> None:
        """Find the tissue, or take the polygons a person drew; send the thumbnail and tissue.geojson."""
        source, mpp = self._slide()
        config = TissueConfig.model_validate(message["tissue"])
        progress = Ring(int(sys.argv[4]), slots=0, slot_bytes=0)
        thumbnail = read_thumbnail(source, mpp, target_mpp=config.mpp, tick=lambda: progress.mark(-1))
        check_brightfield(thumbnail.pixels, message["relative"])
        if message["annotation"]:
            tissue = drawn_tissue(Path(message["annotation"]), bounds=source.bounds, mpp=mpp)
        else:
            tissue = find_tissue(thumbnail, mpp, config)
        tissue = measure_blur(tissue, source, mpp, tick=lambda: progress.mark(-1))
        if isinstance(source, Remembering):
            source.forget()
        geojson = to_geojson(tissue, slide=message["slide"], offset=Point(*message["offset"]))
        facts = {
            "reason": tissue.reason,
            "area_mm2": tissue.area_mm2,
            "flaws": dict(tissue.flaws),
            "stain": tissue.stain,
            "source": tissue.source,
        }
        send(pipe, facts, _jpeg(thumbnail), geojson)

    def _tiles(self, pipe: Connection, message: Message, coords: NDArray[np.int32]) -> None:
        """Fill slot after slot with tiles from `start` on; an unreadable tile is named, not painted."""
        ring = Ring(int(sys.argv[4]), slots=message["slots"], slot_bytes=message["slot_bytes"])
        batch, threads = message["batch"], message["threads"] if self._slide()[0].reader in READERS else 1
        read = self._cutter(message, coords)
        free = list(range(ring.slots))
        with ThreadPoolExecutor(threads, "decode") as pool:
            for start in range(message["start"], len(coords), batch):
                if not free:
                    free.append(receive(pipe)[0]["free"])
                slot, count = free.pop(0), min(batch, len(coords) - start)
                tiles = ring.tiles(slot, Size(*message["size"]))

                def fill(i: int, start: int = start, tiles: NDArray[np.uint8] = tiles) -> bool:
                    ring.mark(start + i if threads == 1 else SEVERAL)
                    try:
                        tiles[i] = read(start + i)
                    except RegionError:
                        tiles[i] = 0
                        return False
                    return True

                good = list(pool.map(fill, range(count)) if threads > 1 else map(fill, range(count)))
                ring.mark(-1)
                bad = [i for i in range(count) if not good[i]]
                send(pipe, {"slot": slot, "start": start, "count": count, "bad": bad})
        while len(free) < ring.slots:
            free.append(receive(pipe)[0]["free"])
        send(pipe, {"end": True})

    def _cutter(self, message: Message, coords: NDArray[np.int32]) -> Callable[[int], NDArray[np.uint8]]:
        """Return what reads the tile, or the window it is made from, of an index into `coords`."""
        source, _ = self._slide()
        footprint, tile_px, lost = Footprint(**message["footprint"]), message["tile_px"], set(message["lost"])
        reading = best_reading(source, footprint, tile_px, scaled=self._scaled)
        size = Size(*message["size"])

        def read(index: int) -> NDArray[np.uint8]:
            x, y = coords[index].tolist()
            if index in lost:
                raise RegionError(f"the tile at {x}, {y} stopped the decoder before")
            if message["is_window"]:
                return read_window(source, x, y, reading=reading, size=size)
            return read_tile(source, x, y, footprint=footprint, tile_px=tile_px, reading=reading)

        return read

    def _samples(self, pipe: Connection) -> None:
        """Send the samples of the open image, and which of them are foreground."""
        if self._field is None:
            raise WsiError("the decoder process has no image open")
        values, foreground = self._field.field.values, self._field.foreground
        masks = [] if foreground is None else [np.packbits(foreground).tobytes()]
        send(pipe, {"dtype": values.dtype.name}, values.tobytes(), *masks)

    def _slide(self) -> tuple[Source, Mpp]:
        if self._source is None or self._mpp is None:
            raise WsiError("the decoder process has no slide open")
        return self._source, self._mpp


def _prepared(message: Message) -> Any:
    """Return the image that a `field` request names, ready for its network."""
    from wsi.card_image import AcceptsField
    from wsi.engine.field_desk import prepare  # brings scipy and its readers, which slides have no use for

    accepts = AcceptsField.model_validate(message["accepts"])
    return prepare([Path(file) for file in message["files"]], accepts, message["relative"])


def _jpeg(thumbnail: Thumbnail) -> bytes:
    image = Image.fromarray(thumbnail.pixels)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


if __name__ == "__main__":
    serve(Desk().answer)
