"""What is kept between runs, damaged or written by somebody else: it counts as none, and leads nowhere."""

import os
import threading
from pathlib import Path

import pytest

from wsi.engine import journal
from wsi.engine.book import BOOK, Book, Entry, Refusal, is_intact, make_key, read_book, write_book
from wsi.results import Record

WHOLE = Book(
    slide="a-1",
    path="a.svs",
    stages={
        "tissue": Entry(key=make_key("x"), artifacts={"thumbnail.jpg": "0" * 64}, facts={"area_mm2": 0.1, "é": [1, 2]}),
        "tile": Entry(key="k", refusal=Refusal(code="E_NO_TISSUE", reason="none\udcff")),
    },
)
NONE = Book(slide="a-1", path="a.svs")


def read(folder: Path) -> Book:
    return read_book(folder, slide="a-1", path="a.svs")


def test_book_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_book(tmp_path, WHOLE)
    assert read(tmp_path) == WHOLE


def test_book_in_which_a_byte_changed_counts_as_none(tmp_path: Path) -> None:
    write_book(tmp_path, WHOLE)
    content = (tmp_path / BOOK).read_bytes()
    for at in range(len(content)):
        if content[at : at + 1].isspace():  # white space between the values says nothing
            continue
        (tmp_path / BOOK).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert read(tmp_path) == NONE, at


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b'{"sha256": 1}'])
def test_what_is_no_book_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / BOOK).write_bytes(content)
    assert read(tmp_path) == NONE


def test_book_of_a_slide_that_lay_elsewhere_counts_as_none(tmp_path: Path) -> None:
    write_book(tmp_path, WHOLE)
    assert read_book(tmp_path, slide="a-1", path="b.svs") == Book(slide="a-1", path="b.svs")


def test_fifo_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    for name in (BOOK, journal.JOURNAL, "features.h5"):
        os.mkfifo(tmp_path / name)
    found: list[object] = []

    def look() -> None:
        found.extend([read(tmp_path), journal.read(tmp_path), is_intact(tmp_path / "features.h5", "0" * 64)])

    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    looker.join(5)
    assert found == [NONE, {}, False]


@pytest.mark.parametrize("slide", ["../../victim", "..", ".", "", "/etc", "a/b", "a\0b", "x" * 300, "a\n"])
def test_id_that_leads_out_of_the_folder_is_passed_over(tmp_path: Path, slide: str) -> None:
    good = Record(slide="a-1", path="a.svs", status="ok")
    lines = [journal.line(record) + "\n" for record in (good, good.model_copy(update={"slide": slide}))]
    (tmp_path / journal.JOURNAL).write_text("".join(lines))
    assert list(journal.read(tmp_path)) == ["a-1"]
