"""What a reader gives: one open slide."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from wsi.geometry import Bounds, Level, Mpp, Region, Size

KEPT_PROPERTIES = (
    "openslide.vendor",
    "openslide.objective-power",
    "openslide.mpp-x",
    "openslide.mpp-y",
    "openslide.bounds-x",
    "openslide.bounds-y",
    "openslide.bounds-width",
    "openslide.bounds-height",
)
"""Properties that are ever looked at. Labels, macro images, names, dates and free text are not."""


class Source(Protocol):
    """One open slide, whatever its format.

    levels: level 0 first, never empty. bounds: the part of level 0 that holds the scan. metadata_mpp: as the
    file says it, not checked for sense; None when it says nothing. properties: of KEPT_PROPERTIES only.
    """

    @property
    def reader(self) -> str: ...
    @property
    def levels(self) -> tuple[Level, ...]: ...
    @property
    def bounds(self) -> Bounds: ...
    @property
    def metadata_mpp(self) -> Mpp | None: ...
    @property
    def properties(self) -> Mapping[str, str]: ...

    def read_region(self, region: Region, /) -> NDArray[np.uint8]:
        """Return the px of `region` as `(height, width, 3)` uint8 RGB; white beyond the slide and where it is clear.

        Raises:
            RegionError: a part of it can't be decoded; the next call works again.
        """
        ...

    def close(self) -> None:
        """Free the file."""
        ...


@runtime_checkable
class Shrinking(Protocol):
    """A source whose levels can also be decoded at a fraction of their size, for much less than decoding them whole.

    A px is then about the mean of the shrink x shrink px that it stands for: on average within 1 gray level of it.
    """

    def shrinks(self, level: int, /) -> tuple[int, ...]:
        """Return what `Region.shrink` may be for this level, 1 among it."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A source that keeps what it decoded for the next region, as long as regions come in rows from the top."""

    def forget(self) -> None:
        """Free that memory, before other regions are read."""
        ...


@runtime_checkable
class Framed(Protocol):
    """A source with stored frames to look at, some of which can be handed on as they are, JPEG files.

    Of a level whose downsample is no whole number they may lie a px beside `read_region`'s.
    """

    def frame_size(self, level: int, /) -> Size | None:
        """Return the size in px of the frames of a level; None where they aren't known."""
        ...

    def jpeg_frame(self, level: int, column: int, row: int, /) -> bytes | None:
        """Return a frame as a JPEG file with no word besides the px; None where that one can't be.

        Raises:
            RegionError: it can't be decoded.
        """
        ...

    def frame_px(self, level: int, column: int, row: int, /) -> NDArray[np.uint8] | None:
        """Return the px `(height, width, 3)` of a frame as far as the level reaches; None where only a region tells.

        Raises:
            RegionError: it can't be decoded.
        """
        ...


class Reader(Protocol):
    """A way to open slides; other packages offer theirs by the entry point group wsi.readers."""

    def sniff(self, path: Path, head: bytes) -> bool:
        """Return whether the file, which starts with `head`, may be of this reader's formats."""
        ...

    def open(self, path: Path) -> Source:
        """Open the slide; SlideError when it can't be."""
        ...
