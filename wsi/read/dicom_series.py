"""The slices of a DICOM series, or the frames of one file, as a volume: sorted by where they lie, nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from wsi.errors import FormatError, UnreadableError
from wsi.field import volume_field
from wsi.read.codecs import Layout, frame, layout_of
from wsi.read.dicom_file import fault_of, named_faults, number, numbers, open_dicom, shown_names
from wsi.read.dicom_shown import measured, padded, rescaled
from wsi.read.field_info import MEASURED, FieldInfo, FieldReading, check_room
from wsi.read.finite import made_finite
from wsi.read.stack import Plane, Stack, stack_of

BYTES_A_SAMPLE = 10
"""Memory a sample of a volume takes while it is read: its float, its place in order, and as int16."""
INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True)
class Slice:
    """Where one slice lies, and where it is stored."""

    path: Path
    index: int
    plane: Plane
    slope: float | None
    """Rescale slope and intercept of this frame, when the frame says them itself."""
    intercept: float
    thickness: float | None


def read_dicom_series(
    files: Sequence[Path], headers: Sequence[pydicom.Dataset], modality: str, *, limit: int
) -> FieldReading:
    """Return a volume, axes (i, j, k): along the columns, the rows and the slices, its affine to RAS+ mm.

    Slices are sorted by their positions along the normal of their planes; file names, numbers and SliceThickness
    decide nothing. Values are measured ones (HU): int16 where that keeps them, else float32.

    Args:
        headers: of each file, as `open_dicom` gives it.

    Raises:
        FormatError: slices that make no even stack, by name (see `stack_of`); colors; films.
        UnreadableError: damaged. TooLargeError: it claims more than `limit` bytes.
    """
    with named_faults():
        layouts = _layouts(files, headers, limit)
        slices: list[Slice] = []
        for path, header, each in zip(files, headers, layouts, strict=True):
            with fault_of(path, among=files):
                slices += _slices(path, header, each)
        stack = stack_of([one.plane for one in slices], names=_names(files, slices))
        ordered = [slices[i] for i in stack.order]
        count = len(ordered) * layouts[0].rows * layouts[0].columns
        check_room(count * BYTES_A_SAMPLE, limit, what="the volume")
        values, findings = _values(ordered, layouts[0], limit)
    folders = len({path.parent for path in files})
    findings += [f"slices of one series from {folders} folders"] * (folders > 1) + _thickness(ordered, stack)
    if layouts[0].kind == "MONOCHROME1":
        findings.append("MONOCHROME1 has no meaning for measured values: not inverted")
    field = volume_field(values.transpose(2, 1, 0)[None], stack.affine, MEASURED)  # (1, i, j, k)
    info = FieldInfo("dicom", modality, 3, MEASURED, layouts[0].stored, field.steps, tuple(findings))
    return FieldReading(field, info)


def _layouts(files: Sequence[Path], headers: Sequence[pydicom.Dataset], limit: int) -> list[Layout]:
    """Return how each file's px are stored, all of them alike."""
    found: list[Layout] = []
    for path, header in zip(files, headers, strict=True):
        with fault_of(path, among=files):
            found.append(layout_of(header, limit=limit))
        if found[-1].shape != found[0].shape:
            raise FormatError(
                f"slices of different sizes, first {shown_names(files)[path]}; expected one volume: export one series"
            )
    if found[0].samples > 1 or found[0].kind == "PALETTE COLOR":
        raise FormatError("a stack of color pictures; expected one value a sample")
    return found


def has_place(header: pydicom.Dataset) -> bool:
    """Return whether a file says where its slices lie."""
    return bool(header.get("ImagePositionPatient")) or bool(header.get("PerFrameFunctionalGroupsSequence"))


