"""Pictures are read whatever their kind, and copies among them are found."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from tests.train.make_cohort import out_folder
from tests.train.make_pictures import as_it_is, pictures_folder, scene
from wsi.errors import LabelsError, TooLargeError, UnreadableError
from wsi.train.pictures import MAX_PX, detail_of, locate_pictures, near_pictures, read_picture


def saved(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_pictures_of_any_kind_become_rgb(tmp_path: Path, mode: str) -> None:
    path = saved(tmp_path / "x.png", Image.fromarray(scene(1)).convert(mode))
    picture = read_picture(path)
    assert picture.pixels.shape == (64, 64, 3)
    assert picture.file_bytes == path.stat().st_size


def test_sixteen_bits_lose_the_lower_eight(tmp_path: Path) -> None:
    gray = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    pixels = read_picture(saved(tmp_path / "x.png", Image.fromarray(gray))).pixels
    np.testing.assert_array_equal(pixels[..., 1], gray // 257)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(UnreadableError, match=r"x\.png"):
        read_picture(tmp_path / "x.png")


def test_cut_off_picture_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene(1)).save(buffer, "JPEG")
    (tmp_path / "x.jpg").write_bytes(buffer.getvalue()[:-600])
    with pytest.raises(UnreadableError, match=r"(?i)truncated"):
        read_picture(tmp_path / "x.jpg")


def test_bombs_are_refused_before_they_unpack(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", Image.new("1", (9000, 9000)))
    assert MAX_PX < 9000 * 9000
    with pytest.raises(TooLargeError, match="9000 x 9000 px"):
        read_picture(path)


def test_thumbnails_of_a_run_are_found_by_the_slides_path(tmp_path: Path) -> None:
    out = out_folder(tmp_path / "out", {"a/1.svs": None, "a/2.svs": None, "b/3.svs": "E_NO_TISSUE"})
    for folder in sorted((out / "slides").iterdir()):
        saved(folder / "thumbnail.jpg", Image.fromarray(scene(1)))
    located = locate_pictures(out)
    assert [bag.name for bag in located.bags] == ["a/1.svs", "a/2.svs"]
    assert set(located.refused) == {"b/3.svs"}


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(LabelsError, match="expected"):
            locate_pictures(folder)


def near(*pictures: np.ndarray) -> list[tuple[str, ...]]:
    names = [f"i{at}" for at in range(len(pictures))]
    return [pair.slides for pair in near_pictures(names, np.stack([detail_of(one) for one in pictures]))]


def test_different_pictures_are_no_copies() -> None:
    assert near(*(scene(seed) for seed in range(60))) == []


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_turned_and_mirrored_copies_are_found(turns: int, mirrored: bool) -> None:
    copy = np.rot90(scene(3), turns)
    copy = copy[:, ::-1] if mirrored else copy
    assert near(*(scene(seed) for seed in range(8)), np.ascontiguousarray(copy)) == [("i3", "i8")]


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_shrunk_and_compressed_copies_are_found(quality: int) -> None:
    pictures = [scene(seed, side=256) for seed in range(8)]  # their blotches are a fourth as large, of the picture
    buffer = io.BytesIO()
    Image.fromarray(pictures[3]).resize((120, 120)).save(buffer, "JPEG", quality=quality)
    assert near(*pictures, np.asarray(Image.open(buffer))) == [("i3", "i8")]


def test_brightness_makes_no_other_picture() -> None:
    assert near(scene(1), scene(2), np.clip(scene(1) * 0.7 + 20, 0, 255).astype(np.uint8)) == [("i0", "i2")]


def test_dark_margins_make_no_other_picture() -> None:
    wide = np.pad(scene(1), ((0, 0), (30, 5), (0, 0)))
    assert near(scene(1), scene(2), wide) == [("i0", "i2")]


def test_pictures_of_one_layout_and_other_detail_are_no_copies() -> None:
    """As photographs of eyes are: a disc with the same shade and a bright spot, and each its own vessels."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    layout = 60 + 90 * (np.hypot(x, y) < 0.95) + 60 * np.exp(-30 * ((x - 0.4) ** 2 + y**2)) + 20 * x
    rng = np.random.default_rng(0)
    eyes = [layout + gaussian_filter(rng.normal(0, 40, layout.shape), 1.5) for _ in range(12)]
    pictures = [np.repeat(np.clip(one, 0, 255).astype(np.uint8)[..., None], 3, axis=-1) for one in eyes]
    assert near(*pictures) == []
    assert near(*pictures, pictures[4] // 2) == [("i4", "i12")]


def test_one_strong_edge_makes_no_copies() -> None:
    pictures = [scene(seed, side=256) for seed in range(12)]
    for picture in pictures:
        picture[110:140] = 250
    assert near(*pictures) == []


DATA = Path(os.environ.get("WSI_DATA", "/nowhere")) / "images" / "retina"


@pytest.mark.skipif(not DATA.is_dir(), reason="no WSI_DATA with photographs of eyes here")
def test_of_real_eyes_copies_alone_are_found() -> None:
    """Three photographs of IDRiD stand in it twice, and CHASE has both eyes of each child."""
    paths = [*sorted((DATA / "idrid_grading").glob("*.jpg"))[:120], *sorted((DATA / "chase").glob("*.jpg"))]
    pixels = [read_picture(path).pixels for path in paths]
    half = Image.fromarray(pixels[7]).resize((200, 200))
    found = near(*pixels, np.asarray(half))
    assert ("i7", f"i{len(pixels)}") in found
    others = [(paths[int(a[1:])].stem, paths[int(b[1:])].stem) for a, b in found if b != f"i{len(pixels)}"]
    assert set(others) <= {("IDRiD_079", "IDRiD_279"), ("IDRiD_021", "IDRiD_391"), ("IDRiD_028", "IDRiD_327")}


def test_blank_pictures_are_alike_to_none() -> None:
    white = np.full((40, 40, 3), 255, np.uint8)
    assert near(white, white, scene(1)) == []


def test_pictures_folder_is_searched_through(tmp_path: Path) -> None:
    pictures_folder(tmp_path / "p" / "deep", [0, 1], as_it_is)
    assert [bag.name for bag in locate_pictures(tmp_path / "p").bags] == ["deep/i0.png", "deep/i1.png"]
