"""What the decoder process says of a slide it has opened."""

from wsi.config import Strict
from wsi.geometry import Bounds, Level, Mpp, MppSource, Point, Size
from wsi.read import Source


class SlideInfo(Strict):
    """An open slide in plain numbers, as they cross a process border and stay in stages.json."""

    reader: str
    levels: list[list[float]]
    """width, height, downsample of each level."""
    bounds_px0: list[int]
    """x, y, width, height of the scan in level-0 px."""
    mpp_x: float
    mpp_y: float
    mpp_source: MppSource

    @classmethod
    def of(cls, source: Source, mpp: Mpp) -> "SlideInfo":
        b = source.bounds
        return cls(
            reader=source.reader,
            levels=[[v.size.width, v.size.height, v.downsample] for v in source.levels],
            bounds_px0=[b.location.x, b.location.y, b.size.width, b.size.height],
            mpp_x=mpp.x,
            mpp_y=mpp.y,
            mpp_source=mpp.source,
        )

    @property
    def pyramid(self) -> tuple[Level, ...]:
        return tuple(Level(Size(int(w), int(h)), d) for w, h, d in self.levels)

    @property
    def size(self) -> Size:
        return self.pyramid[0].size

    @property
    def bounds(self) -> Bounds:
        x, y, width, height = self.bounds_px0
        return Bounds(Point(x, y), Size(width, height))

    @property
    def mpp(self) -> Mpp:
        return Mpp(self.mpp_x, self.mpp_y, self.mpp_source)

    @property
    def offset(self) -> tuple[int, int]:
        """Where QuPath's origin lies, in level-0 px of the file."""
        return self.bounds_px0[0], self.bounds_px0[1]
