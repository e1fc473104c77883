"""stages.json: what was made for a slide, under which key, and what was found on the way.

A stage is done when the book has it under the key wanted and its files still have the bytes that were
written; the existence of a file says nothing. The book itself ends with a sha256 of what it says: one in which
a byte changed counts as none.
"""

import json
from pathlib import Path
from typing import Any

from wsi.config import Strict
from wsi.engine.digests import remembered_digest
from wsi.publish import publish, sha256_bytes

BOOK = "stages.json"
SEAL = "sha256"


class Refusal(Strict):
    """Why the slide goes no further than this stage."""

    code: str
    reason: str


class Entry(Strict):
    """One stage that was done: `artifacts` maps file names to sha256."""

    key: str
    artifacts: dict[str, str] = {}
    facts: dict[str, Any] = {}
    refusal: Refusal | None = None


class Book(Strict):
    """The stages of one slide, in the order of the river."""

    slide: str
    path: str
    stages: dict[str, Entry] = {}

    def before(self, name: str) -> dict[str, Entry]:
        """Return the stages upstream of `name`: all, when it isn't in the book yet."""
        names = list(self.stages)
        return {k: self.stages[k] for k in (names[: names.index(name)] if name in names else names)}

    def with_stage(self, name: str, entry: Entry) -> "Book":
        """Return the book with this stage, and without those that came after it."""
        return self.model_copy(update={"stages": {**self.before(name), name: entry}})

    def upstream_key(self, name: str) -> str:
        """Return the key of the stage before `name`, "" for the first."""
        return next((entry.key for entry in reversed(self.before(name).values())), "")

    @property
    def artifacts(self) -> dict[str, str]:
        return {name: digest for entry in self.stages.values() for name, digest in entry.artifacts.items()}

    def is_done(self, name: str, key: str, folder: Path) -> bool:
        """Return whether this stage was made under `key` and its files are as they were written."""
        entry = self.stages.get(name)
        return (
            entry is not None
            and entry.key == key
            and all(is_intact(folder / file, digest) for file, digest in entry.artifacts.items())
        )


def read_book(folder: Path, *, slide: str, path: str) -> Book:
    """Return the slide's book; an empty one when there is none, it is damaged, or the slide lay elsewhere then."""
    try:
        told = json.loads((folder / BOOK).read_bytes()) if (folder / BOOK).is_file() else {}
        sealed = told.pop(SEAL, "") == make_key(told)
        book = Book.model_validate(told) if sealed else Book(slide="", path="")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return Book(slide=slide, path=path)
    return book if (book.slide, book.path) == (slide, path) else Book(slide=slide, path=path)


def write_book(folder: Path, book: Book) -> None:
    told = book.model_dump()
    publish(folder / BOOK, (json.dumps({**told, SEAL: make_key(told)}, indent=1) + "\n").encode())


def is_intact(path: Path, digest: str) -> bool:
    """Return whether the file is there with these bytes; unchanged files aren't read again."""
    try:
        return path.is_file() and remembered_digest(path) == digest
    except OSError:
        return False


def make_key(*parts: object) -> str:
    """Return a sha256 over what a stage's result depends on."""
    return sha256_bytes(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode())
