"""Pictures as fields: turned upright, on 0-255, gray or RGB, and nothing else of the file kept."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from wsi.errors import FormatError, SlideError, TooLargeError, UnreadableError
from wsi.read.field_reader import read_field
from wsi.read.pixels import turned

LIMIT = 64 << 20
COLORS = np.random.default_rng(5).integers(0, 256, (7, 5, 3), dtype=np.uint8)
NAME = "Doe^Jane"


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "jp2"])
def test_lossless_px_are_as_stored(suffix: str, tmp_path: Path) -> None:
    lossless = {"webp": {"lossless": True}, "jp2": {"irreversible": False}}.get(suffix, {})
    found = read_field([saved(tmp_path / f"a.{suffix}", Image.fromarray(COLORS), **lossless)], limit=LIMIT)
    assert np.array_equal(found.field.values, COLORS.transpose(2, 0, 1))
    assert found.field.channels == ("R", "G", "B")
    assert (found.info.axes, found.info.bits, found.info.spacing, found.info.modality) == (2, 8, None, "")
    assert np.array_equal(found.field.affine, np.eye(3))
    assert [axis.name for axis in found.field.axes] == ["y", "x"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_picture_is_turned_as_exif_says(orientation: int, tmp_path: Path) -> None:
    image = Image.fromarray(COLORS)
    exif = image.getexif()
    exif[274], exif[315] = orientation, NAME
    path = saved(tmp_path / "a.png", image, exif=exif)
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    found = read_field([path])
    assert np.array_equal(found.field.values, expected.transpose(2, 0, 1))
    assert np.array_equal(turned(COLORS.transpose(2, 0, 1), orientation), expected.transpose(2, 0, 1))
    assert NAME not in repr(found.info)


def test_deep_gray_is_shown_on_the_same_scale(tmp_path: Path) -> None:
    deep = np.array([[0, 257, 65535]], np.uint16)
    found = read_field([saved(tmp_path / "a.png", Image.fromarray(deep))])
    assert found.field.values.tolist() == [[[0.0, 1.0, 255.0]]]
    assert (found.info.bits, found.field.channels) == (16, ("gray",))


def test_deep_colors_keep_their_low_bits(tmp_path: Path) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (4, 6, 3), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(deep))
    tifffile.imwrite(tmp_path / "b.tif", deep, photometric="rgb")
    for name in ("a.png", "b.tif"):
        values = read_field([tmp_path / name]).field.values
        assert np.allclose(values, deep.transpose(2, 0, 1) / 257, atol=1e-4)


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    clear = np.dstack([np.full((2, 2, 3), 100, np.uint8), np.array([[0, 255], [255, 0]], np.uint8)])
    clear[0, 1] = (10, 20, 30, 255)
    for name in ("a.png", "a.tif"):
        found = read_field([saved(tmp_path / name, Image.fromarray(clear))])
        assert found.field.values[:, 0, 0].tolist() == [255, 255, 255]
        assert found.field.values[:, 0, 1].tolist() == [10, 20, 30]
        assert "transparency laid on white" in found.info.findings


def test_palette_becomes_color(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 1]], np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 10, 20, 30])
    for name in ("a.png", "a.tif"):
        assert read_field([saved(tmp_path / name, image)]).field.values[:, 0, 2].tolist() == [10, 20, 30]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    inks = np.zeros((8, 8, 4), np.uint8)
    inks[..., 1] = 255  # magenta alone takes all green
    for name in ("a.jpg", "a.tif"):
        image = Image.frombytes("CMYK", (8, 8), inks.tobytes())
        values = read_field([saved(tmp_path / name, image)]).field.values
        assert np.abs(values[:, 4, 4].astype(int) - [255, 0, 255]).max() <= 3


def test_three_equal_channels_are_gray(tmp_path: Path) -> None:
    gray = np.repeat(COLORS[..., :1], 3, axis=2)
    found = read_field([saved(tmp_path / "a.png", Image.fromarray(gray))])
    assert found.field.channels == ("gray",)
    assert np.array_equal(found.field.values[0], gray[..., 0])
    one_off = gray.copy()
    one_off[3, 3, 1] ^= 1
    assert len(read_field([saved(tmp_path / "b.png", Image.fromarray(one_off))]).field.values) == 3


def test_white_is_zero_tiff_is_inverted(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 10, 255]], np.uint8), photometric="miniswhite")
    assert read_field([tmp_path / "a.tif"]).field.values.tolist() == [[[255, 245, 0]]]


def test_one_bit_picture_is_black_and_white(tmp_path: Path) -> None:
    bits = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    for name in ("a.png", "a.tif", "a.bmp"):
        assert read_field([saved(tmp_path / name, bits)]).field.values.tolist() == [[[0, 255, 0]]]


def test_profile_and_texts_leave_no_trace(tmp_path: Path) -> None:
    found = read_field([saved(tmp_path / "a.png", Image.fromarray(COLORS), icc_profile=NAME.encode())])
    assert "ICC profile not applied" in found.info.findings
    assert NAME not in repr(found.info)


def test_several_pages_are_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(COLORS), Image.fromarray(255 - COLORS)]
    for name in ("a.tif", "a.webp"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        with pytest.raises(FormatError, match="export one page"):
            read_field([tmp_path / name])


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint32"])
def test_other_samples_are_refused_by_name(dtype: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 4), dtype), photometric="minisblack")
    with pytest.raises(FormatError, match=dtype):
        read_field([tmp_path / "a.tif"])


def test_claim_beyond_the_limit_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    image = bytearray(saved(tmp_path / "a.png", Image.fromarray(COLORS)).read_bytes())
    image[16:24] = (60_000).to_bytes(4, "big") * 2
    image[29:33] = imagecodecs.zlib_crc32(bytes(image[12:29])).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(image)
    with pytest.raises(TooLargeError, match=r"a\.png: the picture claims"):
        read_field([tmp_path / "a.png"], limit=LIMIT)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp", "jp2"])
def test_cut_off_picture_is_refused_or_whole(suffix: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(COLORS).save(buffer, {"jpg": "jpeg", "tif": "tiff", "jp2": "jpeg2000"}.get(suffix, suffix))
    stored = buffer.getvalue()
    for kept in range(0, len(stored) * 3 // 4, 7):
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(stored[:kept])
        with pytest.raises(SlideError) as told:
            read_field([path], limit=LIMIT)
        assert str(told.value).startswith(path.name)


def test_text_named_png_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(UnreadableError, match="holds text"):
        read_field([tmp_path / "a.png"])
