"""A DICOM segmentation of a mask, lying on the series it was read from. Only on request: it must carry identifiers.

A segmentation is placed by UIDs: of the study, the series, each slice and the frame of reference. These are copied from
the series and nothing else of it: name, number, dates, sex and age of the patient stay empty. UIDs lead whoever has the
archive to the patient, so such a file is as confidential as the series itself. Written with pydicom alone, for highdicom's
writer copies the patient from the series; its reader is what tests hold these files against.

Source: DICOM PS3.3 2024, A.51 and C.8.20 (Segmentation), C.7.6.16 (functional groups).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import UID, ExplicitVRLittleEndian

from wsi import __version__
from wsi.errors import UsageError
from wsi.export.dicom_codes import ANATOMY, DERIVATION, SOURCE, cielab, code_item, structure_code
from wsi.printable import printable
from wsi.results import RESEARCH_USE, Structure
from wsi.results.mask import Mask

SEGMENTATION = UID("1.2.840.10008.5.1.4.1.1.66.4")
APART_MM = 0.05
"""How far the corner of a slice may lie from that of the mask's."""
TO_RAS = np.diag([-1.0, -1.0, 1.0])
"""DICOM's axes run to the left, the back and up; the mask's world to the right, the front and up."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What a segmentation needs of one slice of the series: where it lies, how large it is, and its UIDs."""

    study: str
    series: str
    frame_of_reference: str
    sop_class: str
    sop_instance: str
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    """mm between rows, and between columns."""
    rows: int
    columns: int
    thickness: float | None


def read_slices(files: Sequence[Path]) -> list[Slice]:
    """Return the slices of a series; UsageError for files that aren't slices of one."""
    found = [_slice(path) for path in files]
    if not found:
        raise UsageError("no file of the series was given")
    if len({(one.study, one.series, one.frame_of_reference, one.rows, one.columns) for one in found}) > 1:
        raise UsageError("the files are of several series; give those that the mask was made from")
    return found


def _slice(path: Path) -> Slice:
    wanted = [
        "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "SOPInstanceUID",
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "SliceThickness",
        "NumberOfFrames",
    ]  # fmt: skip
    try:
        header = pydicom.dcmread(path, specific_tags=list(wanted), stop_before_pixels=True)
        thickness, frames = header.get("SliceThickness"), int(header.get("NumberOfFrames") or 1)
        if frames == 1:
            return Slice(
                study=str(header.StudyInstanceUID),
                series=str(header.SeriesInstanceUID),
                frame_of_reference=str(header.FrameOfReferenceUID),
                sop_class=str(header.SOPClassUID),
                sop_instance=str(header.SOPInstanceUID),
                position=tuple(float(n) for n in header.ImagePositionPatient),
                orientation=tuple(float(n) for n in header.ImageOrientationPatient),
                spacing=(float(header.PixelSpacing[0]), float(header.PixelSpacing[1])),
                rows=int(header.Rows),
                columns=int(header.Columns),
                thickness=None if thickness is None else float(thickness),
            )
    except (OSError, AttributeError, TypeError, ValueError, pydicom.errors.InvalidDicomError):
        raise UsageError(
            f"{path.name}: not a slice of a DICOM series with a position and its UIDs; give a folder of the series alone"
        ) from None
    raise UsageError(
        f"{path.name}: {frames} slices in one file; a segmentation is written for series with a file a slice: split it, as "
        "dcm4che's `emf2sf` does, and run the model on the parts"
    )


