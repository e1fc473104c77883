"""µm per px: where it is said, and whether it can be true."""

import contextlib
import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

from wsi.config import ReadConfig
from wsi.errors import ConfigError, MppConflictError, MppMissingError, MppRangeError
from wsi.geometry import MPP_MAX, MPP_MIN, Mpp, MppSource
from wsi.read.source import Source

MAX_ANISOTROPY = 1.05
"""Scanners have square px to within this; more is a wrong entry."""
MAX_POWER_RATIO = 2.0
"""mpp times objective power is 10 to within this factor on every scanner."""
OBJECTIVE_UM = 10.0
MAX_TABLE_BYTES = 64 << 20
_OME_UM = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3}
_UM_PER_UNIT = {2: 25400.0, 3: 10000.0}
_FIX = "give the true value with --mpp (or --mpp-table) and --mpp-override"


def resolve_mpp(source: Source, slide: str, config: ReadConfig, *, row: tuple[float, float] | None = None) -> Mpp:
    """Return the slide's µm per px: from its metadata, its TIFF tags, the user's table, the command line.

    Args:
        slide: what messages call it.
        row: what the user's table says of this slide.

    Raises:
        MppMissingError, MppRangeError, MppConflictError: it isn't said, can't be true, or is contradicted.
    """
    given = _given(config, row)
    if given is not None and config.mpp_override:
        return given
    found = source.metadata_mpp
    if found is None:
        if given is None:
            raise MppMissingError(
                f"{slide}: the file doesn't say how many µm a pixel is; give it with --mpp, or for many slides "
                "with --mpp-table"
            )
        _check_range(given, slide, "use --mpp-override if it is true")
        _check_square(given, slide, "correct the table, or use --mpp-override if it is true")
        return given
    _check_range(found, slide, _FIX)
    _check_conflicts(found, source, slide)
    if row is not None and not agrees_with_table(found, row):
        raise MppConflictError(
            f"{slide}: the file says {found.mean:.4g} µm/px ({found.source}), the table {row[0]:.4g}; correct the "
            "table, or add --mpp-override to believe it"
        )
    return found


def agrees_with_table(mpp: Mpp, row: tuple[float, float]) -> bool:
    """Return whether the user's table says the same of a slide as the slide itself, to within a tenth."""
    return _agree(mpp.mean, math.sqrt(row[0] * row[1]), 1.1)


def _given(config: ReadConfig, row: tuple[float, float] | None) -> Mpp | None:
    if row is not None:
        return Mpp(*row, source="table")
    return Mpp(config.mpp, config.mpp, source="command-line") if config.mpp else None


def _check_range(mpp: Mpp, slide: str, next_step: str) -> None:
    if not all(MPP_MIN <= value <= MPP_MAX for value in (mpp.x, mpp.y)):
        raise MppRangeError(
            f"{slide}: {mpp.mean:.4g} µm/px ({mpp.source}) is outside {MPP_MIN} to {MPP_MAX}, which no slide "
            f"scanner makes; {next_step}"
        )


def _check_conflicts(mpp: Mpp, source: Source, slide: str) -> None:
    _check_square(mpp, slide, _FIX)
    power = _number(source.properties.get("openslide.objective-power", ""))
    if power is not None and not _agree(mpp.mean * power, OBJECTIVE_UM, MAX_POWER_RATIO):
        raise MppConflictError(
            f"{slide}: {mpp.mean:.4g} µm/px contradicts the objective of {power:g}x (about "
            f"{OBJECTIVE_UM / power:.2g} µm/px); {_FIX}"
        )


def _check_square(mpp: Mpp, slide: str, next_step: str) -> None:
    if not _agree(mpp.x, mpp.y, MAX_ANISOTROPY):
        raise MppConflictError(f"{slide}: {mpp.x:.4g} µm/px along x but {mpp.y:.4g} along y; {next_step}")


def _agree(one: float, other: float, factor: float) -> bool:
    return max(one, other) <= factor * min(one, other)


def _number(text: object) -> float | None:
    """Return a finite positive number, None for anything else."""
    with contextlib.suppress(TypeError, ValueError):
        value = float(text)  # type: ignore[arg-type]
        if math.isfinite(value) and value > 0:
            return value
    return None


def stated_mpp(properties: Mapping[str, object], x: str, y: str, source: MppSource = "metadata") -> Mpp | None:
    """Return the µm per px that two properties state; None unless both are finite and positive.

    Zero, negative or non-numeric entries count as not said: scanners write 0 for "unknown".
    """
    values = _number(properties.get(x)), _number(properties.get(y))
    return Mpp(values[0], values[1], source=source) if values[0] and values[1] else None


