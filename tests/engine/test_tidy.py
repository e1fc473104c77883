"""What a run removes: its own files, never anybody else's."""

from pathlib import Path

from wsi.engine.book import BOOK
from wsi.engine.tidy import remove_own, remove_slide
from wsi.locks import lock
from wsi.results import ARTIFACTS

OWN = (*ARTIFACTS, BOOK, "a.geojson.gz")
OTHERS = ("notes.txt", "a-edited.geojson.gz", "resolv.conf", ".hidden", "mask.seg.dcm")


def fill(folder: Path, names: tuple[str, ...]) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_own_files_go_and_others_stay(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a-1", OWN + OTHERS)
    remove_own(folder, "sub/a.svs", keep={"result.json", BOOK})
    assert names(folder) == {"result.json", BOOK, *OTHERS}


def test_folder_behind_a_link_is_left_alone(tmp_path: Path) -> None:
    folder = fill(tmp_path / "elsewhere", OWN + OTHERS)
    (tmp_path / "a-1").symlink_to(folder)
    assert remove_slide(tmp_path / "a-1", "a.svs")
    assert names(folder) == {*OWN, *OTHERS}


def test_folder_by_the_name_of_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "features.h5").mkdir()
    remove_own(tmp_path, "a.svs")
    assert names(tmp_path) == {"features.h5"}


def test_slide_goes_with_its_folder(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a-1", (*OWN, ".tmp-features"))
    assert remove_slide(folder, "a.svs")
    assert not folder.exists()


def test_folder_with_others_files_stays(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a-1", OWN + OTHERS)
    assert remove_slide(folder, "a.svs")
    assert names(folder) == set(OTHERS)


def test_slide_that_another_run_works_on_stays(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a-1", OWN)
    with lock(folder):
        assert not remove_slide(folder, "a.svs")
    assert names(folder) == set(OWN)
