"""Planes in space to an even stack: their order, the gap between them and the affine of the whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsi.errors import FormatError, UnreadableError

SAME_TURN = 1e-3
"""Orientations agree when their direction cosines do to this (0.06 degrees)."""
UNEVEN = 0.01
"""Share of the gap by which gaps may differ."""
SAME_PLACE_MM = 1e-3
MAX_TILT = 0.5
"""Degrees between the line through the slices' corners and their normal; positions are rounded in files."""
_TO_RAS = np.diag([-1.0, -1.0, 1.0])
"""DICOM's world is left, back, up (LPS)."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One slice in DICOM's world: the center of its first px, the directions of its rows and columns, mm a px."""

    corner: tuple[float, float, float]
    along: tuple[float, float, float]
    down: tuple[float, float, float]
    spacing: tuple[float, float]
    """mm between rows, and between columns."""

    @classmethod
    def of(cls, position: Sequence[float], orientation: Sequence[float], spacing: Sequence[float]) -> "Plane":
        """Return the plane that three elements of a header describe.

        Raises:
            FormatError: one is missing. UnreadableError: they are no plane.
        """
        if len(position) != 3 or len(orientation) != 6 or len(spacing) != 2:
            raise FormatError(
                "it doesn't say where its slices lie (ImagePositionPatient, ImageOrientationPatient, PixelSpacing); "
                "expected slices in space: export the original series"
            )
        along, down = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
        lengths = np.linalg.norm(along), np.linalg.norm(down)
        if max(abs(length - 1) for length in lengths) > 0.01 or abs(along @ down) > 0.01 or min(spacing) <= 0:
            raise UnreadableError("its orientation or spacing is that of no plane; the header is damaged")
        along = along / lengths[0]
        down = down / lengths[1]
        return cls(_three(position), _three(along), _three(down), (float(spacing[0]), float(spacing[1])))


def _three(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


@dataclass(frozen=True, slots=True)
class Stack:
    """How planes lie on one another: their order along the normal, mm between them, the affine `(4, 4)` to RAS+."""

    order: tuple[int, ...]
    gap: float
    affine: NDArray[np.float64]


def stack_of(planes: Sequence[Plane], *, names: Sequence[str]) -> Stack:
    """Return the stack that planes make, the first being the lowest along the normal (rows x columns).

    The affine leads from (column, row, slice) to mm in RAS+.

    Args:
        names: what messages call the planes.

    Raises:
        FormatError: fewer than two planes; several orientations or spacings; two in one place (phases, echoes);
        missing slices; gaps that differ by more than 1 %; slices shifted against one another (gantry tilt).
    """
    if len(planes) < 2:
        raise FormatError("one slice alone; expected a volume of at least two")
    first = planes[0]
    turns = np.array([(*plane.along, *plane.down) for plane in planes])
    others = np.flatnonzero(np.abs(turns - turns[0]).max(axis=1) > SAME_TURN)
    if others.size:
        raise FormatError(
            f"slices of several orientations, {names[0]} and {names[others[0]]} (a localizer among them?); export one "
            "volume a series"
        )
    for plane, name in zip(planes, names, strict=True):
        if not np.allclose(plane.spacing, first.spacing, rtol=1e-3):
            raise FormatError(f"slices of several PixelSpacings, {names[0]} and {name}; export one volume a series")
    normal = np.cross(first.along, first.down)
    corners = np.array([plane.corner for plane in planes])
    heights = corners @ normal
    order = np.argsort(heights, kind="stable")
    gap = _even_gap(heights[order], [names[i] for i in order])
    step = (corners[order[-1]] - corners[order[0]]) / (len(planes) - 1)
    _check_line(corners[order], step, normal, first)
    lps = np.eye(4)
    lps[:3, 0] = np.asarray(first.along) * first.spacing[1]
    lps[:3, 1] = np.asarray(first.down) * first.spacing[0]
    lps[:3, 2] = step
    lps[:3, 3] = corners[order[0]]
    affine = lps.copy()
    affine[:3] = _TO_RAS @ lps[:3]
    return Stack(tuple(int(i) for i in order), gap, affine)


def _even_gap(heights: NDArray[np.float64], names: Sequence[str]) -> float:
    """Return mm between slices, the same everywhere; `heights` are theirs in mm along the normal, from the lowest."""
    gaps = np.diff(heights)

    def first(is_odd: NDArray[np.bool_]) -> str:
        at = int(np.argmax(is_odd))
        return f"{names[at]} at {heights[at]:.5g} and {names[at + 1]} at {heights[at + 1]:.5g} mm"

    same = int((gaps < SAME_PLACE_MM).sum())
    if same:
        raise FormatError(
            f"{same + 1} of {len(gaps) + 1} slices lie where another does (phases, echoes, or a file twice), first "
            f"{first(gaps < SAME_PLACE_MM)}; export one volume a series"
        )
    usual = float(np.median(gaps))
    off = np.abs(gaps - usual) > UNEVEN * usual
    if off.any():
        times = gaps[off] / usual
        if (np.abs(times - np.rint(times)) < UNEVEN * times).all() and (times > 1.5).all():
            missing = int((np.rint(times) - 1).sum())
            raise FormatError(
                f"{missing} of {len(gaps) + 1 + missing} slices are missing, first between {first(off)}; export the whole "
                "series"
            )
        raise FormatError(
            f"gaps between slices from {gaps.min():g} to {gaps.max():g} mm, first between {first(off)}; expected even "
            "ones, to 1 %: resample it first"
        )
    return float(gaps.mean())


def _check_line(
    corners: NDArray[np.float64], step: NDArray[np.float64], normal: NDArray[np.float64], first: Plane
) -> None:
    """Refuse slices whose corners don't lie on one line along their normal."""
    away = np.linalg.norm(corners - corners[0] - np.arange(len(corners))[:, None] * step, axis=1).max()
    if away > 0.1 * min(first.spacing):
        raise FormatError(
            f"slices are shifted against one another by up to {away:.2g} mm (the patient or table moved?); resample it first"
        )
    tilt = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    if tilt > MAX_TILT:
        raise FormatError(
            f"each slice lies {tilt:.1f} degrees off the normal (gantry tilt); resample it to a straight stack first, as "
            "dcm2niix does"
        )
