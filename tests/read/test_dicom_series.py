"""A CT series as a volume: where its slices lie decides, and what makes no volume is refused by name."""

import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.make_radiology import CORNER, GAP, LABELS, SPACING, dicom, lps, phantom, series
from wsi.errors import FormatError, TooLargeError, UnreadableError
from wsi.read.field_reader import read_field

HU, SEGMENTATION = phantom()
SYNTAXES = (
    *(ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1),
    RLELossless,
)


def reference(folder: Path) -> Any:
    """Return the segmentation as NIfTI, in RAS order, its affine worked out from the drawing by hand."""
    affine = np.array(
        [[-SPACING[1], 0, 0, -CORNER[0]], [0, -SPACING[0], 0, -CORNER[1]], [0, 0, GAP, CORNER[2]], [0, 0, 0, 1]]
    )
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(SEGMENTATION.transpose(2, 1, 0), affine))
    nibabel.save(image, folder / "segmentation.nii.gz")
    return nibabel.load(folder / "segmentation.nii.gz")


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_volume_lands_on_its_segmentation_with_no_residual(syntax: Any, tmp_path: Path) -> None:
    found = read_field(series(tmp_path / "ct", syntax=syntax))
    labels = reference(tmp_path)
    matrix = np.linalg.inv(labels.affine) @ found.field.affine
    assert np.abs(matrix - np.rint(matrix)).max() < 1e-9
    index = np.moveaxis(np.indices(found.field.shape), 0, -1) @ np.rint(matrix[:3, :3]).T + np.rint(matrix[:3, 3])
    mapped = np.asarray(labels.dataobj)[tuple(np.moveaxis(index.astype(int), -1, 0))]
    assert {label: float(np.median(found.field.values[0][mapped == label])) for label in LABELS} == {
        label: value for label, (_, value) in LABELS.items()
    }
    assert np.array_equal(found.field.values[0], HU.transpose(2, 1, 0))
    assert found.field.values.dtype == np.int16


def test_thickness_that_is_not_the_gap_is_told(tmp_path: Path) -> None:
    found = read_field(series(tmp_path))
    assert found.info.findings == ("SliceThickness 3 mm isn't the gap of 2.5 mm between slices: the gap was taken",)
    assert np.allclose(found.info.spacing or (), (2.0, 1.5, 2.5))
    assert (found.info.modality, found.info.axes, found.info.channels) == ("CT", 3, ("value",))


def test_order_of_files_changes_nothing(tmp_path: Path) -> None:
    paths = series(tmp_path)
    shuffled = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]
    first, second = read_field(paths), read_field(shuffled)
    assert np.array_equal(first.field.values, second.field.values)
    assert np.array_equal(first.field.affine, second.field.affine)


