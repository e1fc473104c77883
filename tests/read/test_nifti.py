"""NIfTI volumes: nibabel's own reading is the oracle, and no header makes memory be taken that isn't there."""

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from wsi.errors import FormatError, SlideError, TooLargeError, UnreadableError
from wsi.read.field_reader import read_field

TILTED = np.array([[0.1, -2.0, 0, 5], [1.5, 0.1, 0, -7], [0, 0, 3.0, 11], [0, 0, 0, 1.0]])
SAMPLES = np.random.default_rng(2).integers(-900, 900, (4, 5, 6)).astype(np.int16)
LIMIT = 16 << 20


def written(path: Path, values: NDArray[Any] = SAMPLES, affine: NDArray[Any] | None = TILTED, **header: Any) -> Path:
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def loaded(path: Path) -> Any:
    return nibabel.load(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_samples_and_affine_are_nibabels(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / name)
    found, oracle = read_field([path]), loaded(path)
    assert np.array_equal(found.field.values[0], np.asarray(oracle.dataobj))
    assert found.field.values.dtype == np.int16
    assert np.allclose(found.field.affine, oracle.affine)
    assert np.allclose(found.info.spacing or (), oracle.header.get_zooms(), rtol=1e-2)
    assert (found.field.channels, found.info.axes, found.info.bits) == (("value",), 3, 16)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "f4", "f8", ">i2", ">f4"])
def test_any_real_sample_is_read(dtype: str, tmp_path: Path) -> None:
    values = (np.abs(SAMPLES) % 100).astype(dtype)
    image = nibabel.Nifti1Image(values, TILTED, nibabel.Nifti1Header(endianness="<" if dtype[0] != ">" else ">"))
    image.header.set_data_dtype(dtype)
    nibabel.save(image, tmp_path / "a.nii")
    assert np.array_equal(read_field([tmp_path / "a.nii"]).field.values[0], values)


def test_second_version_is_read(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(SAMPLES, TILTED), tmp_path / "a.nii")
    assert np.array_equal(read_field([tmp_path / "a.nii"]).field.values[0], SAMPLES)


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(SAMPLES, TILTED)
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "a.nii")
    values = read_field([tmp_path / "a.nii"]).field.values
    assert values.dtype == np.float32
    assert np.allclose(values[0], loaded(tmp_path / "a.nii").get_fdata())


def test_slope_of_zero_means_none(tmp_path: Path) -> None:
    path = patched(written(tmp_path / "a.nii"), 112, np.float32(0).tobytes())
    assert np.array_equal(read_field([path]).field.values[0], SAMPLES)


