"""The slides of a run with their results, one at a time: a cohort never stands in memory whole."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from wsi.errors import ArtifactError
from wsi.publish import publishing, sha256_file
from wsi.results import Record, Result

SLIDES = "slides"


@dataclass(frozen=True, slots=True)
class Entry:
    """A slide of the run: its record, its result and its folder."""

    record: Record
    result: Result
    folder: Path

    @property
    def objects(self) -> str | None:
        """The name of its file of objects for QuPath, None when it has none."""
        return next((name for name in sorted(self.record.artifacts) if name.endswith(".geojson.gz")), None)


def entries(out: Path, records: Iterable[Record]) -> Iterator[Entry]:
    """Yield each slide with its result.

    A slide whose result says something else than its record (it failed in this run, and an older result lies
    there) or is damaged gets the record alone: nothing is shown that this run doesn't stand for.
    """
    for record in records:
        folder = out / SLIDES / record.slide
        yield Entry(record, _result(folder / "result.json", record), folder)


def _result(path: Path, record: Record) -> Result:
    try:
        result = Result.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _bare(record)
    except (OSError, ValidationError):
        code, reason = ArtifactError.code, f"{record.path}: its result.json is damaged; run the slide again"
        return _bare(record.model_copy(update={"status": "failed", "code": code, "reason": reason}))
    told = (result.slide, result.status, result.code)
    return result if told == (record.slide, record.status, record.code) else _bare(record)


def _bare(record: Record) -> Result:
    return Result(
        slide=record.slide,
        path=record.path,
        status=record.status,
        code=record.code,
        reason=record.reason,
        tiles=record.tiles,
        refer_reason="no grade",
    )


class _UnchangedError(Exception):
    """The file has these bytes already."""


def publish_changes(path: Path, pieces: Iterable[bytes]) -> None:
    """Publish what `pieces` give, one at a time, unless `path` has these bytes already.

    Raises:
        NoSpaceError: the disk is full; nothing was published.
        ArtifactError: what the disk gave back differs from what was written.
    """
    digest = hashlib.sha256()
    try:
        with publishing(path) as part:
            with part.open("wb") as file:
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
            if path.is_file() and sha256_file(path) == digest.hexdigest():
                raise _UnchangedError
            if sha256_file(part) != digest.hexdigest():
                raise ArtifactError(f"{path}: the disk gave back other bytes than were written; check the disk")
    except _UnchangedError:
        return
