"""The near side of the decoder process: ask it for a slide's facts and tiles, and outlive its deaths."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsi.card_image import AcceptsField
from wsi.config import EngineConfig, ReadConfig, TissueConfig
from wsi.engine.child import Child, Message
from wsi.engine.field_facts import FieldFacts, Grid
from wsi.engine.ring import Ring, shared_file
from wsi.engine.slide_info import SlideInfo
from wsi.errors import ChildError, CrashError
from wsi.field import Field
from wsi.geometry import Size
from wsi.tile import Footprint, Window, find_window

SLOTS = 4
"""Batches that may wait between decoder and encoder: enough to overlap, little to hold."""
SLOW = 4
"""Opening a slide and reading its thumbnail give no sign of progress, so they get this many times longer."""
MAX_DEATHS = 24
"""A slide whose tiles kill the decoder more often than this is given up."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some tiles of a plan: `start` is the index of the first; `bad` marks the unreadable ones.

    px `(B, height, width, 3)` uint8, valid until the next batch is asked for; bad `(B,)` bool. The px are the tiles
    themselves, or with a `window` what each is to be resampled from.
    """

    start: int
    px: NDArray[np.uint8]
    bad: NDArray[np.bool_]
    window: Window | None


class Decoder:
    """A decoder process with one slide open at a time."""

    def __init__(self, config: EngineConfig) -> None:
        self._stall_s = config.stall_s
        self._shared = shared_file()
        memory = round(config.reader_memory_gb * 2**30)
        self._child = Child("wsi.engine.reader", memory_bytes=memory, shared=(self._shared,))
        self._progress = Ring(self._shared, slots=0, slot_bytes=0)
        self._opened: Message | None = None

    def open(self, path: Path, relative: str, config: ReadConfig, *, mpp_row: list[float] | None = None) -> SlideInfo:
        """Open a slide; a crash is tried once more.

        Args:
            mpp_row: µm per px (x, y) that the user's table says of this slide.

        Raises:
            SlideError: it can't be used. ChildError: the decoder died or hung twice.
        """
        self._opened = {
            "do": "open",
            "path": str(path),
            "relative": relative,
            "read": config.model_dump(),
            "mpp_row": mpp_row,
        }
        message, _ = self._ask(self._opened)
        return SlideInfo.model_validate(message)

    def open_field(self, files: Sequence[str], relative: str, accepts: AcceptsField) -> tuple[FieldFacts, bytes]:
        """Read an image whole and return its facts and thumbnail.jpg; a crash is tried once more.

        Raises:
            SlideError: it can't be read, or isn't what the card accepts. ChildError: the decoder died or hung twice.
        """
        self._opened = {
            "do": "field",
            "files": list(files),
            "relative": relative,
            "accepts": accepts.model_dump(mode="json"),
        }
        message, blobs = self._ask(self._opened)
        return FieldFacts.model_validate(message["facts"]), blobs[0]

    def samples(self, grid: Grid) -> tuple[Field, NDArray[np.bool_] | None]:
        """Return the open image on its grid after preprocessing, and where its foreground is; None: everywhere."""
        message, blobs = self._ask({"do": "samples"})
        shape = (len(grid.channels), *grid.shape)
        values = np.frombuffer(blobs[0], np.dtype(message["dtype"])).reshape(shape)
        if len(blobs) == 1:
            return grid.filled(values), None
        bits = np.unpackbits(np.frombuffer(blobs[1], np.uint8), count=math.prod(grid.shape))
        return grid.filled(values), bits.reshape(grid.shape).astype(bool)

    def survey(
        self, slide: str, relative: str, config: TissueConfig, *, annotation: Path | None, offset: tuple[int, int]
    ) -> tuple[Message, bytes, bytes]:
        """Return the tissue's facts, thumbnail.jpg and tissue.geojson of the open slide."""
        message, blobs = self._ask(
            {
                "do": "survey",
                "slide": slide,
                "relative": relative,
                "tissue": config.model_dump(),
                "annotation": str(annotation) if annotation else None,
                "offset": list(offset),
            }
        )
        return message, blobs[0], blobs[1]

    def tiles(
        self, coords: NDArray[np.int32], *, footprint: Footprint, tile_px: int, batch: int, threads: int = 1
    ) -> Iterator[Batch]:
        """Yield all tiles in order, batch by batch, while the decoder reads on ahead: see Batch.

        A tile that kills or hangs the decoder is tried once more, then counted as unreadable. After a death of a
        decoder of several threads the rest is read by one, so that it is known which tile it was.

        Raises:
            ChildError: the decoder died too often.
        """
        asked = {"do": "reading", "footprint": asdict(footprint), "tile_px": tile_px}
        step = self._ask(asked)[0]["step"]
        window = find_window(step, coords, footprint=footprint, tile_px=tile_px)
        size = window.size if window else Size(tile_px, tile_px)
        ring = Ring(self._shared, slots=SLOTS, slot_bytes=batch * size.area * 3)
        request: Message = {
            "do": "tiles",
            "slots": SLOTS,
            "slot_bytes": ring.slot_bytes,
            "footprint": asdict(footprint),
            "tile_px": tile_px,
            "batch": batch,
            "size": [size.width, size.height],
            "is_window": window is not None,
            "threads": threads,
        }
        lost: set[int] = set()
        suspects: list[int] = []
        start = 0
        while start < len(coords):
            try:
                for message in self._stream(request, coords, start, lost, ring):
                    yield _batch(message, ring, size, window)
                    start = message["start"] + message["count"]
                return
            except ChildError as error:
                if request["threads"] > 1:
                    request["threads"] = 1
                    continue
                tile = ring.sign[0]
                suspects.append(tile)
                if len(suspects) > MAX_DEATHS or suspects.count(-1) > 2:
                    raise CrashError(f"the decoder failed {len(suspects)} times on this slide: {error}") from error
                if tile >= 0 and suspects.count(tile) > 1:
                    lost.add(tile)

    def _stream(
        self, request: Message, coords: NDArray[np.int32], start: int, lost: set[int], ring: Ring
    ) -> Iterator[Message]:
        """Yield the decoder's messages, one a batch; a caller that leaves early costs the process, not its order."""
        finished = False
        ring.mark(-1)
        self._revive()
        try:
            self._child.send({**request, "start": start, "lost": sorted(lost)}, coords.tobytes())
            while True:
                message, _ = self._child.receive(self._stall_s, alive=lambda: ring.sign)
                if "end" in message:
                    finished = True
                    return
                yield message
                self._child.send({"free": message["slot"]})
        finally:
            if not finished:
                self._child.stop()

    def _ask(self, request: Message) -> tuple[Message, list[bytes]]:
        try:
            return self._ask_once(request)
        except ChildError:
            return self._ask_once(request)

    def _ask_once(self, request: Message) -> tuple[Message, list[bytes]]:
        if request is not self._opened:
            self._revive()
        self._child.send(request)
        return self._child.receive(SLOW * self._stall_s, alive=lambda: self._progress.sign)

    def _revive(self) -> None:
        """Start the process and open the slide in it again, when it is gone."""
        assert self._opened is not None, "open a slide first"
        if not self._child.running:
            self._child.send(self._opened)
            self._child.receive(SLOW * self._stall_s)

    def stop(self) -> None:
        """End the process."""
        self._child.stop()


def _batch(message: Message, ring: Ring, size: Size, window: Window | None) -> Batch:
    count, is_tile = message["count"], window is None or window.is_tile
    bad = np.zeros(count, bool)
    bad[message["bad"]] = True
    return Batch(message["start"], ring.tiles(message["slot"], size)[:count], bad, None if is_tile else window)