def tiff_tag_mpp(path: Path) -> Mpp | None:
    """Return the µm per px in the resolution tags of a TIFF's first page; None when they say nothing."""
    import tifffile

    with contextlib.suppress(tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, ZeroDivisionError):
        with tifffile.TiffFile(path) as file:
            tags = file.pages[0].tags  # type: ignore[union-attr]
            um = _UM_PER_UNIT.get(int(tags["ResolutionUnit"].value))
            per_unit = [tags[name].value for name in ("XResolution", "YResolution")]
            values = [um * low / high for high, low in per_unit] if um else []
            return stated_mpp(dict(enumerate(values)), 0, 1, "tiff-tags") if values else None  # type: ignore[arg-type]
    return None


def ome_mpp(file: Any) -> Mpp | None:
    """Return the µm per px that OME-XML states for the first image of an open tifffile; None when it says nothing."""
    import tifffile

    if not file.is_ome:
        return None
    try:
        images = tifffile.xml2dict(file.ome_metadata or "")["OME"]["Image"]
        pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
        units = [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "XY"]
    except (KeyError, TypeError, ValueError, IndexError, SyntaxError, AttributeError):
        return None
    if any(unit not in _OME_UM for unit in units):
        return None
    stated = stated_mpp(pixels, "PhysicalSizeX", "PhysicalSizeY")
    return stated and Mpp(stated.x * _OME_UM[units[0]], stated.y * _OME_UM[units[1]], source="metadata")


def ome_file_mpp(path: Path) -> Mpp | None:
    """Return the µm per px that a TIFF's OME-XML states; None when it has none, or says nothing."""
    import tifffile

    faults = (tifffile.TiffFileError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
    with contextlib.suppress(*faults), tifffile.TiffFile(path) as file:
        return ome_mpp(file)
    return None


@dataclass(frozen=True, slots=True)
class MppTable:
    """µm per px of slides by relative path, file name or name without suffix."""

    rows: Mapping[str, tuple[float, float]]

    def find(self, relative: str) -> tuple[float, float] | None:
        """Return (x, y) for a slide; the relative path wins over the name."""
        name = relative.rsplit("/", 1)[-1]
        for key in (relative, name, name.rsplit(".", 1)[0]):
            if key in self.rows:
                return self.rows[key]
        return None


def read_mpp_table(path: Path) -> MppTable:
    """Read a CSV with the columns slide and mpp, or slide, mpp_x and mpp_y.

    Raises:
        ConfigError: not such a table, or a value that isn't a positive number; the message names the line.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_TABLE_BYTES:
            raise ConfigError(f"{path}: expected a CSV file of at most {MAX_TABLE_BYTES >> 20} MB")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = {(name or "").strip().lower(): name for name in reader.fieldnames or []}
            if "slide" not in columns or not ({"mpp"} <= set(columns) or {"mpp_x", "mpp_y"} <= set(columns)):
                raise ConfigError(
                    f"{path}: expected the columns slide and mpp (or mpp_x and mpp_y), found {', '.join(columns) or 'none'}"
                )
            x, y = ("mpp", "mpp") if "mpp" in columns else ("mpp_x", "mpp_y")
            if len(columns) < len(reader.fieldnames or []):
                raise ConfigError(f"{path}: two columns of one name among {', '.join(reader.fieldnames or [])}")
            rows: dict[str, tuple[float, float]] = {}
            for row in reader:
                if None in row:
                    raise ConfigError(
                        f"{path}:{reader.line_num}: more values than the {len(columns)} columns; write numbers with a "
                        "point, and quote a name with a comma"
                    )
                slide = normalize("NFC", (row[columns["slide"]] or "").strip())
                values = _number(row[columns[x]]), _number(row[columns[y]])
                if not slide or values[0] is None or values[1] is None:
                    raise ConfigError(
                        f"{path}:{reader.line_num}: expected a slide and a positive number of µm per px, found "
                        f"{slide!r}, {row[columns[x]]!r}, {row[columns[y]]!r}"
                    )
                if rows.setdefault(slide, (values[0], values[1])) != (values[0], values[1]):
                    raise ConfigError(f"{path}:{reader.line_num}: {slide!r} stands twice with different values")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: can't be read as CSV ({error})") from error
    return MppTable(rows)
