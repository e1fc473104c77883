"""Segmentations as highdicom reads them: every voxel in its place, every segment under its code; and beside its own."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from tests.export.test_dicom_seg import ORGANS, draw_series, files_of, mask_of, written
from wsi.results.mask import Mask

hd = pytest.importorskip("highdicom")
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_series(tmp_path_factory.mktemp("drawn") / "series")


@pytest.fixture(scope="module")
def mask(series: Path) -> Mask:
    return mask_of(series)


@pytest.fixture(scope="module")
def ours(series: Path, mask: Mask) -> Any:
    buffer = io.BytesIO()
    written(series, mask).save_as(buffer)
    buffer.seek(0)
    return hd.seg.segread(buffer)


def places(volume: Any, mask: Mask) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the mask's index `(N, 3)` of each voxel of a volume, and the voxels `(N,)`."""
    index = np.indices(volume.spatial_shape).reshape(3, -1)
    world = TO_RAS @ volume.affine @ np.vstack([index, np.ones(index.shape[1])])
    found = (np.linalg.inv(mask.affine) @ world)[:3].T
    assert np.abs(found - np.rint(found)).max() < 1e-3
    return np.rint(found).astype(np.int64), volume.array.reshape(-1)


def test_every_voxel_lies_where_the_mask_has_it(ours: Any, mask: Mask) -> None:
    index, voxels = places(ours.get_volume(combine_segments=True), mask)
    found = np.zeros_like(mask.labels)
    found[tuple(index.T)] = voxels
    assert len(np.unique(index, axis=0)) == len(index)
    assert np.array_equal(found, mask.labels)
    assert mask.labels.max() == len(ORGANS)


def test_segments_are_coded(ours: Any) -> None:
    coded, own = (ours.get_segment_description(number) for number in ours.segment_numbers)
    kind = coded.segmented_property_type
    assert (kind.value, kind.scheme_designator, kind.meaning) == ("10200004", "SCT", "Liver")
    assert coded.segmented_property_category.value == "91723000"
    assert (coded.algorithm_type.value, coded.segment_label) == ("AUTOMATIC", "liver")
    assert own.segmented_property_type.scheme_designator == "99WSIRUN"


def test_frames_are_found_by_the_slices_they_lie_on(ours: Any, series: Path, mask: Mask) -> None:
    slices = sorted(map(pydicom.dcmread, files_of(series)), key=lambda one: float(one.ImagePositionPatient[2]))
    found = ours.get_pixels_by_source_instance([one.SOPInstanceUID for one in slices[:2]], combine_segments=True)
    assert found.shape == (2, slices[0].Rows, slices[0].Columns)
    assert set(np.unique(found)) == {0, 1, 2}
    studies = {one.StudyInstanceUID for one in slices}
    assert {str(study) for study, _, _ in ours.get_source_image_uids()} == studies


def theirs(series: Path, ours: Any) -> Any:
    """Return the segmentation that highdicom writes of the same frames."""
    slices = sorted(map(pydicom.dcmread, files_of(series)), key=lambda one: float(one.ImagePositionPatient[2]))
    for one in slices:
        one.PatientSex, one.StudyID, one.StudyDate, one.StudyTime, one.AccessionNumber = "", "", "", "", ""
        one.ReferringPhysicianName = ""
    names = [one.SOPInstanceUID for one in slices]
    labels = ours.get_pixels_by_source_instance(names, combine_segments=True)
    return hd.seg.Segmentation(
        source_images=slices,
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=[ours.get_segment_description(number) for number in ours.segment_numbers],
        series_instance_uid=hd.UID(),
        series_number=1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="wsi-run",
        manufacturer_model_name="wsi-run",
        software_versions="0",
        device_serial_number="0",
    )


def tags(dataset: pydicom.Dataset, where: str = "") -> Iterator[str]:
    """Yield the keyword of every element with where it lies; of a sequence its first item stands for all."""
    for element in dataset:
        yield where + element.keyword
        if element.VR == "SQ" and len(element.value):
            yield from tags(element.value[0], f"{where}{element.keyword}.")


def test_what_highdicom_writes_of_the_same_is_in_the_same_places(ours: Any, series: Path, mask: Mask) -> None:
    index, voxels = places(theirs(series, ours).get_volume(combine_segments=True), mask)
    assert np.array_equal(mask.labels[tuple(index.T)], voxels)


def test_nothing_that_highdicom_writes_is_missing(ours: Any, series: Path) -> None:
    """But for what is optional: what it says of itself, a second list of the slices, and when the file was made."""
    optional = ("ContributingEquipment", "SourceImageSequence", "InstanceCreation", "PresentationLUTShape")
    missing = {tag for tag in set(tags(theirs(series, ours))) - set(tags(ours)) if not tag.startswith(optional)}
    assert missing == set(), sorted(missing)
