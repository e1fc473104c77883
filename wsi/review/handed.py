"""Decisions that a page without a server handed out as a file, taken into the log of the run they are on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from wsi.errors import UsageError
from wsi.printable import printable
from wsi.results import read_decisions
from wsi.review import log
from wsi.review.draft import entry_of, parse_draft
from wsi.review.folder import ReviewFolder
from wsi.review.refusal import Refused

MAX_BYTES = 64 << 20
_PLACE = ("slide", "when", "seen")
"""What a file says of a decision besides what it is."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a file: decisions that were added, those that were there already, and why others weren't."""

    added: int
    known: int
    refused: tuple[str, ...]


def take_file(folder: ReviewFolder, file: Path) -> Taken:
    """Add the decisions of a file to the log of `folder`, each checked as if the page sent it; twice adds nothing.

    The log's time is that of the taking; when the decision was made, as the file says, ends its comment.

    Raises:
        UsageError: the file isn't a list of decisions.
        ArtifactError, NoSpaceError: the log can't be added to; what was added before stays.
    """
    there = {(one.slide, one.who, one.stage, one.comment) for one in read_decisions(folder.out)}
    added, known, refused = 0, 0, []
    for number, told in enumerate(_read(file), 1):
        slide = str(told.get("slide"))
        try:
            entry = entry_of(parse_draft(_body(told)), folder.entry(slide).result, reviewer="", hidden=False)
        except Refused as error:
            refused.append(f"decision {number}, {printable(slide)}: {error}")
            continue
        name = (slide, entry["who"], entry["stage"], entry["comment"])
        if name in there:
            known += 1
            continue
        log.append(folder.out, entry)
        there.add(name)
        added += 1
    return Taken(added, known, tuple(refused))


def _read(file: Path) -> list[Mapping[str, Any]]:
    wanted = "expected decisions.json as the page of `wsi-run review OUT --static DIR` saves it"
    try:
        if file.stat().st_size > MAX_BYTES:
            raise UsageError(f"{file}: more than {MAX_BYTES >> 20} MB; {wanted}")
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{file}: it can't be read as JSON ({printable(str(error))}); {wanted}") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UsageError(f"{file}: it holds no list of decisions; {wanted}")
    return found


def _body(told: Mapping[str, Any]) -> bytes:
    """Return a decision as the page sends it, the moment it was made at the end of its comment."""
    try:
        when = datetime.fromisoformat(str(told.get("when"))).isoformat(timespec="seconds")
    except ValueError:
        when = "at an unknown time"
    comment = " ".join(
        part for part in (told.get("comment"), f"[{when}, from a file]") if isinstance(part, str) and part
    )
    return json.dumps({**{k: v for k, v in told.items() if k not in _PLACE}, "comment": comment}).encode()
