"""Labels files as people leave them, and all that is wrong with one at once."""

from pathlib import Path

import pytest

from wsi.errors import LabelsError
from wsi.table import read_table


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_delimiter_bom_and_newlines_make_no_difference(
    tmp_path: Path, delimiter: str, bom: bytes, newline: str
) -> None:
    text = newline.join([f"slide{delimiter}grade", f" a.svs {delimiter} 1", "", f"b.svs{delimiter}2"])
    table = read_table(written(tmp_path, bom + text.encode()))
    assert table.columns == ("slide", "grade")
    assert [dict(row.values) for row in table.rows] == [
        {"slide": "a.svs", "grade": "1"},
        {"slide": "b.svs", "grade": "2"},
    ]


def test_quoted_values_keep_delimiters_and_line_numbers(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, 'slide,note\na,"one, two"\nb,"x\ny"\nc,z\n'))
    assert [row.values["note"] for row in table.rows] == ["one, two", "x\ny", "z"]
    assert table.rows[-1].line == 5


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "NaN", "null", "."])
def test_missing_values_are_none(tmp_path: Path, text: str) -> None:
    assert read_table(written(tmp_path, f"slide,grade\na,{text}\n")).rows[0].get("grade") is None


def test_none_is_a_value(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, "slide,metastasis\na,none\n")).rows[0].get("metastasis") == "none"


def test_all_problems_are_told_together_and_ten_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "slide,grade,grade\n" + "a,1\n" * 14)
    with pytest.raises(LabelsError) as raised:
        read_table(path)
    told = str(raised.value)
    assert told.startswith(f"{path}: 15 problems:")
    assert "column 'grade' stands 2 times" in told
    assert "line 2: 2 values, expected 3" in told
    assert told.count("\n") == 11
    assert told.endswith("… and 5 more")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"slide,grade\nM\xfcller,1\n", "line 2 is not UTF-8"),
        ("slide,grade\na,1\n".encode("utf-16"), "not UTF-8"),
        (b"slide,grade\na\0,1\n", "NUL"),
        (b"", "no rows"),
        (b"slide,grade\n", "no rows"),
        (b"slide,,grade\na,b,c\n", "column 2 has no name"),
        (b'slide,grade\n"a"b,1\n', "expected CSV"),
    ],
)
def test_unusable_files_are_refused_by_name(tmp_path: Path, content: bytes, told: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(LabelsError, match=told) as raised:
        read_table(path)
    assert str(path) in str(raised.value)


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="can't be read"):
        read_table(tmp_path / "absent.csv")


def test_unknown_column_offers_near_names(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "slide,gleason\na,1\n"))
    with pytest.raises(LabelsError, match=r"no column 'gleeson'.*Did you mean 'gleason'"):
        table.column("gleeson")


def test_columns_are_found_in_any_case(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, "Slide_ID,Patient\na,p\n")).find(("slide", "slide_id")) == "Slide_ID"
