"""results.jsonl: what became of each slide, one line each, the last line of a slide counting."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from wsi.locks import lock
from wsi.publish import append_line, publish
from wsi.results import Record

JOURNAL = "results.jsonl"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""What a slide's id looks like."""


def append(out: Path, record: Record) -> int:
    """Add a record, flush it to the disk and return by how many bytes the journal grew."""
    told = line(record)
    with lock(out, wait=True):
        append_line(out / JOURNAL, told)
    return len(told) + 1


def size(out: Path) -> int:
    """Return the bytes of the journal; 0 where there is none."""
    path = out / JOURNAL
    return path.stat().st_size if path.is_file() else 0


def read(out: Path) -> dict[str, Record]:
    """Return the last record of each slide id; torn or foreign lines are passed over.

    A line whose id isn't the plain name of a folder is foreign: it would lead out of `out`.
    """
    path = out / JOURNAL
    records: dict[str, Record] = {}
    if not path.is_file():
        return records
    with path.open("rb") as file:
        for text in file:
            try:
                record = Record.model_validate_json(text)
            except ValidationError:
                continue
            if _PLAIN.fullmatch(record.slide):
                records[record.slide] = record
    return records


def settle(out: Path, records: Iterable[Record]) -> None:
    """Rewrite the journal as one line a slide in order of path; the caller holds the lock on `out`.

    Its bytes then depend on what was found, not on the order or the number of the runs.
    """
    ordered = sorted(records, key=lambda record: (record.path, record.slide))
    content = "".join(line(record) + "\n" for record in ordered).encode()
    if not (out / JOURNAL).is_file() or (out / JOURNAL).read_bytes() != content:
        publish(out / JOURNAL, content)


def line(record: Record) -> str:
    """Return a record as one line of JSON."""
    return json.dumps(record.model_dump(), ensure_ascii=True, sort_keys=True)
