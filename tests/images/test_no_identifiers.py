"""Names, dates and UIDs planted in every place of an image's file, and above its folder, are in nothing that a run makes."""

import gzip
import logging
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from pydicom.uid import ExplicitVRLittleEndian

from tests.images.command import run
from tests.images.near import run_near
from tests.images.tiny_models import dense, graded, photograph, scan
from tests.make_radiology import dicom, series
from tests.read.test_no_identifiers import DATE, NAME, SECRETS, planted

SCALE = [{"op": "scale@1", "factor": 1 / 255}]
ABOVE = f"{NAME} {DATE}"
"""Name of the folder above that of the images, which the user's path leads through."""


def picture(path: Path) -> Path:
    """Write a photograph whose texts, EXIF and XMP are full of secrets."""
    photograph(path.with_suffix(".bmp"), level=250)
    image = Image.open(path.with_suffix(".bmp"))
    exif = Image.Exif()
    for tag in (270, 305, 306, 315, 33432, 40092, 42016):  # description, software, date, artist, copyright, comment, id
        exif[tag] = NAME if tag != 306 else DATE
    if path.suffix == ".png":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", NAME)
        texts.add_text("Patient", NAME, zip=True)
        texts.add_itxt(NAME, DATE)
        image.save(path, pnginfo=texts, exif=exif)
    else:
        image.save(path, comment=NAME.encode(), exif=exif, xmp=f"<x>{NAME}</x>".encode())
    path.with_suffix(".bmp").unlink()
    return path


def volume(path: Path) -> Path:
    scan(path)
    image = nibabel.Nifti1Image.from_filename(path)
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[field] = NAME.encode()
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", f"{NAME} {DATE}".encode()))
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), path)
    return path


def told(out: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all that OUT holds, byte for byte: names of files, what is in them, unpacked where they are packed."""
    for path in sorted(out.rglob("*")):
        yield path.name, path.name.encode()
        if path.is_file():
            content = path.read_bytes()
            yield path.name, content
            if path.suffix == ".gz":
                yield path.name, gzip.decompress(content)
            elif path.suffix in (".png", ".jpg"):
                with Image.open(path) as image:
                    yield path.name, repr(image.info).encode()


def secrets_in(out: Path, *, images: Path = Path("/nowhere")) -> list[str]:
    """Return which files tell which secret; QuPath's project may say where the images lie, or it couldn't open them."""
    place = images.as_uri().lower().encode()
    return [
        f"{name}: {secret}"
        for name, content in told(out)
        for secret in SECRETS
        if secret.encode() in content.lower().replace(place, b"")
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ABOVE / "in").mkdir(parents=True)
    return tmp_path


def test_pictures_with_texts(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Through the command and its own processes, whose words end on its standard error."""
    images = home / ABOVE / "in"
    for name in ("a.png", "b.jpg"):
        assert NAME.encode() in picture(images / name).read_bytes()
    (images / "cut.png").write_bytes((images / "a.png").read_bytes()[:-900])
    caplog.set_level(logging.DEBUG)
    status, said = run(images, "-o", home / "OUT", "-m", graded(home / "bright"), "-q")
    assert status == 3, said
    assert not [secret for secret in SECRETS if secret in (said + caplog.text).lower()]
    assert len(list((home / "OUT").rglob("explanation.png"))) == 2
    assert secrets_in(home / "OUT", images=images) == []


def test_volume_whose_header_is_full_of_texts(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = home / ABOVE / "in"
    volume(images / "scan.nii.gz")
    caplog.set_level(logging.DEBUG)
    out = run_near(images, home / "OUT", dense(home / "boxes", axes=3))
    assert list(out.rglob("mask.nii.gz"))
    assert secrets_in(out, images=images) == []
    assert not [secret for secret in SECRETS if secret in caplog.text.lower()]


def test_radiograph_and_series_whose_every_tag_is_a_name(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    px = np.arange(64 * 80, dtype=np.uint16).reshape(64, 80)
    images = home / ABOVE / "in"
    planted(dicom(images / "a.dcm", px, syntax=ExplicitVRLittleEndian, WindowCenter=2000, WindowWidth=4000))
    made = run_near(images, home / "OUT", dense(home / "spots", axes=2, channels=["gray"], preprocess=SCALE))
    for path in series(home / ABOVE / "ct" / "s", syntax=ExplicitVRLittleEndian):
        planted(path)
    volumes = run_near(home / ABOVE / "ct", home / "OUT-CT", dense(home / "boxes", axes=3))
    for out, file, where in ((made, "mask.png", images), (volumes, "mask.nii.gz", home / ABOVE / "ct")):
        assert list(out.rglob(file)), [path.name for path in out.rglob("*")]
        assert secrets_in(out, images=where) == []
    assert not [secret for secret in SECRETS if secret in caplog.text.lower()]


def test_planted_secret_in_a_made_file_would_be_seen(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.gz", "w") as file:
        file.write(NAME.encode())
    texts = PngImagePlugin.PngInfo()
    texts.add_text("x", NAME, zip=True)
    Image.new("L", (3, 3)).save(tmp_path / "b.png", pnginfo=texts)
    assert {one.split(":")[0] for one in secrets_in(tmp_path)} == {"a.gz", "b.png"}
