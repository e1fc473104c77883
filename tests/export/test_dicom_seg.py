"""Claims about DICOM segmentations, as pydicom reads them back."""

import io
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.export.cases import NO_VERDICT, make_case, make_result
from wsi.errors import UsageError
from wsi.export.dicom_codes import cielab, structure_code
from wsi.export.dicom_seg import SEGMENTATION, make_seg, read_slices
from wsi.export.dicom_seg_file import write_seg
from wsi.field import Field
from wsi.read import find_slides
from wsi.read.field_reader import read_field
from wsi.results import Structure
from wsi.results.mask import Mask, write_mask

WHEN = datetime(2026, 1, 2, 3, 4, 5)
ORGANS = [
    Structure(
        name="liver", color=[255, 255, 255], code="SCT:10200004", meaning="Liver", samples=1, amount=1, unit="ml"
    ),
    Structure(name="thing", color=[0, 0, 0], samples=1, amount=1, unit="ml"),
]
SECRETS = {
    "PatientName": "SECRET^NAME",
    "PatientID": "SECRETID",
    "PatientBirthDate": "19010203",
    "InstitutionName": "SECRETPLACE",
}


def draw_series(folder: Path, *, slices: int = 6, seed: int = 0) -> Path:
    """Write an oblique CT series, 12 x 10 px, whose files' names are in another order than its slices."""
    rng = np.random.default_rng(seed)
    a, b = np.radians(20), np.radians(-12)
    row = np.array([np.cos(a), np.sin(a), 0])
    column = np.array([-np.sin(a) * np.cos(b), np.cos(a) * np.cos(b), np.sin(b)])
    normal = np.cross(row, column)
    study, series, frame = (generate_uid(entropy_srcs=[f"{seed}{n}"]) for n in range(3))
    folder.mkdir()
    for at, name in enumerate(rng.permutation(slices)):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[f"{seed} slice {at}"])
        one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        for key, value in SECRETS.items():
            setattr(one, key, value)
        one.Modality, one.InstanceNumber = "CT", int(name) + 1
        one.ImagePositionPatient = [f"{n:.8f}" for n in np.array([-50, 20, 300]) + normal * 2.5 * at]
        one.ImageOrientationPatient = [f"{n:.10f}" for n in (*row, *column)]
        one.PixelSpacing, one.SliceThickness = ["0.8", "0.7"], "3"
        one.Rows, one.Columns, one.SamplesPerPixel, one.PhotometricInterpretation = 12, 10, 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.RescaleSlope, one.RescaleIntercept = "1", "0"
        one.PixelData = rng.integers(-100, 100, (12, 10)).astype("<i2").tobytes()
        one.save_as(folder / f"{name}.dcm", enforce_file_format=True)
    return folder


@pytest.fixture
def series(tmp_path: Path) -> Path:
    return draw_series(tmp_path / "series")


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def mask_of(folder: Path) -> Mask:
    """Return random labels on the grid that the series is read on; the last slice has none."""
    field: Field = read_field(files_of(folder)).field
    labels = np.random.default_rng(1).integers(0, 3, field.shape).astype(np.uint8)
    labels[..., -1] = 0
    return Mask(labels, field.affine, field.steps, ("i", "j", "k"), "mm")


def written(folder: Path, mask: Mask) -> pydicom.FileDataset:
    """Return the segmentation as it is read back from its bytes."""
    seg = make_seg(mask, ORGANS, read_slices(files_of(folder)), model="organs 1", when=WHEN)
    buffer = io.BytesIO()
    seg.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