def labels_of(one: Slice, mask: Mask) -> NDArray[np.uint8] | None:
    """Return the mask's labels on a slice `(rows, columns)`; None when the slice lies beyond the mask.

    Raises:
        UsageError: the grids don't meet: the mask wasn't made from this series.
    """
    along = np.array(one.orientation).reshape(2, 3) @ TO_RAS  # direction of columns' index, of rows' index
    inverse = np.linalg.inv(mask.affine)
    start = inverse[:3, :3] @ (TO_RAS @ np.array(one.position)) + inverse[:3, 3]
    by_column, by_row = (inverse[:3, :3] @ (along[n] * one.spacing[1 - n]) for n in (0, 1))
    ends = start + by_column * (one.columns - 1) + by_row * (one.rows - 1)
    off = np.abs(np.concatenate([start - np.rint(start), ends - np.rint(ends)])) * np.tile(mask.steps, 2)
    unit = all(np.abs(step).max() > 0.5 for step in (by_column, by_row))
    if not unit or off.max() > APART_MM:
        raise UsageError(
            f"a slice of the series lies {off.max():.3g} mm off the mask's grid; give the series that the mask was made from"
        )
    first, columns, rows = (np.rint(part).astype(int) for part in (start, by_column, by_row))
    places = first + np.arange(one.rows)[:, None, None] * rows + np.arange(one.columns)[None, :, None] * columns
    inside = ((places >= 0) & (places < mask.labels.shape)).all(axis=-1)
    if not inside.any():
        return None
    if not inside.all():
        raise UsageError("a slice of the series is larger than the mask; give the series that the mask was made from")
    found: NDArray[np.uint8] = mask.labels[places[..., 0], places[..., 1], places[..., 2]]
    return found


def make_seg(
    mask: Mask, structures: Sequence[Structure], slices: Sequence[Slice], *, model: str, when: datetime
) -> FileDataset:
    """Return a binary segmentation: a segment a structure, a frame for each slice that shows it.

    Args:
        model: id and version of the model, as the segments' algorithm.
        when: of the segmentation, which DICOM asks for; nothing of the series' own dates is copied.

    Raises:
        UsageError: the series isn't the mask's, or nothing is marked, which a segmentation can't say.
    """
    frames: list[tuple[int, Slice, NDArray[np.bool_]]] = []
    ordered = sorted(slices, key=lambda one: float(_normal(one) @ np.array(one.position)))
    for one in ordered:
        labels = labels_of(one, mask)
        for number in range(1, len(structures) + 1):
            if labels is not None and (labels == number).any():
                frames.append((number, one, labels == number))
    if not frames:
        raise UsageError("nothing is marked on these slices, and a DICOM segmentation without a frame isn't one")
    frames.sort(key=lambda frame: frame[0])
    seg = _dataset(mask, ordered[0], model, when)
    seg.SegmentSequence = [_segment(number, one, model) for number, one in enumerate(structures, 1)]
    _add_dimensions(seg)
    _add_references(seg, ordered)
    _add_frames(seg, frames, ordered)
    return seg


def _normal(one: Slice) -> NDArray[np.float64]:
    row, column = np.array(one.orientation).reshape(2, 3)
    return np.cross(row, column)


def _uid(*parts: object) -> UID:
    """Return a UID that depends on `parts` alone. Source: PS3.5, B.2 (2.25 and a UUID as a number)."""
    number = int.from_bytes(hashlib.sha256(" ".join(map(str, parts)).encode()).digest()[:16], "big")
    number = number & ~(0xF << 76) | (5 << 76)  # a UUID made from a name
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return UID(f"2.25.{number}")


def _dataset(mask: Mask, first: Slice, model: str, when: datetime) -> FileDataset:
    digest = hashlib.sha256(mask.labels.tobytes()).hexdigest()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SEGMENTATION
    meta.MediaStorageSOPInstanceUID = _uid(first.series, digest, model, when.isoformat())
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    seg = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    seg.SOPClassUID, seg.SOPInstanceUID = SEGMENTATION, meta.MediaStorageSOPInstanceUID
    for empty in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
        "AccessionNumber", "ReferringPhysicianName", "ContentCreatorName", "PositionReferenceIndicator",
    ):  # fmt: skip
        setattr(seg, empty, "")
    seg.StudyInstanceUID, seg.FrameOfReferenceUID = first.study, first.frame_of_reference
    seg.SeriesInstanceUID = _uid(first.series, model, when.isoformat())
    seg.Modality, seg.SeriesNumber, seg.InstanceNumber = "SEG", 1, 1
    seg.SeriesDescription = f"Segmentation, {RESEARCH_USE}"[:64]
    seg.SeriesDate = seg.ContentDate = when.strftime("%Y%m%d")
    seg.SeriesTime = seg.ContentTime = when.strftime("%H%M%S")
    seg.Manufacturer, seg.ManufacturerModelName = "wsi-run", "wsi-run"
    seg.DeviceSerialNumber, seg.SoftwareVersions = "0", __version__
    seg.ImageType, seg.ContentLabel = ["DERIVED", "PRIMARY"], "SEGMENTATION"
    seg.ContentDescription = RESEARCH_USE
    seg.SamplesPerPixel, seg.PhotometricInterpretation = 1, "MONOCHROME2"
    seg.Rows, seg.Columns = first.rows, first.columns
    seg.BitsAllocated, seg.BitsStored, seg.HighBit, seg.PixelRepresentation = 1, 1, 0, 0
    seg.LossyImageCompression, seg.SegmentationType, seg.SegmentsOverlap = "00", "BINARY", "NO"
    return seg