def test_sagittal_series_keeps_its_turn(tmp_path: Path) -> None:
    positions = {i: {"ImagePositionPatient": [5.0 + GAP * i, -3.0, 40.0]} for i in range(9)}
    paths = series(tmp_path, changes=positions, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    found = read_field(paths)
    assert np.allclose(found.field.to_world([0, 0, 0]), found.field.affine[:3, 3])
    # columns run to the back (-A), rows down (-S); rows x columns = (0,1,0) x (0,0,-1) = (-1,0,0): from left to right
    assert np.allclose(found.field.affine[:3, 0], [0, -2.0, 0])
    assert np.allclose(found.field.affine[:3, 1], [0, 0, -1.5])
    assert np.allclose(found.field.affine[:3, 2], [GAP, 0, 0])
    assert np.array_equal(found.field.values[0], HU[::-1].transpose(2, 1, 0))


def test_oblique_positions_rounded_as_files_round_them_are_even(tmp_path: Path) -> None:
    angle = np.radians(17)
    along, down = [np.cos(angle), 0, -np.sin(angle)], [0, 1, 0]
    normal = np.cross(along, down)
    changes = {
        i: {"ImagePositionPatient": [round(float(v), 3) for v in np.array(CORNER) + normal * GAP * i]} for i in range(9)
    }
    found = read_field(
        series(tmp_path, changes=changes, ImageOrientationPatient=[round(float(v), 6) for v in (*along, *down)])
    )
    assert np.allclose(found.info.spacing or (), (2.0, 1.5, 2.5), atol=1e-3)


def test_rescaling_of_each_slice_is_its_own(tmp_path: Path) -> None:
    found = read_field(series(tmp_path, Modality="PT", changes={4: {"RescaleSlope": 0.5, "RescaleIntercept": 0}}))
    assert np.array_equal(found.field.values[0, :, :, 4], (HU[4].T + 1024) / 2)
    assert np.array_equal(found.field.values[0, :, :, 3], HU[3].T)


def test_padding_is_the_least_real_value(tmp_path: Path) -> None:
    found = read_field(series(tmp_path, PixelPaddingValue=24))  # HU -1000, the air around
    assert found.field.values.min() == -682
    assert "padding set to the least value" in found.info.findings


def shifted(place: int, *, by: tuple[float, float, float]) -> dict[int, dict[str, Any]]:
    return {place: {"ImagePositionPatient": [a + b for a, b in zip(lps(place), by, strict=True)]}}


TILT = {i: {"ImagePositionPatient": [*lps(i)[:1], lps(i)[1] + 0.4 * i, lps(i)[2]]} for i in range(9)}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a missing slice": ({"skip": [4]}, r"1 of 9 slices are missing"),
    "three missing slices": ({"skip": [2, 4, 5]}, r"3 of 9 slices are missing"),
    "uneven gaps": ({"changes": shifted(4, by=(0, 0, 0.4))}, r"gaps between slices from 2\.1 to 2\.9 mm"),
    "gaps 2 % off": ({"changes": shifted(4, by=(0, 0, 0.05))}, r"even ones, to 1 %"),
    "a place twice": ({"changes": shifted(4, by=(0, 0, -GAP))}, r"2 of 9 slices lie where another does"),
    "gantry tilt": ({"changes": TILT}, r"9\.1 degrees off the normal \(gantry tilt\)"),
    "a moved slice": ({"changes": shifted(4, by=(1.0, 0, 0))}, r"shifted against one another by up to 1 mm"),
    "a localizer": ({"changes": {0: {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}}}, "several orientations"),
    "two spacings": ({"changes": {0: {"PixelSpacing": [1.5, 2.1]}}}, "several PixelSpacings"),
    "two series": ({"changes": {0: {"SeriesInstanceUID": "1.2.3"}}}, "files of 2 series"),
    "two modalities": ({"changes": {0: {"Modality": "MR"}}}, "no slices of one volume"),
    "no place": ({"changes": {3: {"ImagePositionPatient": None}}}, "no slices of one volume"),
    "no orientation": ({"changes": {3: {"ImageOrientationPatient": None}}}, "where its slices lie"),
    "a flat orientation": ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "that of no plane"),
    "no spacing": ({"PixelSpacing": [0, 0]}, "that of no plane"),
    "rescaled by 0": ({"RescaleSlope": 0}, "RescaleSlope is 0"),
    "all padding": ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 5000}, "all of its px are padding"),
}  # fmt: skip


@pytest.mark.parametrize("claim", REFUSED)
def test_what_makes_no_volume_is_refused_by_name(claim: str, tmp_path: Path) -> None:
    options, told = REFUSED[claim]
    paths = series(tmp_path, **options)
    with pytest.raises((FormatError, UnreadableError), match=told) as error:
        read_field(paths)
    assert str(error.value).startswith(paths[0].name)
    assert "1.2.3" not in str(error.value)


SAID: dict[str, tuple[dict[str, Any], str]] = {
    "a missing slice": ({"skip": [4]}, r"first between 006\.dcm at 101\.5 and 004\.dcm at 106\.5 mm"),
    "uneven gaps": ({"changes": shifted(4, by=(0, 0, 0.4))}, r"first between 006\.dcm at 101\.5 and 005\.dcm at 104\.4 mm"),
    "a place twice": ({"changes": shifted(4, by=(0, 0, -GAP))}, r"first 00[56]\.dcm at 101\.5 and 00[56]\.dcm at 101\.5"),
    "a localizer": ({"changes": {3: {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}}}, r"001\.dcm and 006\.dcm"),
    "two spacings": ({"changes": {3: {"PixelSpacing": [1.5, 2.1]}}}, r"001\.dcm and 006\.dcm"),
    "no orientation": ({"changes": {3: {"ImageOrientationPatient": None}}}, r"^001\.dcm: 006\.dcm: it doesn't say where"),
    "rescaled by 0": ({"changes": {3: {"RescaleSlope": 0}}}, r"^001\.dcm: 006\.dcm: its RescaleSlope is 0"),
    "no rows": ({"changes": {3: {"Rows": 0}}}, r"^001\.dcm: 006\.dcm: claims"),
    "a report": ({"changes": {3: {"Modality": "SR"}}}, r"^001\.dcm: 006\.dcm: a report"),
}  # fmt: skip


