"""predictions.csv, read back by the csv module."""

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.export.cases import MODEL_SHA256, NO_VERDICT, make_case, make_record, make_result, make_scale
from wsi.export.cohort import entries
from wsi.export.table import write_predictions
from wsi.printable import safe_cell
from wsi.results import Record, Result


def table(out: Path, results: list[Result]) -> list[dict[str, str]]:
    records = []
    for result in results:
        make_case(out / "slides" / result.slide, result, None)
        records.append(make_record(result))
    return read(out, records)


def read(out: Path, records: list[Record]) -> list[dict[str, str]]:
    write_predictions(out, entries(out, records))
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_says_all_of_a_graded_slide(tmp_path: Path) -> None:
    (row,) = table(tmp_path, [make_result(make_scale())])
    expected = {
        "id": "case-1-0a1b2c3d",
        "path": "case/1.svs",
        "status": "ok",
        "code": "",
        "label": "Malignant",
        "probability": "0.93",
        "P(Benign)": "0.07",
        "P(Malignant)": "0.93",
        "confidence": "0.86",
        "refer": "yes",
        "refer_reason": "close to the threshold",
        "flags": "blur",
        "tiles_wanted": "100",
        "tiles_read": "98",
        "tiles_unreadable": "2",
        "tissue_mm2": "84.2",
        "mpp": "0.25",
        "model_sha256": MODEL_SHA256,
        "notice": "Research use only. Not for diagnosis.",
    }
    assert {key: row[key] for key in expected} == expected


def test_a_refused_slide_has_its_code_and_reason_and_no_figures(tmp_path: Path) -> None:
    refused = make_result(None, status="refused", code="E_MPP_MISSING", reason="x: no pixel size", **NO_VERDICT)
    row, _ = table(tmp_path, [refused, make_result(make_scale(), slide="other")])
    assert (row["status"], row["code"], row["reason"]) == ("refused", "E_MPP_MISSING", "x: no pixel size")
    assert row["label"] == row["probability"] == row["P(Malignant)"] == row["mpp"] == ""


@pytest.mark.parametrize("path", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0", "＝1"])
def test_no_cell_starts_a_formula(tmp_path: Path, path: str) -> None:
    (row,) = table(tmp_path, [make_result(make_scale(), path=path, reason=path, refer_reason=path)])
    for name in ("path", "reason", "refer_reason"):
        assert row[name].startswith("'")
    assert all(not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝")) for cell in row.values())


def test_a_slide_is_one_line_whatever_its_name(tmp_path: Path) -> None:
    names = ['a"b,c', "a\r\nb", "a\x1b[31m", "\u202egnp.svs", "\udcff.svs", "x" * 255]
    rows = table(tmp_path, [make_result(make_scale(), slide=f"s{i}", path=name) for i, name in enumerate(names)])
    content = (tmp_path / "predictions.csv").read_bytes()
    assert content.count(b"\n") == len(names) + 1
    assert b"\r" not in content
    assert b"\x1b" not in content
    assert [row["path"] for row in rows] == [
        'a"b,c', "a\\r\\nb", "a\\x1b[31m", "\\u202egnp.svs", "\\udcff.svs", "x" * 255
    ]  # fmt: skip


def test_plain_text_and_numbers_stay_as_they_are() -> None:
    assert [safe_cell(text) for text in ("0.93", "1e-05", "a-b", "")] == ["0.93", "1e-05", "a-b", ""]


def test_a_failed_slide_shows_nothing_of_an_older_result(tmp_path: Path) -> None:
    older: Any = make_result(make_scale())
    make_case(tmp_path / "slides" / older.slide, older, None)
    failed = Record(slide=older.slide, path=older.path, status="failed", code="E_CRASH", reason="it died")
    (row,) = read(tmp_path, [failed])
    assert (row["status"], row["code"], row["label"], row["probability"]) == ("failed", "E_CRASH", "", "")


def test_a_damaged_result_is_said_to_be_damaged(tmp_path: Path) -> None:
    result = make_result(make_scale())
    make_case(tmp_path / "slides" / result.slide, result, None)
    (tmp_path / "slides" / result.slide / "result.json").write_text("{")
    (row,) = read(tmp_path, [make_record(result)])
    assert (row["status"], row["code"], row["label"]) == ("failed", "E_ARTIFACT", "")


def test_unchanged_rows_leave_the_file_alone(tmp_path: Path) -> None:
    table(tmp_path, [make_result(make_scale())])
    before = (tmp_path / "predictions.csv").stat()
    table(tmp_path, [make_result(make_scale())])
    after = (tmp_path / "predictions.csv").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
