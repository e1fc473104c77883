"""A name planted in every tag of a DICOM file, every field of a NIfTI header and every text of a picture goes nowhere."""

import logging
import traceback
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.make_radiology import dicom, series
from wsi.errors import SlideError
from wsi.read.dicom_file import HEADER, PIXELS
from wsi.read.field_info import FieldReading
from wsi.read.field_reader import read_field
from wsi.read.find import find_slides

NAME, DATE, END = "Planted", "19410317", "770777077707"
UID = f"1.2.840.99999.{END}"
SECRETS = (NAME.lower(), DATE, UID, END)
"""END is long, as a sha256 holds five digits in a row now and then."""
TEXTS = {"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
NEEDED = {*HEADER, *PIXELS}


def planted(path: Path, *, everywhere: bool = False) -> Path:
    """Write NAME, DATE or UID into every element that the standard knows, and a private one.

    Args:
        everywhere: into the elements that reading needs, too, which makes it fail in one way or another.
    """
    found = pydicom.dcmread(path)
    for tag, (kind, _, _, _, keyword) in DicomDictionary.items():
        group = tag >> 16
        if group in (0x0000, 0x0002, 0xFFFE, 0xFFFA) or group >= 0x5000:
            continue
        if tag in found and not (everywhere and keyword not in ("PixelData", "Rows", "Columns")):
            continue
        if keyword == "SpecificCharacterSet" or (keyword in NEEDED and not everywhere):
            continue
        value: Any = NAME if kind in TEXTS else DATE if kind in ("DA", "DT") else UID if kind == "UI" else None
        if value is not None:
            found[tag] = DataElement(tag, kind, value, validation_mode=pydicom.config.IGNORE)
    found.private_block(0x0099, NAME, create=True).add_new(1, "LO", NAME)
    inner = Dataset()
    inner.PatientName = NAME
    found.RequestAttributesSequence = [inner]
    found.file_meta.SourceApplicationEntityTitle = NAME
    found.save_as(path)
    assert path.read_bytes().lower().count(NAME.lower().encode()) > 500
    return path


def told(read: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> str:
    """Return everything that a reading gives: values, errors with all that led to them, warnings, logs, output."""
    caplog.set_level(logging.DEBUG)
    parts: list[str] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            result = read()
        except SlideError as error:
            parts.extend(traceback.format_exception(error))
            parts.append(repr(error.__cause__) + repr(error.__context__ if not error.__suppress_context__ else ""))
        else:
            parts.append(shown(result) if isinstance(result, FieldReading) else repr(result))
    parts.extend(str(one.message) for one in warned)
    parts.append(caplog.text)
    parts.extend(capfd.readouterr())
    return "\n".join(parts).lower()


def shown(result: FieldReading) -> str:
    return f"{result.info!r} {result.field.axes!r} {result.field.channels!r} {result.field.affine!r}"


@pytest.fixture
def clean(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Any:
    """Return a check that a reading tells no secret; it returns what was told."""

    def check(read: Any) -> str:
        found = told(read, caplog, capfd)
        assert not [secret for secret in SECRETS if secret in found], found
        return found

    return check


PX = np.arange(35, dtype=np.uint16).reshape(5, 7)


def test_radiograph_tells_no_identifier(clean: Any, tmp_path: Path) -> None:
    path = planted(dicom(tmp_path / "a.dcm", PX, syntax=ExplicitVRLittleEndian, WindowCenter=15, WindowWidth=30))
    assert "fieldinfo" in clean(lambda: read_field([path]))


def test_series_tells_no_identifier(clean: Any, tmp_path: Path) -> None:
    paths = [planted(path) for path in series(tmp_path / "ct", syntax=ExplicitVRLittleEndian)[:3]]
    assert "fieldinfo" in clean(lambda: read_field(paths))
    clean(lambda: find_slides(tmp_path))


def test_file_whose_every_tag_is_a_name_is_refused_without_telling_it(clean: Any, tmp_path: Path) -> None:
    path = planted(dicom(tmp_path / "a.dcm", PX, syntax=ExplicitVRLittleEndian), everywhere=True)
    found = clean(lambda: read_field([path]))
    assert "error: a.dcm: " in found
    clean(lambda: find_slides(tmp_path))


@pytest.mark.parametrize("keyword", sorted(set(HEADER) - {"PerFrameFunctionalGroupsSequence"}))
def test_name_in_a_tag_that_is_read_is_not_told(keyword: str, clean: Any, tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", PX, syntax=ExplicitVRLittleEndian)
    found = pydicom.dcmread(path)
    tag = pydicom.datadict.tag_for_keyword(keyword)
    assert tag is not None
    found[tag] = DataElement(tag, "LO", NAME, validation_mode=pydicom.config.IGNORE)  # another kind of value, too
    found.save_as(path)
    clean(lambda: read_field([path]))
    clean(lambda: read_field([path, path]))


def test_damaged_files_tell_no_identifier(clean: Any, tmp_path: Path) -> None:
    path = planted(dicom(tmp_path / "a.dcm", PX, syntax=ExplicitVRLittleEndian))
    stored = path.read_bytes()
    rng = np.random.default_rng(4)
    for _ in range(40):
        mutated = bytearray(stored[: rng.integers(200, len(stored))])
        for at in rng.integers(132, len(mutated), 30):
            mutated[at] = rng.integers(0, 256)
        path.write_bytes(mutated)
        assert "error: a.dcm: " in clean(lambda: read_field([path]))


def test_volume_tells_no_text_of_its_header(clean: Any, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4))
    for name in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[name] = NAME.encode()
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", NAME.encode()))
    for name in ("a.nii", "b.nii.gz"):
        nibabel.save(image, tmp_path / name)
        assert "fieldinfo" in clean(lambda path=tmp_path / name: read_field([path]))
        cut = (tmp_path / name).read_bytes()[:-9]
        (tmp_path / name).write_bytes(cut)
        assert f"error: {name}: " in clean(lambda path=tmp_path / name: read_field([path]))


def test_picture_tells_no_text_of_its_own(clean: Any, tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", NAME)
    texts.add_itxt(NAME, NAME)
    exif = Image.Exif()
    exif[315], exif[306], exif[270] = NAME, DATE, NAME
    image = Image.fromarray(PX.astype(np.uint8))
    for suffix, options in (
        ("png", {"pnginfo": texts, "exif": exif}),
        ("jpg", {"comment": NAME, "exif": exif}),
        ("tif", {"description": NAME, "software": NAME}),
        ("webp", {"exif": exif, "xmp": NAME.encode()}),
    ):
        path = tmp_path / f"a.{suffix}"
        image.save(path, **options)
        assert NAME.encode() in path.read_bytes()
        assert "fieldinfo" in clean(lambda path=path: read_field([path]))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert f"error: a.{suffix}: " in clean(lambda path=path: read_field([path]))
