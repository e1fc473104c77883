"""results.jsonl: what became of each slide, one line each, the last line of a slide counting."""

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from wsi.engine.locks import lock
from wsi.publish import append_line, publish
from wsi.results import Record

JOURNAL = "results.jsonl"


def append(out: Path, record: Record) -> None:
    """Add a record and flush it to the disk."""
    with lock(out, wait=True):
        append_line(out / JOURNAL, line(record))


def read(out: Path) -> dict[str, Record]:
    """Return the last record of each slide id; torn or foreign lines are passed over."""
    path = out / JOURNAL
    records: dict[str, Record] = {}
    if not path.exists():
        return records
    with path.open("rb") as file:
        for text in file:
            try:
                record = Record.model_validate_json(text)
            except ValidationError:
                continue
            records[record.slide] = record
    return records


def settle(out: Path, keep: Iterable[str]) -> list[Record]:
    """Rewrite the journal as one line a slide in order of path, only of slides in `keep`; return the records.

    Its bytes then depend on what was found, not on the order or the number of the runs.
    """
    with lock(out, wait=True):
        known = set(keep)
        records = sorted((r for r in read(out).values() if r.slide in known), key=lambda r: (r.path, r.slide))
        content = "".join(line(record) + "\n" for record in records).encode()
        if not (out / JOURNAL).exists() or (out / JOURNAL).read_bytes() != content:
            publish(out / JOURNAL, content)
    return records


def line(record: Record) -> str:
    """Return a record as one line of JSON."""
    return json.dumps(record.model_dump(), ensure_ascii=True, sort_keys=True)