def test_sform_comes_before_qform(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(SAMPLES, TILTED)
    image.set_qform(np.diag([1.0, 1, 1, 1]), code=1)
    image.set_sform(np.diag([2.0, 2, 2, 1]), code=2)
    nibabel.save(image, tmp_path / "a.nii")
    found = read_field([tmp_path / "a.nii"])
    assert np.allclose(found.field.affine, np.diag([2.0, 2, 2, 1]))
    assert any("sform and qform disagree" in finding for finding in found.info.findings)


def test_qform_alone_is_enough(tmp_path: Path) -> None:
    turned = np.array([[0, -2.0, 0, 5], [2.0, 0, 0, -7], [0, 0, 2.0, 11], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(SAMPLES, turned)
    image.set_qform(turned, code=1)
    image.set_sform(None, code=0)
    nibabel.save(image, tmp_path / "a.nii")
    assert np.allclose(read_field([tmp_path / "a.nii"]).field.affine, turned, atol=1e-5)


def test_file_without_orientation_is_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(SAMPLES, None)
    nibabel.save(image, tmp_path / "a.nii")
    with pytest.raises(FormatError, match="left can't be told from right"):
        read_field([tmp_path / "a.nii"])


def test_microns_become_mm(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(SAMPLES, np.diag([500.0, 500, 2000, 1]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    assert read_field([tmp_path / "a.nii"]).info.spacing == (0.5, 0.5, 2.0)


def test_four_axes_are_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nii", np.zeros((3, 4, 5, 2), np.int16))
    with pytest.raises(FormatError, match=r"4 axes \(3 x 4 x 5 x 2\)"):
        read_field([path])


def test_fourth_axis_of_one_is_dropped(tmp_path: Path) -> None:
    assert read_field([written(tmp_path / "a.nii", SAMPLES[..., None])]).field.shape == SAMPLES.shape


def test_colors_and_complex_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="complex64"):
        read_field([written(tmp_path / "a.nii", SAMPLES.astype(np.complex64))])
    rgb = np.zeros((3, 3, 3), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(FormatError, match="one real number"):
        read_field([written(tmp_path / "b.nii", rgb)])


def test_samples_that_are_not_finite_become_the_least(tmp_path: Path) -> None:
    values = SAMPLES.astype(np.float32)
    values[0, 0, :3] = [np.nan, np.inf, -np.inf]
    found = read_field([written(tmp_path / "a.nii", values)])
    assert (found.field.values[0, 0, 0, :3] == np.nanmin(values[np.isfinite(values)])).all()
    assert found.info.findings == ("3 samples that aren't finite set to the least one that is",)
    with pytest.raises(UnreadableError, match="none of its samples"):
        read_field([written(tmp_path / "b.nii", np.full((2, 2, 2), np.nan, np.float32))])


def patched(path: Path, at: int, value: bytes) -> Path:
    stored = bytearray(path.read_bytes())
    stored[at : at + len(value)] = value
    path.write_bytes(stored)
    return path


HOSTILE = {
    "a terabyte": (40, np.array([3, 10000, 10000, 10000], np.int16).tobytes(), TooLargeError),
    "a negative size": (40, np.array([3, -4, 5, 6], np.int16).tobytes(), UnreadableError),
    "no size": (40, np.array([3, 0, 5, 6], np.int16).tobytes(), UnreadableError),
    "minus one axes": (40, np.array([-1], np.int16).tobytes(), FormatError),
    "nine axes": (40, np.array([9], np.int16).tobytes(), SlideError),
    "samples far away": (108, np.float32(2**31 - 1).tobytes(), UnreadableError),
    "samples nowhere": (108, np.float32(np.nan).tobytes(), UnreadableError),
    "samples before the file": (108, np.float32(-1e9).tobytes(), UnreadableError),
    "an unknown kind of sample": (70, np.int16(77).tobytes(), UnreadableError),
    "a flat orientation": (280, np.zeros(4, np.float32).tobytes(), UnreadableError),
    "an orientation that is none": (280, np.full(4, np.nan, np.float32).tobytes(), UnreadableError),
    "samples in another file": (344, b"ni1\0", FormatError),
    "Analyze": (344, b"\0\0\0\0", FormatError),
    "an unknown unit": (123, b"\x07", UnreadableError),
    "a slope without intercept": (112, np.array([2, np.inf], np.float32).tobytes(), UnreadableError),
}


@pytest.mark.parametrize("claim", HOSTILE)
def test_hostile_header_is_refused_before_memory_is_taken(claim: str, tmp_path: Path) -> None:
    at, value, error = HOSTILE[claim]
    path = patched(written(tmp_path / "a.nii"), at, value)
    packed = tmp_path / "b.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes() + bytes(4 << 20)))
    for file in (path, packed):
        tracemalloc.start()
        with pytest.raises(error) as told:
            read_field([file], limit=LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert str(told.value).startswith(f"{file.name}: ")
        assert peak < LIMIT


def test_note_between_header_and_samples_is_passed_over(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(SAMPLES, TILTED)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Doe^Jane"))
    image.header["descrip"], image.header["db_name"] = b"Doe^Jane", b"Doe^Jane"
    nibabel.save(image, tmp_path / "a.nii.gz")
    found = read_field([tmp_path / "a.nii.gz"])
    assert np.array_equal(found.field.values[0], SAMPLES)
    assert "Doe" not in repr(found.info)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_cut_off_file_is_refused(name: str, tmp_path: Path) -> None:
    stored = written(tmp_path / name).read_bytes()
    for kept in range(0, len(stored) - 1, 23):
        (tmp_path / name).write_bytes(stored[:kept])
        with pytest.raises(UnreadableError):
            read_field([tmp_path / name], limit=LIMIT)


def test_packed_file_in_which_a_sample_changed_is_refused(tmp_path: Path) -> None:
    stored = bytearray(gzip.compress(written(tmp_path / "a.nii").read_bytes(), compresslevel=0))
    stored[-60] ^= 0x40
    (tmp_path / "a.nii.gz").write_bytes(stored)
    with pytest.raises(UnreadableError, match="copy it again"):
        read_field([tmp_path / "a.nii.gz"])
