"""The reader is chosen by what a file holds; what can't be opened is refused by a code and a next step."""

import importlib.metadata
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests import make
from tests.make_dicom import write_dicom
from wsi import registry
from wsi.errors import FormatError, RegionError, SlideError, TooLargeError, UnreadableError, UsageError
from wsi.geometry import Point, Region, Size
from wsi.read import Source, open_slide
from wsi.read.stained import check_stained

PICTURE = make.small_picture()[:300, :400]


def _whole(source: Source) -> make.Pixels:
    return source.read_region(Region(Point(0, 0), 0, source.levels[0].size))


def _no_vendor_strips(path: Path) -> Path:
    return make.write_tiff(path, PICTURE, tile=None)


@pytest.mark.parametrize(
    ("name", "write", "reader"),
    [
        ("scan.png", lambda path: make.write_svs(path, PICTURE, compression="deflate"), "openslide"),
        ("scan", lambda path: make.write_tiff(path, PICTURE), "openslide"),
        ("scan.svs", lambda path: make.write_png(path, PICTURE), "image"),
        ("scan.ndpi", lambda path: make.write_picture(path, PICTURE, kind="BMP"), "image"),
        ("scan.dcm", _no_vendor_strips, "tiffslide"),
        (
            "scan.tif",
            lambda path: write_dicom(path.parent, PICTURE, compression="jpeg2000")[0].rename(path),
            "openslide",
        ),
    ],
)
def test_content_decides_not_the_suffix(tmp_path: Path, name: str, write: Callable[[Path], Path], reader: str) -> None:
    source = open_slide(write(tmp_path / name))
    assert source.reader == reader
    assert np.array_equal(_whole(source)[:300, :400], PICTURE)
    source.close()


def test_jpeg_2000_picture_is_read(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(PICTURE).save(tmp_path / "scan.jp2", irreversible=False)
    source = open_slide(tmp_path / "scan.jp2")
    assert np.array_equal(_whole(source), PICTURE)


def test_pyramid_in_subifds_is_found_where_openslide_sees_one_level(tmp_path: Path) -> None:
    # Larger than opening.ONE_LEVEL_PX, and all of glass, so that it is quick to write.
    pixels = np.full((4200, 4200, 3), make.GLASS, np.uint8)
    pixels[1000:1100, 2000:2100] = make.NUCLEUS
    path = make.write_ome(tmp_path / "scan.ome.tif", pixels, levels=4)
    one = open_slide(path, reader="openslide")
    assert len(one.levels) == 1
    one.close()
    source = open_slide(path)
    assert (source.reader, [level.downsample for level in source.levels]) == ("tiffslide", [1.0, 2.0, 4.0, 8.0])
    found = source.read_region(Region(Point(2000, 1000), 2, Size(25, 25)))
    assert (found == make.NUCLEUS).all()
    source.close()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"just text, not a slide\n", "text"),
        (b"II*\0\x08\0\0\0", "damaged or cut off"),
        (b"II*\0\xff\xff\xff\x7f", "damaged or cut off"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "damaged or cut off"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "damaged or cut off"),
        (b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0\xff\xff", "damaged"),
        (b"SIMPLE  =                    T", "FITS"),
        (bytes(range(256)), "no format known here"),
    ],
)
@pytest.mark.parametrize("name", ["scan.svs", "scan.dcm", "scan.mrxs", "scan.png"])
def test_file_that_is_no_slide_is_refused_with_what_it_is(tmp_path: Path, content: bytes, told: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=told) as caught:
        open_slide(path)
    assert str(caught.value).startswith(f"{name}: ")
    assert caught.value.code == "E_UNREADABLE"


def test_missing_file_folder_and_fifo_are_refused_at_once(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "fifo.svs")
    for path in (tmp_path / "none.svs", tmp_path, tmp_path / "fifo.svs"):
        with pytest.raises(UnreadableError, match="can't be read"):
            open_slide(path)