def _slices(path: Path, header: pydicom.Dataset, layout: Layout) -> Iterator[Slice]:
    """Yield the slices of a file: one, or as many as it has frames."""
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        if layout.frames > 1:
            raise FormatError(f"{layout.frames} frames without positions in space (a film); expected slices")
        plane = Plane.of(
            numbers(header, "ImagePositionPatient"),
            numbers(header, "ImageOrientationPatient"),
            numbers(header, "PixelSpacing"),
        )
        thick = numbers(header, "SliceThickness")
        yield Slice(path, 0, plane, None, 0.0, thick[0] if thick else None)
        return
    if len(groups) != layout.frames:
        raise UnreadableError(f"positions of {len(groups)} frames, but {layout.frames} frames; the header is damaged")
    shared = (header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    for index, group in enumerate(groups):
        measures = _part("PixelMeasuresSequence", group, shared)
        plane = Plane.of(
            numbers(_part("PlanePositionSequence", group, shared), "ImagePositionPatient"),
            numbers(_part("PlaneOrientationSequence", group, shared), "ImageOrientationPatient"),
            numbers(measures, "PixelSpacing"),
        )
        scale = _part("PixelValueTransformationSequence", group, shared)
        slope = number(scale, "RescaleSlope", 1) if "RescaleSlope" in scale else None
        thickness = numbers(measures, "SliceThickness")
        intercept = number(scale, "RescaleIntercept", 0)
        yield Slice(path, index, plane, slope, intercept, thickness[0] if thickness else None)


def _names(files: Sequence[Path], slices: Sequence[Slice]) -> list[str]:
    """Return what messages call the slices: the file, and where one has several, the number of the frame from 1."""
    known = shown_names(files)
    several = len(slices) > len(files)
    return [known[one.path] + (f" frame {one.index + 1}" if several else "") for one in slices]


def _part(name: str, group: pydicom.Dataset, shared: pydicom.Dataset) -> pydicom.Dataset:
    """Return one functional group of a frame: its own, else the one that all share, else an empty one."""
    for place in (group, shared):
        if place.get(name):
            found: pydicom.Dataset = place[name].value[0]
            return found
    return pydicom.Dataset()


def _values(ordered: Sequence[Slice], layout: Layout, limit: int) -> tuple[NDArray[Any], list[str]]:
    """Return the samples `(k, rows, columns)`, and what was noticed."""
    values = np.empty((len(ordered), layout.rows, layout.columns), np.float32)
    padding: list[tuple[int, NDArray[np.bool_]]] = []
    opened: tuple[Path, pydicom.Dataset, Layout] | None = None
    files = [*{one.path: None for one in ordered}]
    for k, one in enumerate(ordered):
        with fault_of(one.path, among=files):
            if opened is None or opened[0] != one.path:
                found = open_dicom(one.path, limit=limit, pixels=True)
                opened = one.path, found, layout_of(found, limit=limit)
            samples = frame(opened[1], opened[2], one.index)[..., 0]
            if one.slope is None:
                values[k] = measured(samples, opened[1])
            else:
                values[k] = rescaled(samples, one.slope or 1.0, one.intercept)
            beyond = padded(samples, opened[1], opened[2])
            if beyond is not None:
                padding.append((k, beyond))
    findings = _fill(values, padding)
    finite, more = made_finite(values)
    low, high = float(finite.min()), float(finite.max())
    if INT16.min <= low <= high <= INT16.max and all(np.array_equal(plane, np.rint(plane)) for plane in finite):
        return finite.astype(np.int16), findings + more
    return finite, findings + more


def _fill(values: NDArray[np.float32], padding: Sequence[tuple[int, NDArray[np.bool_]]]) -> list[str]:
    """Set padding to the least value of what isn't."""
    if not padding:
        return []
    is_real = np.ones(values.shape, bool)
    for k, beyond in padding:
        is_real[k] = ~beyond
    if not is_real.any():
        raise UnreadableError("all of its px are padding; export it again")
    least = float(values[is_real].min())
    values[~is_real] = least
    return ["padding set to the least value"]


def _thickness(ordered: Sequence[Slice], stack: Stack) -> list[str]:
    thick = {one.thickness for one in ordered if one.thickness is not None}
    if thick and max(abs(each - stack.gap) for each in thick) > 0.01 * stack.gap:
        return [f"SliceThickness {max(thick):g} mm isn't the gap of {stack.gap:g} mm between slices: the gap was taken"]
    return []
