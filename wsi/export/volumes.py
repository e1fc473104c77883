"""volumes.csv: how much of each structure each image has, a row a structure, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from wsi.export.cohort import Entry, entries, publish_changes
from wsi.printable import safe_cell
from wsi.results import Record

NAME = "volumes.csv"
MASK = "mask.h5"
COLUMNS = (
    "id", "path", "structure", "code", "samples", "amount", "unit", "refer", "model", "model_version", "model_sha256", "notice",
)  # fmt: skip


def write_volumes(out: Path, records: list[Record]) -> None:
    """Write volumes.csv when any image has a mask; one that an earlier model left is removed when none has.

    amount is in `unit`: ml of a volume, mm² or px of a picture, or share of the foreground; samples are voxels or px of
    the image as it was read.
    """
    marked = [record for record in records if MASK in record.artifacts]
    rows = [row for entry in entries(out, marked) for row in _rows(entry)]
    if rows:
        publish_changes(out / NAME, _lines(rows))
    else:
        (out / NAME).unlink(missing_ok=True)


def _rows(entry: Entry) -> Iterator[tuple[str, ...]]:
    result, made = entry.result, entry.result.provenance
    model = ("", "", "") if made is None else (made.model, made.model_version, made.model_sha256)
    for one in result.structures:
        amounts = (str(one.samples), f"{one.amount:.6g}", one.unit)
        refer = "yes" if result.refer else "no"
        yield (result.slide, result.path, one.name, one.code or "", *amounts, refer, *model, result.notice)


def _lines(rows: Iterable[tuple[str, ...]]) -> Iterator[bytes]:
    for row in (COLUMNS, *rows):
        buffer = io.StringIO(newline="")
        csv.writer(buffer, lineterminator="\n").writerow(map(safe_cell, row))
        yield buffer.getvalue().encode()
