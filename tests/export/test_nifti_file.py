"""Claims about masks as NIfTI, as nibabel reads them."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from wsi.export.nifti_file import described, write_nifti
from wsi.results import Structure
from wsi.results.mask import Mask

ORGANS = [
    Structure(name="liver", color=[1, 2, 3], code="SCT:10200004", samples=5, amount=0.1, unit="ml"),
    Structure(name="spleen", color=[4, 5, 6], samples=5, amount=0.1, unit="ml"),
]


def loaded(path: Path) -> Any:
    return nibabel.load(path)


def turned(degrees: float = 20.0) -> NDArray[np.float64]:
    """Return an affine of an oblique volume, left-handed, with steps 0.7, 0.8 and 3 mm."""
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.7, 0.8, 3.0])
    affine[:3, 3] = -20, 31.5, 400
    return affine


def mask_on(affine: NDArray[np.float64]) -> Mask:
    labels = np.random.default_rng(0).integers(0, 3, (9, 7, 5)).astype(np.uint8)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    return Mask(labels, affine, tuple(float(s) for s in steps), ("i", "j", "k"), "mm")


@pytest.mark.parametrize("affine", [turned(), turned(0.0), np.diag([1.0, 2.0, 3.0, 1.0])])
def test_every_voxel_lies_where_the_input_had_it(affine: NDArray[np.float64], tmp_path: Path) -> None:
    mask = mask_on(affine)
    write_nifti(tmp_path / "mask.nii.gz", mask, ORGANS)
    read = loaded(tmp_path / "mask.nii.gz")
    assert np.array_equal(np.asarray(read.dataobj), mask.labels)
    for index in np.ndindex(mask.labels.shape):
        assert np.allclose(read.affine @ (*index, 1), affine @ (*index, 1), atol=1e-4)


def test_both_transforms_say_the_same(tmp_path: Path) -> None:
    write_nifti(tmp_path / "mask.nii.gz", mask_on(turned()), ORGANS)
    header = loaded(tmp_path / "mask.nii.gz").header
    assert int(header["sform_code"]) == int(header["qform_code"]) == 1
    assert np.allclose(header.get_qform(), header.get_sform(), atol=1e-4)
    assert header.get_zooms() == pytest.approx((0.7, 0.8, 3.0))
    assert header.get_xyzt_units()[0] == "mm"


def test_sheared_axes_get_no_quaternion(tmp_path: Path) -> None:
    affine = turned()
    affine[0, 2] = 0.8
    write_nifti(tmp_path / "mask.nii.gz", mask_on(affine), ORGANS)
    read = loaded(tmp_path / "mask.nii.gz")
    assert int(read.header["qform_code"]) == 0
    assert np.allclose(read.affine, affine, atol=1e-5)


def test_same_mask_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write_nifti(tmp_path / name, mask_on(turned()), ORGANS) for name in ("a.nii.gz", "b.nii.gz"))
    assert one == two


def test_header_says_what_labels_mean(tmp_path: Path) -> None:
    write_nifti(tmp_path / "mask.nii.gz", mask_on(turned()), ORGANS)
    told = bytes(loaded(tmp_path / "mask.nii.gz").header["descrip"]).decode()
    assert told.startswith("1 liver, 2 spleen")
    assert described(ORGANS).endswith("Research use only. Not for diagnosis.")


def test_picture_is_no_volume(tmp_path: Path) -> None:
    flat = Mask(np.zeros((3, 4), np.uint8), np.eye(3), (1.0, 1.0), ("y", "x"), "px")
    with pytest.raises(ValueError, match="3 axes"):
        write_nifti(tmp_path / "mask.nii.gz", flat, ORGANS)