def _segment(number: int, one: Structure, model: str) -> Dataset:
    segment = Dataset()
    segment.SegmentNumber = number
    segment.SegmentLabel = printable(one.name)[:64]
    segment.SegmentAlgorithmType, segment.SegmentAlgorithmName = "AUTOMATIC", printable(model)[:64]
    segment.SegmentedPropertyCategoryCodeSequence = [code_item(ANATOMY)]
    segment.SegmentedPropertyTypeCodeSequence = [code_item(structure_code(one))]
    segment.RecommendedDisplayCIELabValue = cielab(one.color)
    return segment


def _add_dimensions(seg: FileDataset) -> None:
    organization = Dataset()
    organization.DimensionOrganizationUID = _uid(seg.SOPInstanceUID, "dimensions")
    seg.DimensionOrganizationSequence = [organization]
    seg.DimensionIndexSequence = []
    for pointer, group, label in (
        (0x0062000B, 0x0062000A, "ReferencedSegmentNumber"),
        (0x00200032, 0x00209113, "ImagePositionPatient"),
    ):
        index = Dataset()
        index.DimensionDescriptionLabel = label
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, group
        index.DimensionOrganizationUID = organization.DimensionOrganizationUID
        seg.DimensionIndexSequence.append(index)


def _add_references(seg: FileDataset, slices: Sequence[Slice]) -> None:
    series = Dataset()
    series.SeriesInstanceUID = slices[0].series
    series.ReferencedInstanceSequence = [_reference(one) for one in slices]
    seg.ReferencedSeriesSequence = [series]


def _reference(one: Slice) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = one.sop_class, one.sop_instance
    return reference


def _add_frames(
    seg: FileDataset, frames: Sequence[tuple[int, Slice, NDArray[np.bool_]]], slices: Sequence[Slice]
) -> None:
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [_decimal(n) for n in slices[0].orientation]
    measures.PixelSpacing = [_decimal(n) for n in slices[0].spacing]
    gap = _gap(slices)
    measures.SliceThickness = _decimal(gap)
    measures.SpacingBetweenSlices = _decimal(gap)
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    seg.SharedFunctionalGroupsSequence = [shared]
    places = {one.sop_instance: at for at, one in enumerate(slices, 1)}
    seg.PerFrameFunctionalGroupsSequence = [_frame(number, one, places[one.sop_instance]) for number, one, _ in frames]
    seg.NumberOfFrames = len(frames)
    seg.PixelData = pack_bits(np.stack([shown for _, _, shown in frames]).astype(np.uint8))


def _gap(slices: Sequence[Slice]) -> float:
    """Return mm between neighboring slices; of a single one its thickness."""
    places = [float(_normal(one) @ np.array(one.position)) for one in slices]
    if len(places) > 1:
        return float(np.median(np.diff(places)))
    return slices[0].thickness or 1.0


def _frame(number: int, one: Slice, place: int) -> Dataset:
    frame, content, plane, segment, derivation = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [number, place]
    plane.ImagePositionPatient = [_decimal(n) for n in one.position]
    segment.ReferencedSegmentNumber = number
    source = _reference(one)
    source.PurposeOfReferenceCodeSequence, source.SpatialLocationsPreserved = [code_item(SOURCE)], "YES"
    derivation.DerivationCodeSequence, derivation.SourceImageSequence = [code_item(DERIVATION)], [source]
    frame.FrameContentSequence, frame.PlanePositionSequence = [content], [plane]
    frame.SegmentIdentificationSequence, frame.DerivationImageSequence = [segment], [derivation]
    return frame


def _decimal(number: float) -> str:
    """Return a number as DICOM's decimal string: at most 16 characters."""
    for digits in range(15, 0, -1):
        if len(text := f"{number:.{digits}g}") <= 16:
            return text
    return "0"
