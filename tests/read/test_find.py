"""Which files are slides, what they are called, and what must never be opened."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from tests import make
from tests.make_dicom import write_dicom
from tests.make_mirax import write_mirax
from tests.make_radiology import dicom, series
from wsi.errors import FormatError, UnreadableError
from wsi.read import Rejected, SlideFile, find_slides, open_slide
from wsi.read.field_reader import read_field
from wsi.read.sniff import is_dicom

PICTURE = make.small_picture()[:256, :256]
OTHER = make.small_picture()[300:556, 300:556]


@pytest.fixture(scope="module")
def svs(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make.write_svs(tmp_path_factory.mktemp("svs") / "a.svs", PICTURE, levels=1).read_bytes()


@pytest.fixture(scope="module")
def svs2(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make.write_svs(tmp_path_factory.mktemp("svs") / "a.svs", OTHER, levels=1).read_bytes()


def _put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _slides(found: Sequence[SlideFile | Rejected]) -> list[SlideFile]:
    return [slide for slide in found if isinstance(slide, SlideFile)]


def _rejected(found: Sequence[SlideFile | Rejected]) -> dict[str, str]:
    return {slide.relative: slide.reason for slide in found if isinstance(slide, Rejected)}


def _ids(found: Sequence[SlideFile | Rejected]) -> list[str]:
    return [slide.id.lower() for slide in found]


def test_same_name_in_two_folders_gets_two_ids(tmp_path: Path, svs: bytes, svs2: bytes) -> None:
    _put(tmp_path / "a" / "1.svs", svs)
    _put(tmp_path / "b" / "1.svs", svs2)
    found = find_slides(tmp_path)
    assert [slide.relative for slide in found] == ["a/1.svs", "b/1.svs"]
    assert len(set(_ids(found))) == 2


def test_names_that_differ_by_suffix_case_or_separator_get_ids_of_their_own(tmp_path: Path, svs: bytes) -> None:
    for name in ("1.svs", "1.tif", "A.svs", "a.svs", "a/1.svs", "a_1.svs", "a 1.svs"):
        _put(tmp_path / name, svs)
    found = find_slides(tmp_path)
    assert len(found) == 7
    assert len(set(_ids(found))) == 7


def test_composed_and_decomposed_names_are_two_slides(tmp_path: Path, svs: bytes, svs2: bytes) -> None:
    _put(tmp_path / normalize("NFC", "ü.svs"), svs)
    if (tmp_path / normalize("NFD", "ü.svs")).exists():
        pytest.skip("this file system folds Unicode forms")
    _put(tmp_path / normalize("NFD", "ü.svs"), svs2)
    found = _slides(find_slides(tmp_path))
    assert len(set(_ids(found))) == 2
    assert len({slide.path for slide in found}) == 2


def test_id_stays_when_the_folder_moves_and_changes_with_the_content(tmp_path: Path, svs: bytes, svs2: bytes) -> None:
    _put(tmp_path / "one" / "s.svs", svs)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert _ids(find_slides(tmp_path / "one")) == _ids(find_slides(tmp_path / "two"))
    _put(tmp_path / "two" / "s.svs", svs2)
    assert _ids(find_slides(tmp_path / "one")) != _ids(find_slides(tmp_path / "two"))


HOSTILE = [
    "new\nline.svs",
    "-rf.svs",
    "x" * 251 + ".svs",
    "😐 ünïcode.svs",
    "<script>alert(1)<.svs",
    "=cmd|calc.svs",
    "\x1b[31mred.svs",
    "a..b.svs",
    "... .svs",
    "con.svs",
    "日本.svs",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_gets_a_plain_id(tmp_path: Path, svs: bytes, name: str) -> None:
    path = _put(tmp_path / name, svs)
    (found,) = find_slides(tmp_path) if not name.startswith(".") else find_slides(path)
    assert isinstance(found, SlideFile)
    assert found.path == path.resolve()
    assert found.relative == normalize("NFC", name)
    assert found.id.isascii()
    assert set(found.id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert 0 < len(found.id) <= 100
    assert not found.id.startswith((".", "-"))


def test_name_that_is_not_utf8_is_kept_readable(tmp_path: Path, svs: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.svs"
    try:
        with open(path, "wb") as file:
            file.write(svs)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (found,) = find_slides(tmp_path)
    found.relative.encode("utf-8")
    assert isinstance(found, SlideFile)
    assert found.path.exists()


def _within(seconds: float, folder: Path) -> list[SlideFile | Rejected]:
    found: list[SlideFile | Rejected] = []
    worker = threading.Thread(target=lambda: found.extend(find_slides(folder)), daemon=True)
    worker.start()
    worker.join(seconds)
    assert not worker.is_alive(), "finding slides waits for something"
    return found


def test_special_files_are_rejected_by_name_and_never_opened(tmp_path: Path, svs: bytes) -> None:
    os.mkfifo(tmp_path / "fifo.svs")
    (tmp_path / "zero.svs").symlink_to("/dev/zero")
    (tmp_path / "gone.svs").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.svs").symlink_to(tmp_path / "loop.svs")
    _put(tmp_path / "good.svs", svs)
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    try:
        os.chdir(tmp_path)  # the path of a socket may have 107 bytes only
        listener.bind("sock.svs")
        found = _within(5, tmp_path)
    finally:
        os.chdir(here)
        listener.close()
    assert [slide.relative for slide in _slides(found)] == ["good.svs"]
    reasons = _rejected(found)
    assert set(reasons) == {"fifo.svs", "zero.svs", "gone.svs", "loop.svs", "sock.svs"}
    for name, word in (("fifo", "FIFO"), ("zero", "device"), ("gone", "nowhere"), ("loop", "link"), ("sock", "socket")):
        assert word in reasons[f"{name}.svs"]
    assert all(slide.code == "E_UNREADABLE" for slide in found if isinstance(slide, Rejected))


def test_special_files_that_stand_for_a_slide_of_several_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.vms")
    (tmp_path / "zero.vmu").symlink_to("/dev/zero")
    (tmp_path / "listing.vms").write_text("[Virtual Microscope Specimen]\nImageFile=member.jpg\n")
    os.mkfifo(tmp_path / "member.jpg")
    write_mirax(tmp_path / "m.mrxs", PICTURE, levels=1)
    (tmp_path / "m" / "Slidedat.ini").unlink()
    os.mkfifo(tmp_path / "m" / "Slidedat.ini")
    reasons = _rejected(_within(5, tmp_path))
    assert set(reasons) == {"fifo.vms", "zero.vmu", "listing.vms", "m.mrxs"}
    assert "member.jpg is a FIFO" in reasons["listing.vms"]
    assert "Slidedat.ini is a FIFO" in reasons["m.mrxs"]


def test_folders_that_link_back_are_walked_once(tmp_path: Path, svs: bytes) -> None:
    _put(tmp_path / "a" / "1.svs", svs)
    (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b").symlink_to(tmp_path / "a", target_is_directory=True)
    assert [slide.relative for slide in _within(5, tmp_path)] == ["a/1.svs"]


def test_link_to_a_slide_is_a_slide(tmp_path: Path, svs: bytes) -> None:
    real = _put(tmp_path / "store" / "blob", svs)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "s.svs").symlink_to(real)
    (found,) = find_slides(tmp_path / "in")
    assert isinstance(found, SlideFile)
    assert found.path == real.resolve()
    assert found.relative == "s.svs"


def test_unreadable_files_and_folders_are_rejected_not_passed_over(tmp_path: Path, svs: bytes) -> None:
    root = tmp_path / "in"
    _put(root / "good.svs", svs)
    _put(root / "locked.svs", svs).chmod(0)
    _put(root / "shut" / "inside.svs", svs)
    (root / "shut").chmod(0)
    for folder in (root, *root.parents[: -len(Path("/tmp").parts)]):
        folder.chmod(0o755)
    with _as_nobody():
        found = find_slides(root)
    (root / "shut").chmod(0o755)
    assert [slide.relative for slide in _slides(found)] == ["good.svs"]
    assert set(_rejected(found)) == {"locked.svs", "shut"}


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Root may read everything, so another user looks."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_hidden_files_results_and_other_files_are_passed_over(tmp_path: Path, svs: bytes) -> None:
    _put(tmp_path / "good.svs", svs)
    _put(tmp_path / ".hidden.svs", svs)
    _put(tmp_path / ".git" / "x.svs", svs)
    _put(tmp_path / "._good.svs", svs)
    _put(tmp_path / ".tmp-0123.svs", svs)
    _put(tmp_path / "notes.txt", b"hello")
    _put(tmp_path / "table.csv", b"slide,mpp\n")
    _put(tmp_path / "old" / "results.jsonl", b"")
    _put(tmp_path / "old" / "slides" / "x" / "heatmap.ome.tiff", svs)
    assert [slide.relative for slide in find_slides(tmp_path)] == ["good.svs"]


def test_out_inside_slides_is_passed_over_even_before_it_holds_results(tmp_path: Path, svs: bytes) -> None:
    _put(tmp_path / "good.svs", svs)
    _put(tmp_path / "OUT" / "slides" / "x" / "heatmap.png", svs)
    (tmp_path / "link").symlink_to(tmp_path / "OUT", target_is_directory=True)
    assert [slide.relative for slide in find_slides(tmp_path, skip=tmp_path / "OUT")] == ["good.svs"]
    assert [slide.relative for slide in find_slides(tmp_path, skip=tmp_path / "link")] == ["good.svs"]


def test_content_makes_a_slide_also_without_a_suffix(tmp_path: Path, svs: bytes) -> None:
    _put(tmp_path / "scan", svs)
    _put(tmp_path / "scan.001", svs[:1] + svs[1:])
    _put(tmp_path / "text", b"hello")
    assert [slide.relative for slide in find_slides(tmp_path)] == ["scan", "scan.001"]


def test_broken_files_with_a_slide_suffix_are_kept_to_be_refused_by_name(tmp_path: Path) -> None:
    _put(tmp_path / "empty.svs", b"")
    _put(tmp_path / "text.ndpi", b"hello")
    assert [slide.relative for slide in _slides(find_slides(tmp_path))] == ["empty.svs", "text.ndpi"]


def test_dicom_series_with_its_thumbnail_is_one_slide_named_after_its_folder(tmp_path: Path) -> None:
    write_dicom(tmp_path / "case-7", PICTURE, levels=2, thumbnail=True)
    (found,) = find_slides(tmp_path)
    assert isinstance(found, SlideFile)
    assert found.relative == "case-7"
    assert [path.name for path in found.files] == ["level_0.dcm", "level_1.dcm", "thumbnail.dcm"]
    assert found.path.name == "level_0.dcm"


def test_two_series_in_one_folder_are_two_slides(tmp_path: Path) -> None:
    for seed, name in (("one", "a"), ("two", "b")):
        write_dicom(tmp_path / name, PICTURE, levels=2, seed=seed)
        for path in sorted((tmp_path / name).iterdir()):
            (tmp_path / "both").mkdir(exist_ok=True)
            path.rename(tmp_path / "both" / f"{name}_{path.name}")
    found = _slides(find_slides(tmp_path / "both"))
    assert [slide.relative for slide in found] == ["a_level_0.dcm", "b_level_0.dcm"]
    assert [len(slide.files) for slide in found] == [2, 2]


def test_thumbnail_alone_comes_after_the_volume_that_is_opened(tmp_path: Path) -> None:
    write_dicom(tmp_path / "case", PICTURE, levels=1, thumbnail=True)
    (tmp_path / "case" / "thumbnail.dcm").rename(tmp_path / "case" / "a_thumbnail.dcm")
    (found,) = _slides(find_slides(tmp_path / "case"))
    assert found.path.name == "level_0.dcm"


def test_mirax_file_and_its_folder_are_one_slide(tmp_path: Path) -> None:
    write_mirax(tmp_path / "s.mrxs", PICTURE, levels=1)
    _put(tmp_path / "s" / "stray.png", b"\x89PNG\r\n\x1a\n")
    (found,) = find_slides(tmp_path)
    assert isinstance(found, SlideFile)
    assert found.relative == "s.mrxs"
    assert {path.name for path in found.files} >= {"s.mrxs", "Slidedat.ini", "Index.dat", "Data0000.dat"}


def test_vms_and_the_jpegs_it_lists_are_one_slide(tmp_path: Path) -> None:
    make.write_picture(tmp_path / "s.jpg", PICTURE, kind="JPEG")
    make.write_picture(tmp_path / "macro.jpg", PICTURE, kind="JPEG")
    make.write_picture(tmp_path / "other.jpg", PICTURE, kind="JPEG")
    listed = "[Virtual Microscope Specimen]\r\nImageFile=s.jpg\r\nMacroImage=macro.jpg\r\nImageFile(1,0)=../x.jpg\r\n"
    (tmp_path / "s.vms").write_text(listed)
    assert [slide.relative for slide in find_slides(tmp_path)] == ["other.jpg", "s.vms"]


def test_vms_that_lists_a_name_too_long_for_any_file_stops_nothing(tmp_path: Path, svs: bytes) -> None:
    (tmp_path / "s.vms").write_text(f"[Virtual Microscope Specimen]\nImageFile={'x' * 300}\n")
    _put(tmp_path / "t.svs", svs)
    assert [slide.relative for slide in find_slides(tmp_path)] == ["s.vms", "t.svs"]


FOREIGN = {
    "a.gif": (b"GIF89a\x10\0\x10\0", "the file is GIF.*magick"),
    "a.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "the file is HEIC.*heif-convert"),
    "a.avif": (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "the file is AVIF.*avifdec"),
    "a.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n", "the file is JPEG XL.*djxl"),
    "a.nrrd": (b"NRRD0004\ntype: short\n", "the file is NRRD.*as 3D Slicer"),
    "a.mha": (b"ObjectType = Image\nNDims = 3\n", "the file is MetaImage.*as 3D Slicer"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_image_of_another_format_is_refused_with_what_reads_it(tmp_path: Path, name: str) -> None:
    """None is passed over, in a folder or by itself, for a model of slides or of other images."""
    head, told = FOREIGN[name]
    path = _put(tmp_path / name, head + b"\0" * 200)
    assert [one.path for one in find_slides(tmp_path) if isinstance(one, SlideFile)] == [path]
    for read in (open_slide, lambda one: read_field([one])):
        with pytest.raises(FormatError, match=rf"^{name}: {told}"):
            read(path)


def test_one_file_is_found_by_its_name(tmp_path: Path, svs: bytes) -> None:
    _put(tmp_path / "other.svs", svs)
    path = _put(tmp_path / "s.svs", svs)
    assert [slide.relative for slide in find_slides(path)] == ["s.svs"]


def test_volumes_of_one_file_are_found_by_name(tmp_path: Path) -> None:
    for name in ("a.nii", "b.nii.gz", "c.gz", "d.txt"):
        _put(tmp_path / name, name.encode())
    found = _slides(find_slides(tmp_path))
    assert [slide.relative for slide in found] == ["a.nii", "b.nii.gz"]
    assert [slide.id[:2] for slide in found] == ["a-", "b-"]


def test_series_of_slices_is_one_volume_named_after_its_folder(tmp_path: Path) -> None:
    paths = series(tmp_path / "patient" / "ct", syntax=ExplicitVRLittleEndian)
    (found,) = _slides(find_slides(tmp_path))
    assert found.relative == "patient/ct"
    assert set(found.files) == set(paths)


@pytest.mark.parametrize("second", ["b", "a/more"])
def test_series_split_over_folders_is_one_volume(second: str, tmp_path: Path) -> None:
    whole = series(tmp_path / "whole", syntax=ExplicitVRLittleEndian)
    expected = read_field(whole).field
    for at, path in enumerate(whole):
        folder = tmp_path / "split" / ("a" if at < 5 else second)
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / path.name)
    (found,) = _slides(find_slides(tmp_path))
    assert found.relative == "split/a"
    reading = read_field(found.files)
    assert np.array_equal(reading.field.values, expected.values)
    assert "slices of one series from 2 folders" in reading.info.findings


def test_file_at_fault_is_named_with_its_folder_where_a_series_lies_in_several(tmp_path: Path) -> None:
    series(tmp_path / "a", syntax=ExplicitVRLittleEndian, skip=range(4))
    wrong = {2: {"RescaleSlope": 0, "SOPInstanceUID": "1.2.9"}}
    series(tmp_path / "b", syntax=ExplicitVRLittleEndian, skip=range(4, 9), changes=wrong)
    (found,) = _slides(find_slides(tmp_path))
    with pytest.raises(UnreadableError, match=r"^001\.dcm: b/007\.dcm: its RescaleSlope is 0"):
        read_field(found.files)


@pytest.mark.parametrize("what", ["copies", "phases", "another frame of reference", "another orientation"])
def test_folders_with_volumes_of_their_own_stay_apart(what: str, tmp_path: Path) -> None:
    first, second = range(5), range(5, 9)
    own: dict[str, dict[str, object]] = {
        "copies": {},
        "phases": {"changes": {at: {"SOPInstanceUID": f"1.2.{at}"} for at in range(9)}},
        "another frame of reference": {"skip": first, "FrameOfReferenceUID": "1.2.3"},
        "another orientation": {"skip": first, "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
    }
    series(tmp_path / "a", syntax=ExplicitVRLittleEndian, skip=second if "skip" in own[what] else ())
    series(tmp_path / "b", syntax=ExplicitVRLittleEndian, **own[what])  # type: ignore[arg-type]
    assert [slide.relative for slide in find_slides(tmp_path)] == ["a", "b"]


def test_two_series_in_one_folder_are_two_volumes(tmp_path: Path) -> None:
    ours = series(tmp_path, syntax=ExplicitVRLittleEndian)
    for path in ours:
        path.rename(path.with_name(f"first-{path.name}"))
    series(tmp_path, syntax=ExplicitVRLittleEndian, SeriesInstanceUID="1.2.3", SliceThickness=1)
    found = _slides(find_slides(tmp_path))
    assert sorted(len(slide.files) for slide in found) == [9, 9]
    assert [slide.relative for slide in found] == ["001.dcm", "first-001.dcm"]


def test_radiographs_and_scouts_of_one_series_stand_for_themselves(tmp_path: Path) -> None:
    slices = series(
        tmp_path / "ct", syntax=ExplicitVRLittleEndian, changes={0: {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}}
    )
    assert sorted(len(slide.files) for slide in _slides(find_slides(tmp_path / "ct"))) == [1, len(slices) - 1]
    (tmp_path / "cr").mkdir()
    for name in ("front.dcm", "side.dcm"):
        dicom(tmp_path / "cr" / name, np.eye(4, dtype=np.uint8))
    assert [slide.relative for slide in _slides(find_slides(tmp_path / "cr"))] == ["front.dcm", "side.dcm"]


def test_directory_of_a_disc_is_no_image(tmp_path: Path) -> None:
    path = dicom(tmp_path / "DICOMDIR", np.eye(4, dtype=np.uint8), SOPClassUID="1.2.840.10008.1.3.10")
    assert is_dicom(path.read_bytes()[:256])
    assert find_slides(tmp_path) == []
