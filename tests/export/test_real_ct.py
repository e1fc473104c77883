"""A real CT and its reference segmentation: where its slices and the masks written for it lie; set WSI_DATA."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from tests.make_radiology import ROOT, dicom
from wsi.export.dicom_seg import make_seg, read_slices
from wsi.export.nifti_file import write_nifti
from wsi.field import Field
from wsi.read.field_reader import read_field
from wsi.results import Structure
from wsi.results.mask import Mask

CT = Path(os.environ.get("WSI_DATA", "/nonexistent")) / "images/ct"
pytestmark = pytest.mark.skipif(not (CT / "example_ct_sm.nii.gz").is_file(), reason="needs WSI_DATA")
LYING_MM, TOLERANCE_MM = 5.0, 1e-3
"""SliceThickness of the series, whose slices lie 3 mm apart; what decimal strings of 16 characters leave."""
SHOWN = 4
"""Structures whose masks are written."""


def stored(name: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return a file's values and its affine to RAS+ mm, as nibabel reads them."""
    image = nibabel.Nifti1Image.from_filename(CT / name)
    return np.asarray(image.dataobj), np.asarray(image.affine, np.float64)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write the CT as a DICOM series in LPS, its files' names and instance numbers from the top down."""
    hu, affine = stored("example_ct_sm.nii.gz")
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    folder = tmp_path_factory.mktemp("series")
    for place in range(hu.shape[2]):
        position = (affine @ [0, 0, place, 1])[:3] * (-1, -1, 1)
        own: dict[str, Any] = {
            "SOPClassUID": CTImageStorage, "SOPInstanceUID": f"{ROOT}1.{place}", "StudyInstanceUID": f"{ROOT}2",
            "FrameOfReferenceUID": f"{ROOT}3", "Modality": "CT", "ImagePositionPatient": [f"{n:.8f}" for n in position],
            "ImageOrientationPatient": [-1, 0, 0, 0, -1, 0], "PixelSpacing": [float(steps[1]), float(steps[0])],
            "SliceThickness": LYING_MM, "RescaleSlope": 1, "RescaleIntercept": -2048,
            "InstanceNumber": hu.shape[2] - place,
        }  # fmt: skip
        px = (hu[:, :, place].T.astype(np.int32) + 2048).astype(np.uint16)
        dicom(folder / f"{hu.shape[2] - place:03}.dcm", px, syntax=ExplicitVRLittleEndian, **own)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def scan(files: list[Path]) -> Field:
    return read_field(files).field


def places_in(field_affine: NDArray[np.float64], other: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the index in the grid of `other` of each sample, `(*shape, 3)`, not rounded."""
    matrix = np.linalg.inv(other) @ field_affine
    return np.moveaxis(np.indices(shape), 0, -1) @ matrix[:3, :3].T + matrix[:3, 3]


def test_series_lies_on_the_reference_segmentation_sample_by_sample(scan: Field) -> None:
    """Expected: the NIfTI's own affine, by nibabel; SliceThickness would be 2 mm a slice off."""
    hu, _ = stored("example_ct_sm.nii.gz")
    labels, affine = stored("example_seg.nii.gz")
    found = places_in(scan.affine, affine, scan.shape)
    whole = np.rint(found).astype(int)
    assert np.abs(found - whole).max() < TOLERANCE_MM
    flat = tuple(whole.reshape(-1, 3).T)
    assert len(np.unique(np.ravel_multi_index(flat, labels.shape))) == labels.size
    assert np.array_equal(scan.values[0].ravel(), hu[flat])


@pytest.fixture(scope="module")
def mask(scan: Field) -> Mask:
    """Return the reference's largest structures on the grid of the series."""
    labels, affine = stored("example_seg.nii.gz")
    here = labels[tuple(np.rint(places_in(scan.affine, affine, scan.shape)).astype(int).reshape(-1, 3).T)]
    largest = 1 + np.argsort(-np.bincount(here.ravel())[1:], kind="stable")[:SHOWN]
    found = sum((here == value) * number for number, value in enumerate(largest, 1))
    return Mask(np.asarray(found, np.uint8).reshape(scan.shape), scan.affine, scan.steps, ("i", "j", "k"), "mm")


def structures() -> list[Structure]:
    return [
        Structure(name=f"structure {n}", color=[n, 9, 9], samples=1, amount=1.0, unit="ml") for n in range(1, SHOWN + 1)
    ]


def test_nifti_mask_is_read_back_voxel_by_voxel_in_place(mask: Mask, tmp_path: Path) -> None:
    write_nifti(tmp_path / "mask.nii.gz", mask, structures())
    image = nibabel.Nifti1Image.from_filename(tmp_path / "mask.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), mask.labels)
    np.testing.assert_allclose(image.affine, mask.affine, atol=TOLERANCE_MM)


def test_dicom_mask_is_read_back_voxel_by_voxel_in_place(mask: Mask, files: list[Path], tmp_path: Path) -> None:
    """Places by PS3.3, equation C.7.6.2.1-1."""
    seg = make_seg(mask, structures(), read_slices(files), model="drawn 1", when=datetime(2026, 1, 2, 3, 4, 5))
    seg.save_as(tmp_path / "mask.dcm", enforce_file_format=True)
    read = pydicom.dcmread(tmp_path / "mask.dcm")
    shared = read.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down, across = (float(n) for n in shared.PixelMeasuresSequence[0].PixelSpacing)
    inverse, found = np.linalg.inv(mask.affine), np.zeros_like(mask.labels)
    for frame, px in zip(read.PerFrameFunctionalGroupsSequence, read.pixel_array, strict=True):
        rows, columns = np.nonzero(px)
        start = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        lps = start + np.outer(columns, orientation[:3] * across) + np.outer(rows, orientation[3:] * down)
        index = (lps * (-1, -1, 1)) @ inverse[:3, :3].T + inverse[:3, 3]
        assert np.abs(index - np.rint(index)).max() < TOLERANCE_MM
        found[tuple(np.rint(index).astype(int).T)] = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    assert np.array_equal(found, mask.labels)