def test_planes_stored_apart_are_a_format_we_name(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    planes = np.ascontiguousarray(PICTURE.transpose(2, 0, 1))
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", metadata=None, tile=(256, 256))
    with pytest.raises(FormatError, match=r"scan\.tif: .*export the slide as 8-bit RGB") as caught:
        open_slide(path, reader="tiffslide")
    assert caught.value.code == "E_FORMAT"
    source = open_slide(path)
    assert np.array_equal(_whole(source), PICTURE), "OpenSlide can decode it"
    source.close()


def test_ycbcr_without_jpeg_is_not_shown_in_wrong_colors(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, PICTURE, photometric="ycbcr", metadata=None, rowsperstrip=64)
    with pytest.raises(FormatError, match="YCbCr"):
        open_slide(path)


def test_animation_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    frames = [Image.fromarray(PICTURE), Image.fromarray(PICTURE[::-1].copy())]
    frames[0].save(tmp_path / "scan.png", save_all=True, append_images=frames[1:])
    with pytest.raises(FormatError, match="one picture"):
        open_slide(tmp_path / "scan.png")


@pytest.mark.parametrize("change", ["level of the same size", "compression", "planes"])
def test_dicom_that_our_reader_can_not_place_is_refused(tmp_path: Path, change: str) -> None:
    import pydicom

    path = write_dicom(tmp_path, PICTURE, image_type=False)[0]
    found = pydicom.dcmread(path)
    if change == "level of the same size":
        found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        found.save_as(tmp_path / "again.dcm")
    elif change == "compression":
        found.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
        found.save_as(path)
    else:
        found.TotalPixelMatrixFocalPlanes = 3
        found.save_as(path)
    with pytest.raises(FormatError, match=r"level_0\.dcm"):
        open_slide(path, reader="dicom")


def _changed_dicom(folder: Path, change: Callable[[Any], None], **written: Any) -> Path:
    """Write a DICOM slide of PICTURE that OpenSlide refuses, change its elements, and return its path."""
    import pydicom

    path = write_dicom(folder, PICTURE, image_type=False, **written)[0]
    found = pydicom.dcmread(path)
    change(found)
    found.save_as(path)
    return path


def test_dicom_of_jpeg_2000_that_stores_ybr_has_its_colors(tmp_path: Path) -> None:
    import imagecodecs
    from PIL import Image
    from pydicom.encaps import encapsulate

    def change(found: Any) -> None:
        tiles = [np.asarray(Image.fromarray(tile).convert("YCbCr")) for tile in make.cut(PICTURE, 256)]
        frames = [bytes(imagecodecs.jpeg2k_encode(tile, level=0, codecformat="j2k", mct=False)) for tile in tiles]
        found.add_new("PixelData", "OB", encapsulate(frames))
        found["PixelData"].is_undefined_length = True
        found.PhotometricInterpretation = "YBR_FULL"

    source = open_slide(_changed_dicom(tmp_path, change, compression="jpeg2000"))
    assert np.abs(_whole(source).astype(int) - PICTURE).max() <= 3
    source.close()


def test_dicom_frames_that_say_their_place_lie_there_whatever_else_is_said(tmp_path: Path) -> None:
    def change(found: Any) -> None:
        del found.DimensionOrganizationType

    source = open_slide(_changed_dicom(tmp_path, change, compression="none", sparse=True))
    assert np.array_equal(_whole(source), PICTURE)
    source.close()


@pytest.mark.parametrize("x", [101, 257 + 512, -255])
def test_dicom_frame_off_the_grid_is_refused_not_moved(tmp_path: Path, x: int) -> None:
    def change(found: Any) -> None:
        place = found.PerFrameFunctionalGroupsSequence[0].PlanePositionSlideSequence[0]
        place.ColumnPositionInTotalImagePixelMatrix = x

    with pytest.raises(FormatError, match=rf"level_0\.dcm: .*frame 1 lies at {x - 1}, "):
        open_slide(_changed_dicom(tmp_path, change, compression="none", sparse=True))


def test_dicom_frame_that_a_full_level_lacks_is_an_error_not_white(tmp_path: Path) -> None:
    def change(found: Any) -> None:
        found.NumberOfFrames = 3

    source = open_slide(_changed_dicom(tmp_path, change, compression="none"))
    assert np.array_equal(source.read_region(Region(Point(0, 0), 0, Size(256, 256))), PICTURE[:256, :256])
    with pytest.raises(RegionError, match="never stored"):
        source.read_region(Region(Point(260, 260), 0, Size(10, 10)))
    source.close()


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_dicom_frame_in_several_fragments_is_read_whole(tmp_path: Path, compression: str) -> None:
    from pydicom.encaps import encapsulate, generate_frames

    def change(found: Any) -> None:
        frames = list(generate_frames(found.PixelData, number_of_frames=4))
        found.PixelData = encapsulate(frames, fragments_per_frame=3)

    plain = open_slide(write_dicom(tmp_path / "plain", PICTURE, image_type=False, compression=compression)[0])
    source = open_slide(_changed_dicom(tmp_path / "pieces", change, compression=compression))
    assert np.array_equal(_whole(source), _whole(plain))
    source.close()
    plain.close()


@pytest.mark.parametrize("name", ["Rows", "Columns", "TotalPixelMatrixRows", "TotalPixelMatrixColumns"])
def test_dicom_without_a_size_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableError, match=r"level_0\.dcm: .*claims .* x .* px"):
        open_slide(_changed_dicom(tmp_path, lambda found: setattr(found, name, 0)))