def places(seg: pydicom.FileDataset) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield each frame's segment, the place of its px in RAS+ mm `(rows, columns, 3)`, and what it marks.

    Source: PS3.3, equation C.7.6.2.1-1.
    """
    shared = seg.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down, across = (float(n) for n in shared.PixelMeasuresSequence[0].PixelSpacing)
    r, c = np.indices((seg.Rows, seg.Columns))
    for frame, px in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        start = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        lps = start + orientation[:3] * across * c[..., None] + orientation[3:] * down * r[..., None]
        yield frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber, lps * (-1, -1, 1), px.astype(bool)


def test_every_voxel_lies_where_the_mask_has_it(series: Path) -> None:
    mask = mask_of(series)
    found = np.zeros_like(mask.labels)
    inverse = np.linalg.inv(mask.affine)
    for number, ras, shown in places(written(series, mask)):
        index = ras[shown] @ inverse[:3, :3].T + inverse[:3, 3]
        assert np.abs(index - np.rint(index)).max() < 1e-3
        found[tuple(np.rint(index).astype(int).T)] = number
    assert np.array_equal(found, mask.labels)


def test_frames_are_those_slices_that_show_a_segment(series: Path) -> None:
    mask = mask_of(series)
    seg = written(series, mask)
    shown = sum((mask.labels == n).any(axis=(0, 1)).sum() for n in (1, 2))
    assert int(seg.NumberOfFrames) == shown == 10
    assert (seg.SOPClassUID, seg.Modality, seg.SegmentationType) == (SEGMENTATION, "SEG", "BINARY")


def test_each_frame_names_the_slice_it_lies_on(series: Path) -> None:
    slices = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, files_of(series))}
    seg = written(series, mask_of(series))
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = slices[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        here = [float(n) for n in frame.PlanePositionSequence[0].ImagePositionPatient]
        assert here == pytest.approx([float(n) for n in source.ImagePositionPatient])
    referenced = {one.ReferencedSOPInstanceUID for one in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced == set(slices)
    first = next(iter(slices.values()))
    assert (seg.StudyInstanceUID, seg.FrameOfReferenceUID) == (first.StudyInstanceUID, first.FrameOfReferenceUID)
    assert seg.SeriesInstanceUID != first.SeriesInstanceUID


def test_gap_is_between_slices_and_not_their_thickness(series: Path) -> None:
    measures = written(series, mask_of(series)).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == pytest.approx(2.5, abs=1e-5)


def test_segments_are_coded(series: Path) -> None:
    coded, own = written(series, mask_of(series)).SegmentSequence
    kind = coded.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning) == ("10200004", "SCT", "Liver")
    assert coded.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"
    assert (coded.SegmentAlgorithmType, coded.SegmentAlgorithmName) == ("AUTOMATIC", "organs 1")
    assert own.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator.startswith("99")


def test_structures_without_codes_whose_names_begin_alike_get_different_ones() -> None:
    names = ("right ventricular cavity", "right ventricular myocardium", "aorta")
    codes = [structure_code(ORGANS[1].model_copy(update={"name": name})) for name in names]
    assert len({one.value for one in codes}) == 3
    assert all(len(one.value) <= 16 for one in codes), "PS3.5, table 6.2-1: SH"
    assert [one.meaning for one in codes] == [*names]
    assert codes[2].value == "aorta"


def test_nothing_of_the_patient_is_copied_but_uids(series: Path) -> None:
    seg = written(series, mask_of(series))
    text = seg.to_json() + str(seg)
    assert not any(secret in text for secret in SECRETS.values())
    assert seg.PatientName == seg.PatientID == seg.PatientBirthDate == seg.PatientSex == ""


def test_same_call_gives_the_same_uids_and_another_mask_others(series: Path) -> None:
    mask = mask_of(series)
    other = Mask(np.roll(mask.labels, 1, axis=0), mask.affine, mask.steps, mask.axes, mask.unit)
    one, two, three = (written(series, each).SOPInstanceUID for each in (mask, mask, other))
    assert one == two != three
    assert one.is_valid


def test_another_series_is_refused(series: Path, tmp_path: Path) -> None:
    mask = mask_of(series)
    moved = mask.affine.copy()
    moved[0, 3] += 0.4
    with pytest.raises(UsageError, match="mm off the mask's grid"):
        written(series, Mask(mask.labels, moved, mask.steps, mask.axes, mask.unit))
    other = draw_series(tmp_path / "other", seed=5)
    with pytest.raises(UsageError, match="several series"):
        read_slices([*files_of(series), *files_of(other)])


def test_empty_mask_is_said(series: Path) -> None:
    mask = mask_of(series)
    with pytest.raises(UsageError, match="nothing is marked"):
        written(series, Mask(np.zeros_like(mask.labels), mask.affine, mask.steps, mask.axes, mask.unit))


def test_file_that_is_no_slice_is_named(series: Path) -> None:
    (series / "notes.txt").write_text("no DICOM")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        read_slices(files_of(series))


def test_file_of_several_frames_is_told_what_to_do(tmp_path: Path, series: Path) -> None:
    one = pydicom.dcmread(files_of(series)[0])
    one.NumberOfFrames = 2
    del one.ImagePositionPatient
    one.save_as(tmp_path / "mr.dcm")
    with pytest.raises(UsageError, match=r"mr\.dcm: 2 slices in one file; .*`emf2sf`") as told:
        read_slices([tmp_path / "mr.dcm"])
    assert "Error" not in str(told.value)


def test_only_files_of_the_cases_own_series_are_taken(tmp_path: Path, series: Path) -> None:
    (found,) = find_slides(tmp_path)
    draw_series(tmp_path / "other", seed=5)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for folder in ("series", "other"):
        for path in (tmp_path / folder).iterdir():
            path.rename(mixed / f"{folder} {path.name}")
    (mixed / "notes.txt").write_text("no DICOM")
    field = read_field(sorted(mixed.glob("series *"))).field
    labels = np.ones(field.shape, np.uint8)
    case = tmp_path / "case"
    make_case(case, make_result(None, **{**NO_VERDICT, "slide": found.id, "structures": ORGANS[:1]}), None)
    write_mask(case / "mask.h5", Mask(labels, field.affine, field.steps, ("i", "j", "k"), "mm"))
    assert write_seg(tmp_path / "seg.dcm", case, mixed, when=WHEN) == 6
    series_uid = pydicom.dcmread(next(mixed.glob("series *"))).SeriesInstanceUID
    assert pydicom.dcmread(tmp_path / "seg.dcm").ReferencedSeriesSequence[0].SeriesInstanceUID == series_uid


def test_white_and_black_have_the_lab_values_of_the_standard() -> None:
    assert cielab([255, 255, 255]) == pytest.approx([65535, 32896, 32896], abs=40)
    assert cielab([0, 0, 0]) == [0, 32896, 32896]
