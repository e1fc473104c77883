"""What the page asks of a slide's px: its levels, tiles of them, and pieces of level 0; and what is kept of the answers."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol

CACHE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class ViewLevel:
    """One level as it is shown.

    width, height: px of the level. downsample: level-0 px per px of it. tile_px: side of its tiles; those at the right
    and lower border are as small as what is left.
    """

    width: int
    height: int
    downsample: float
    tile_px: int

    @property
    def columns(self) -> int:
        return -(-self.width // self.tile_px)

    @property
    def rows(self) -> int:
        return -(-self.height // self.tile_px)


class TileKey(NamedTuple):
    """One tile of all: of a slide, by its level, column and row."""

    slide: str
    level: int
    column: int
    row: int


@dataclass(frozen=True, slots=True)
class View:
    """A slide as it is shown: level-0 px, its levels (the largest first), and µm per px when the file says it."""

    width: int
    height: int
    levels: tuple[ViewLevel, ...]
    mpp: float | None

    def holds(self, key: TileKey) -> bool:
        """Return whether there is such a tile."""
        if not 0 <= key.level < len(self.levels):
            return False
        level = self.levels[key.level]
        return 0 <= key.column < level.columns and 0 <= key.row < level.rows

    def tile_px0(self, level: int) -> float:
        """Return the side of a level's tiles in level-0 px."""
        return self.levels[level].downsample * self.levels[level].tile_px


@dataclass(frozen=True, slots=True)
class Piece:
    """A box in level-0 px, and the longest side in px of the picture that is made of it."""

    x: int
    y: int
    width: int
    height: int
    px: int


class Tiles(Protocol):
    """A way to the px of the slides of a run, by id. Any thread may ask.

    All but `has` raise AbsentError (the slide isn't where it lay), SlideError (RegionError: that part can't be decoded)
    or ChildError (the decoder died or hung).
    """

    def has(self, slide: str, /) -> bool:
        """Return whether the slide's place is known; nothing is opened."""
        ...

    def look(self, slide: str, /, *, ahead: bool = False) -> View:
        """Return the slide's size, levels and scale; with `ahead` nobody waits for it, so one process is enough."""
        ...

    def tile(self, key: TileKey, /) -> bytes:
        """Return one tile as a JPEG; the caller keeps level, column and row within `look`'s."""
        ...

    def tile_soon(self, key: TileKey, /) -> Future[bytes]:
        """Return the tile to come, of a slide that was looked at; the disk isn't waited for.

        Raises:
            AbsentError: it must be looked at again, as the bytes to come may be too.
        """
        ...

    def tiles_ahead(self, keys: Sequence[TileKey], take: Callable[[TileKey, bytes], object], /) -> None:
        """Give these tiles to `take` when nobody waits for others, unless other ones are asked for ahead before that.

        `take` is called in any thread. Raises AbsentError as `tile_soon` does.
        """
        ...

    def crop(self, slide: str, piece: Piece, /) -> bytes:
        """Return a piece of level 0 as a JPEG."""
        ...


class Kept:
    """Answers by key, the least used dropped first beyond a number of bytes. Any thread may use it."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit = limit_bytes
        self._found: OrderedDict[object, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    def get(self, key: object) -> bytes | None:
        with self._lock:
            found = self._found.get(key)
            if found is not None:
                self._found.move_to_end(key)
            return found

    def put(self, key: object, content: bytes) -> bytes:
        """Keep `content`, unless it alone is too large, and return it."""
        if len(content) > self._limit:
            return content
        with self._lock:
            self.bytes += len(content) - len(self._found.pop(key, b""))
            self._found[key] = content
            while self.bytes > self._limit:
                self.bytes -= len(self._found.popitem(last=False)[1])
        return content
