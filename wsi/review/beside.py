"""Another run over the same slides, to be seen beside: what its model says of each. Nothing is ever written to it."""

from collections.abc import Mapping

from wsi.export.cohort import Entry
from wsi.results import Record
from wsi.review.folder import ReviewFolder
from wsi.review.frame import frame


class Beside:
    """The results of another run, by the slides of this one."""

    def __init__(self, folder: ReviewFolder) -> None:
        self.folder = folder
        self._found: tuple[Mapping[str, Record], dict[str, Entry]] | None = None

    def entry(self, entry: Entry) -> Entry | None:
        """Return the other run's entry of the same slide; None where it has none.

        The same are slides whose files have the same sha256, or the same id where one of the runs never read it whole:
        an id ends in a hash of samples of the file.
        """
        by_name = self._by_name()
        other = by_name.get(_sha256(entry)) if _sha256(entry) else None
        other = other or by_name.get(entry.result.slide)
        return other if other is not None and _is_same(entry, other) else None

    def _by_name(self) -> dict[str, Entry]:
        """Return the other run's entries by sha256 and by id, read again when that run has changed."""
        records = self.folder.records()
        if self._found is None or self._found[0] is not records:
            entries = self.folder.entries()
            by_sha256 = {_sha256(one): one for one in reversed(entries) if _sha256(one)}
            self._found = records, by_sha256 | {one.result.slide: one for one in entries}
        return self._found[1]


def _sha256(entry: Entry) -> str:
    return entry.result.provenance.slide_sha256 if entry.result.provenance else ""


def _is_same(one: Entry, other: Entry) -> bool:
    hashes = {_sha256(entry) for entry in (one, other)} - {""}
    frames = {(found.width, found.height) for entry in (one, other) if (found := frame(entry.result))}
    return len(hashes) <= 1 and len(frames) <= 1
