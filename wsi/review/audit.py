"""Is the log of decisions as it was written? The first line that isn't, and what was done to it.

Whoever may write the files could make log and head anew from a line on: against that, keep the head's hash elsewhere
and compare (`wsi-run audit verify OUT --head HASH`).
"""

import fcntl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from wsi.errors import ArtifactError
from wsi.publish import sha256_bytes
from wsi.results import LOG, REVIEW, Decision, parse_decision
from wsi.review.log import Head, held, read_head


@dataclass(frozen=True, slots=True)
class Fault:
    """The first line (from 1) that isn't as it was written."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Audit:
    """count: lines that are whole. head: the hash that stands for all of them. fault: None when all is well."""

    count: int
    head: str
    fault: Fault | None


def verify_log(out: Path, slides: Collection[str], *, noted: str | None = None) -> Audit:
    """Check the log in `out` from its first line to its head, while no server writes to it.

    Args:
        slides: ids of the slides of the run; a log of none of them belongs to another one.
        noted: a hash of the head as it was some time ago, which some line must have.

    Raises:
        ArtifactError: the log can't be read.
    """
    folder = out / REVIEW
    try:
        with (folder / LOG).open("rb") as file, held(file, fcntl.LOCK_SH):
            content, head = file.read(), read_head(folder)
    except FileNotFoundError:
        content, head = b"", read_head(folder)
    except OSError as error:
        raise ArtifactError(
            f"{folder / LOG}: can't be read ({error.strerror or error}); let whoever may read it, such as the owner of "
            f"{REVIEW}, verify it"
        ) from error
    *lines, torn = content.split(b"\n")
    fault = _first_fault(lines, torn, head, slides)
    if fault is None and noted is not None and noted.lower() not in map(sha256_bytes, lines):
        fault = Fault(len(lines), "no line has the hash that was noted: the log was made anew")
    return Audit(len(lines), sha256_bytes(lines[-1]) if lines else "", fault)


def _first_fault(lines: list[bytes], torn: bytes, head: Head | None, slides: Collection[str]) -> Fault | None:
    if head is None:
        return (
            Fault(1, "decisions.head is missing or damaged, so lines cut off the end can't be told")
            if lines or torn
            else None
        )
    found = _broken_line(lines, head)
    if found is not None:
        return found
    end = len(lines) + 1
    if torn and len(lines) == head.count:
        return Fault(end, "only half of it is there; its writer was stopped, and nobody was told that it is written")
    if torn:
        return Fault(end, "only half of it is there: cut off")
    if len(lines) < head.count:
        return Fault(end, f"deleted: the head counts {head.count} lines, found {len(lines)}")
    if len(lines) > head.count + 1:
        return Fault(head.count + 1, f"added by something else: the head counts {head.count} lines, found {len(lines)}")
    if head.count and sha256_bytes(lines[head.count - 1]) != head.sha256:
        return Fault(head.count, "edited and its hash made anew, or of another log: the head has another hash")
    told = [decision for line in lines if (decision := parse_decision(line))]
    if told and not any(decision.slide in slides for decision in told):
        return Fault(1, "of another run: none of the slides of this log is in these results")
    return None


def _broken_line(lines: list[bytes], head: Head) -> Fault | None:
    """Return the first line that isn't whole by itself or doesn't follow the one before it."""
    previous = head.log
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        digest = sha256_bytes(line)
        if digest in seen:
            return Fault(number, f"line {seen[digest]} once more: duplicated")
        decision = parse_decision(line)
        if decision is None or decision.line() != line or decision.digest() != decision.sha256:
            return Fault(number, "edited: what it says isn't what its hash was made of")
        if (decision.sequence, decision.previous) != (number, previous):
            return Fault(number, _misplaced(decision, number, lines[number:]))
        previous = digest
        seen[digest] = number
    return None


def _misplaced(decision: Decision, number: int, rest: list[bytes]) -> str:
    """Return what was done when a line that is whole by itself doesn't follow the one before it."""
    if decision.sequence == number:
        if number == 1:
            return "of another log: it doesn't start from this log's mark"
        return "inserted or of another log, or the line before was edited and its hash made anew: they don't fit"
    if decision.sequence < number:
        return f"written as line {decision.sequence}: one was inserted before it, or it is of another log"
    later = {found.sequence for line in rest if (found := parse_decision(line))}
    if number in later:
        return f"swapped: written as line {decision.sequence}, and line {number} stands further down"
    return f"deleted: line {decision.sequence} stands in its place"
