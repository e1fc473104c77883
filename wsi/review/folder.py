"""OUT as the page reads it: the slides by id, each with its record and result, read again when they change."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from wsi.card import Card
from wsi.errors import ArtifactError, ModelError
from wsi.export.cohort import SLIDES, Entry, entries
from wsi.export.explanation import NAME as EXPLANATION
from wsi.model_folder import any_card, find_folder, folder_digest
from wsi.results import Case, Provenance, Record, Result, read_case
from wsi.review.frame import is_picture
from wsi.review.refusal import Refused

Stamp = tuple[int, ...]
"""Size, time and inode of a file, by which a change of it is noticed; () when it isn't there."""


class ReviewFolder:
    """The results in `out`. A slide is only ever found by its id among the records: no request names a file."""

    def __init__(self, out: Path, records: Callable[[], Mapping[str, Record]], *, models: Sequence[str] = ()) -> None:
        """Take the folder and how to read the records of its slides by id.

        Args:
            models: names or folders of models that may have made the results, besides the shipped one of their name.
        """
        self.out, self._read, self._models = out, records, models
        self._cards: dict[str, Card | None] = {}
        self._records: tuple[Stamp, Mapping[str, Record]] | None = None
        self._entries: dict[str, tuple[Stamp, Record, Entry]] = {}

    def records(self) -> Mapping[str, Record]:
        """Return the last record of each slide."""
        now = stamp(self.out / "results.jsonl")
        kept = self._records
        if kept is None or kept[0] != now:
            self._records = kept = (now, self._read())
        return kept[1]

    def entries(self) -> list[Entry]:
        """Return all slides by their relative path."""
        records = self.records()
        return [self._entry(records[slide]) for slide in sorted(records, key=lambda s: (records[s].path, s))]

    def entry(self, slide: str) -> Entry:
        """Return one slide; Refused (404) when no slide has this id."""
        record = self.records().get(slide)
        if record is None:
            raise Refused(404, "E_NO_CASE", "There is no such slide in these results.", next="Go back to the worklist.")
        return self._entry(record)

    def _entry(self, record: Record) -> Entry:
        now = stamp(self.out / SLIDES / record.slide / "result.json")
        kept = self._entries.get(record.slide)
        if kept is None or kept[:2] != (now, record):
            kept = now, record, next(entries(self.out, [record]))
            self._entries[record.slide] = kept
        return kept[2]

    def made(self) -> Provenance | None:
        """Return what made the first slide that has a verdict."""
        found = (entry.result.provenance for entry in self.entries())
        return next((made for made in found if made and made.model), None)

    def card(self, made: Provenance | None) -> Card | None:
        """Return the card of the model that made a result; None when that very model isn't here."""
        if made is None or not made.model:
            return None
        if made.model_sha256 not in self._cards:
            self._cards[made.model_sha256] = _card((*self._models, made.model), made.model_sha256)
        return self._cards[made.model_sha256]

    def case(self, slide: str) -> Case:
        """Return a slide with its tile scores.

        Raises:
            Refused: no slide has this id, or one of its files is damaged.
        """
        entry = self.entry(slide)
        try:
            return (
                read_case(entry.folder)
                if entry.result.scale or entry.result.image
                else Case(entry.folder, entry.result, None)
            )
        except ArtifactError as error:
            raise damaged(entry.result) from error

    def is_picture(self, slide: str) -> bool:
        """Return whether this is a picture that was read whole, not a slide."""
        return is_picture(self.entry(slide).result)

    def stamps(self, slide: str) -> tuple[Stamp, ...]:
        """Return what changes when a slide's results do."""
        folder = self.out / SLIDES / slide
        return tuple(
            stamp(folder / name) for name in ("result.json", "scores.h5", "tissue.geojson", "mask.h5", EXPLANATION)
        )


def _card(names: Sequence[str], sha256: str) -> Card | None:
    """Return the card of the model with this hash, None where none of these is it."""
    for name in names:
        with contextlib.suppress(ModelError, OSError):
            folder = find_folder(name, "model")
            if folder_digest(folder) == sha256:
                return any_card(folder)
    return None


def damaged(result: Result) -> Refused:
    """Return the answer for a slide one of whose result files can't be read."""
    return Refused(
        409,
        ArtifactError.code,
        f"{result.path}: one of its result files is missing or damaged.",
        next="Run wsi-run on the slides again; what is whole stays as it is.",
    )


def stamp(path: Path) -> Stamp:
    """Return what changes when the file does."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ino