@pytest.mark.parametrize("compression", ["jpeg", "none"])
@pytest.mark.parametrize(
    "claims", [{"NumberOfFrames": 2**31 - 1}, {"Rows": 1, "Columns": 1, "TotalPixelMatrixRows": 2**31 - 1}]
)
def test_dicom_of_more_frames_than_a_slide_has_is_refused_before_they_are_looked_for(
    tmp_path: Path, claims: dict[str, int], compression: str
) -> None:
    def change(found: Any) -> None:
        for name, value in claims.items():
            setattr(found, name, value)

    with pytest.raises(TooLargeError, match=r"level_0\.dcm: .*more than"):
        open_slide(_changed_dicom(tmp_path, change, compression=compression), reader="dicom")


def test_dicom_label_without_its_type_is_left_out(tmp_path: Path) -> None:
    import pydicom

    paths = write_dicom(tmp_path, PICTURE, levels=2, image_type=False)
    write_dicom(tmp_path / "label", make.draw_tissue(400, 320), image_type=False)
    label = pydicom.dcmread(tmp_path / "label" / "level_0.dcm")
    label.SpecimenLabelInImage, label.SeriesInstanceUID = "YES", pydicom.dcmread(paths[0]).SeriesInstanceUID
    label.save_as(tmp_path / "a_label.dcm")
    source = open_slide(paths[0])
    assert [level.size for level in source.levels] == [Size(400, 300), Size(200, 150)]
    source.close()


def test_slide_of_which_nothing_can_be_decoded_is_refused_at_once(tmp_path: Path) -> None:
    path = make.write_svs(tmp_path / "scan.svs", PICTURE, levels=1)
    make.damage_tiles(path, range(4))
    with pytest.raises(UnreadableError, match=r"scan\.svs: .*no px can be decoded"):
        open_slide(path)


def test_slide_with_one_good_frame_is_opened(tmp_path: Path) -> None:
    path = make.write_svs(tmp_path / "scan.svs", PICTURE, levels=1)
    make.damage_tiles(path, [0, 1, 2])
    source = open_slide(path)
    assert source.read_region(Region(Point(270, 260), 0, Size(100, 30))).shape == (30, 100, 3)
    with pytest.raises(RegionError) as caught:
        source.read_region(Region(Point(0, 0), 0, Size(10, 10)))
    assert caught.value.code == "E_REGION"
    source.close()


