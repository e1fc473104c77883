"""report.html: one file that opens anywhere, without a script and without anything from elsewhere.

It is written slide by slide, the suspicious ones first, and only when what it tells has changed.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from wsi.export.cohort import entries, publish_changes
from wsi.export.embed import budget
from wsi.export.report_page import Summary, closing, opening, table_row
from wsi.export.report_slide import section
from wsi.export.suspicion import suspicion
from wsi.results import Record, Result

NAME = "report.html"
FORM = 6
"""Raised when the same results give another report."""
_SEAL = b"<!-- sha256 of all before: %s -->\n"
_SEAL_BYTES = len(_SEAL % (b"0" * 64))


def write_report(out: Path, records: Iterable[Record]) -> None:
    """Write report.html, unless it tells these results already and is whole."""
    summary, inputs, order = Summary(), hashlib.sha256(str(FORM).encode()), []
    for entry in entries(out, records):
        summary.add(entry.result)
        told = [entry.record.model_dump(), entry.result.model_dump()]
        inputs.update(json.dumps(told, sort_keys=True).encode())
        order.append((order_key(entry.result), entry.record))
    order.sort(key=lambda pair: pair[0])
    mark = inputs.hexdigest()
    if not _is_current(out / NAME, mark):
        publish_changes(out / NAME, _sealed(_pieces(out, [record for _, record in order], summary, mark)))


def order_key(result: Result) -> tuple[int, float, int, str]:
    """Return the key that sorts slides: by falling suspicion or value, then without a verdict, refused, failed."""
    height = result.value.value if result.value else suspicion(result)
    rank = 0 if result.has_verdict else {"ok": 1, "partial": 1, "refused": 2, "failed": 3}[result.status]
    return rank, -(height or 0.0), int(not result.refer), result.path


def _pieces(out: Path, records: list[Record], summary: Summary, mark: str) -> Iterator[bytes]:
    yield opening(summary, mark).encode()
    for entry in entries(out, records):
        yield table_row(entry.result).encode()
    yield b"</tbody></table></div></section>\n<main>\n"
    for place, entry in enumerate(entries(out, records)):
        yield section(entry, budget(len(records), place), noun=summary.noun).encode()
    yield closing().encode()


def _sealed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    yield _SEAL % digest.hexdigest().encode()


def _is_current(path: Path, mark: str) -> bool:
    """Return whether the report there was made from the same results, and no byte of it has changed since."""
    digest, tail = hashlib.sha256(), b""
    try:
        with path.open("rb") as file:
            if mark.encode() not in file.read(512):
                return False
            file.seek(0)
            while block := file.read(1 << 20):
                tail += block
                digest.update(tail[:-_SEAL_BYTES])
                tail = tail[-_SEAL_BYTES:]
    except OSError:
        return False
    return tail == _SEAL % digest.hexdigest().encode()