@pytest.mark.parametrize("claim", SAID)
def test_slice_that_is_at_fault_is_named(claim: str, tmp_path: Path) -> None:
    options, told = SAID[claim]
    paths = series(tmp_path, **options)  # slice 3 in space is 006.dcm
    with pytest.raises((FormatError, UnreadableError), match=told):
        read_field(paths)


def test_slice_that_is_cut_off_is_named_after_the_name_given(tmp_path: Path) -> None:
    paths = series(tmp_path, syntax=ExplicitVRLittleEndian)
    paths[5].write_bytes(paths[5].read_bytes()[:-100])
    with pytest.raises(UnreadableError, match=r"^patient/ct: 006\.dcm: cut off: 860 bytes of px, expected 960"):
        read_field(paths, name="patient/ct")


def test_slices_of_different_sizes_are_refused(tmp_path: Path) -> None:
    paths = series(tmp_path, syntax=ExplicitVRLittleEndian)
    header = pydicom.dcmread(paths[3])
    header.Rows, header.PixelData = 10, header.PixelData[: 10 * 24 * 2]
    header.save_as(paths[3])
    with pytest.raises(FormatError, match="different sizes"):
        read_field(paths)


def test_claim_beyond_the_limit_is_refused_before_px_are_read(tmp_path: Path) -> None:
    paths = series(tmp_path, syntax=ExplicitVRLittleEndian)
    for path in paths:
        header = pydicom.dcmread(path)
        header.Rows = header.Columns = 20_000
        header.save_as(path)
    with pytest.raises(TooLargeError, match="claims"):
        read_field(paths, limit=1 << 30)


def enhanced(path: Path, *, positions: list[Any], slope: float = 2.0) -> Path:
    """Write all slices as one multi-frame file, the last in space first."""
    groups = []
    for position in positions:
        place, frame = Dataset(), Dataset()
        place.ImagePositionPatient = list(position)
        frame.PlanePositionSequence = [place]
        groups.append(frame)
    shared, measures, turn, scale = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(SPACING), GAP
    turn.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = slope, -1024, "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turn]
    shared.PixelValueTransformationSequence = [scale]
    px = ((HU[::-1] + 1024) / slope).astype(np.uint16)
    return dicom(
        path, px, syntax=JPEG2000Lossless, NumberOfFrames=len(px), Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1",
        SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=groups,
    )  # fmt: skip


def test_frames_of_one_file_make_the_same_volume(tmp_path: Path) -> None:
    found = read_field([enhanced(tmp_path / "a.dcm", positions=[lps(i) for i in reversed(range(9))])])
    apart = read_field(series(tmp_path / "ct"))
    assert np.abs(found.field.values - apart.field.values).max() <= 1  # halved and doubled
    assert np.allclose(found.field.affine, apart.field.affine)


def test_frames_without_their_positions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="positions of 3 frames, but 9"):
        read_field([enhanced(tmp_path / "a.dcm", positions=[lps(i) for i in range(3)])])


MR = Path(os.environ.get("WSI_DATA", "/nonexistent")) / "images/mri/dicom_series"


@pytest.mark.skipif(not MR.is_dir(), reason="needs WSI_DATA")
def test_real_oblique_series_lies_where_its_headers_say() -> None:
    paths = sorted((MR / "Study3_11-T1post-18670").iterdir())
    found = read_field(paths)
    assert np.allclose(found.info.spacing or (), (0.6875, 0.6875, 6.5), atol=1e-4)
    for path in paths:
        header = pydicom.dcmread(path)
        corner = np.array(header.ImagePositionPatient, float) * [-1, -1, 1]
        index = found.field.to_index(corner)
        assert np.allclose(index[:2], 0, atol=0.05)
        assert np.isclose(index[2], round(float(index[2])), atol=0.01)
        assert np.array_equal(found.field.values[0, :, :, round(float(index[2]))], header.pixel_array.T)