def test_plain_picture_with_a_damaged_frame_is_taken_unjudged(tmp_path: Path) -> None:
    path = make.write_tiff(tmp_path / "scan.tif", PICTURE, levels=1)
    make.damage_tiles(path, [1])
    source = open_slide(path)
    with pytest.raises(RegionError):
        _whole(source)
    check_stained(source, "scan.tif")
    source.close()


@pytest.mark.parametrize(
    "head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0\x08\0\0\0"], ids=["PNG", "JPEG", "TIFF"]
)
@pytest.mark.parametrize("folder", ["plain", "o'clock\\", "\udcff"], ids=ascii)
def test_refusal_never_names_the_folder(tmp_path: Path, head: bytes, folder: str) -> None:
    path = tmp_path / folder / "scan.svs"
    path.parent.mkdir()
    path.write_bytes(head + b"\0" * 200)
    for reader in ("auto", "image", "openslide", "tiffslide"):
        with pytest.raises(SlideError) as caught:
            open_slide(path, reader=reader)
        assert tmp_path.name not in str(caught.value)


@pytest.mark.parametrize("folder", ["plain", "o'clock\\", "\udcff"], ids=ascii)
def test_missing_part_is_named_without_its_folder(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "scan.vms"
    path.parent.mkdir()
    said = "NoLayers=1\nNoJpegColumns=1\nNoJpegRows=1\nImageFile=a.jpg\nMapFile=map.jpg\n"
    path.write_text(f"[Virtual Microscope Specimen]\n{said}")
    with pytest.raises(UnreadableError, match=r"open map\.jpg") as caught:
        open_slide(path)
    assert tmp_path.name not in str(caught.value)


def _with_tag(path: Path, code: int, kind: int, count: int, value: bytes) -> Path:
    """Change a tag of the first directory: its kind, how many values it claims, and its first four bytes."""
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags[code].offset  # type: ignore[union-attr]
    with path.open("rb+") as stored:
        stored.seek(at)
        stored.write(struct.pack("<HHI", code, kind, count) + value)
    return path


@pytest.mark.parametrize("reader", ["auto", "tiffslide"])
@pytest.mark.parametrize(
    ("tile", "code", "kind", "count", "value"),
    [(None, 279, 3, 1, b"\5\0\0\0"), (None, 278, 4, 1, b"\0\0\0\0"), (256, 323, 3, 1, b"\0\0\0\0")],
    ids=["a count too few", "strips of no rows", "tiles of no rows"],
)
def test_tiff_whose_frames_make_no_sense_is_read_or_refused(
    tmp_path: Path, tile: int | None, code: int, kind: int, count: int, value: bytes, reader: str
) -> None:
    path = make.write_tiff(tmp_path / "scan.tif", PICTURE, tile=tile, levels=1)
    told = path.name
    try:
        open_slide(_with_tag(path, code, kind, count, value), reader=reader).close()
    except SlideError as refused:
        told = str(refused)
    assert path.name in told


OFFSETS, COUNTS = 324, 325


def _rewrite(path: Path, value: int, *tags: int) -> None:
    """Write `value` as the offset or the byte count of frame 1 of level 0."""
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        places = [(page.tags[code].valueoffset, int(page.tags[code].dtype)) for code in tags]
    with path.open("rb+") as stored:
        for offset, kind in places:
            width = {3: 2, 4: 4, 16: 8}[kind]
            stored.seek(offset + width)
            stored.write(value.to_bytes(width, "little"))


@pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
def test_lost_frame_is_an_error_in_both_readers_and_never_painted(tmp_path: Path, reader: str) -> None:
    path = make.write_svs(tmp_path / "scan.svs", make.small_picture(), compression="deflate")
    _rewrite(path, 0, COUNTS)
    source = open_slide(path, reader=reader)
    for x, y, lost in (
        (250, 0, True),
        (256, 250, True),
        (300, 100, True),
        (0, 0, False),
        (512, 0, False),
        (256, 256, False),
    ):
        region = Region(Point(x, y), 0, Size(8, 8))
        if lost:
            with pytest.raises(RegionError):
                source.read_region(region)
        else:
            assert np.array_equal(source.read_region(region), make.small_picture()[y : y + 8, x : x + 8])
    source.close()


@pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
def test_glass_that_was_left_out_is_white_in_both_readers(tmp_path: Path, reader: str) -> None:
    path = make.write_tiff(tmp_path / "scan.tiff", make.small_picture())
    _rewrite(path, 0, COUNTS, OFFSETS)
    source = open_slide(path, reader=reader)
    assert (source.read_region(Region(Point(256, 0), 0, Size(256, 256))) == 255).all()
    source.close()


@pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
def test_frame_beyond_the_end_of_the_file_is_an_error_in_both_readers(tmp_path: Path, reader: str) -> None:
    path = make.write_svs(tmp_path / "scan.svs", make.small_picture(), compression="deflate")
    _rewrite(path, path.stat().st_size + 1000, OFFSETS)
    source = open_slide(path, reader=reader)
    with pytest.raises(RegionError):
        source.read_region(Region(Point(300, 100), 0, Size(50, 50)))
    found = source.read_region(Region(Point(100, 100), 0, Size(50, 50)))
    assert np.array_equal(found, make.small_picture()[100:150, 100:150])
    source.close()


def test_pyramid_that_openslide_can_not_hash_is_read_by_tiffslide(tmp_path: Path) -> None:
    # OpenSlide reads the smallest level when it opens a file; cut off there, it gives the whole slide up.
    path = make.write_tiff(tmp_path / "scan.tiff", make.small_picture(), compression="none", levels=1)
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        last = page.dataoffsets[-1]
    with path.open("rb+") as stored:
        stored.truncate(last + 100)
    with pytest.raises(UnreadableError):
        open_slide(path, reader="openslide")
    source = open_slide(path)
    assert source.reader == "tiffslide"
    assert np.array_equal(_whole_but_last(source), make.small_picture()[:512])
    source.close()


def _whole_but_last(source: Source) -> make.Pixels:
    return source.read_region(Region(Point(0, 0), 0, Size(1000, 512)))


def test_unknown_reader_is_a_usage_error_with_the_near_name(tmp_path: Path) -> None:
    path = make.write_svs(tmp_path / "scan.svs", PICTURE)
    with pytest.raises(UsageError, match="Did you mean 'openslide'"):
        open_slide(path, reader="openslid")


@pytest.mark.parametrize("reader", ["openslide", "tiffslide", "dicom", "image"])
def test_named_reader_refuses_what_it_can_not_read(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "scan.svs"
    path.write_bytes(b"no slide")
    with pytest.raises(SlideError, match=r"^scan\.svs: "):
        open_slide(path, reader=reader)


def test_plug_in_that_knows_the_file_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("echo", "tests.read.plugin:READER", "wsi.readers")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "wsi.readers" else [])
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "scan.svs"
    path.write_bytes(b"ECHO 40 30")
    source = open_slide(path)
    assert (source.reader, source.levels[0].size) == ("echo", Size(40, 30))
    assert open_slide(path, reader="echo").reader == "echo"


def test_damaged_dicom_is_refused_without_a_word_of_its_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_dicom(tmp_path, PICTURE, image_type=False)[0]
    stored = path.read_bytes()
    for at in range(140, 1200, 7):
        path.write_bytes(stored[:at] + b"\xff" + stored[at + 1 :])
        for reader in ("auto", "dicom"):
            try:
                open_slide(path, reader=reader).close()
            except SlideError as error:
                told = str(error)
                assert "Doe" not in told
                assert "SECRET" not in told
    assert "Doe" not in "".join(capfd.readouterr())


def test_damaged_tiff_says_nothing_on_the_terminal(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = tmp_path / "scan.svs"
    path.write_bytes(b"II*\0\xff\xff\xff\x7f")
    code = "import sys; from pathlib import Path; from wsi.read import open_slide\ntry: open_slide(Path(sys.argv[1]))\nexcept OSError: pass"
    probe = [sys.executable, "-c", code, str(path)]
    ended = subprocess.run(probe, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("", "")
