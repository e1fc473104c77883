"""The guard before any split: patients under several ids, and slides under several names, become one patient."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from wsi.errors import LeakError
from wsi.table import SHOWN
from wsi.train.cohort import Finding
from wsi.train.duplicates import Duplicate, named
from wsi.train.identity import Joined, merge_patients
from wsi.train.labels import natural
from wsi.train.rows import Entry

OnDuplicates = Literal["merge", "refuse", "report"]


def name_patients(
    entries: Sequence[Entry], pairs: Sequence[Duplicate], *, merge_ids: bool, duplicates: OnDuplicates
) -> tuple[dict[str, str], list[Finding]]:
    """Return the name of each id's patient, and what was found on the way.

    Args:
        entries: the slides with their ids as the file spells them.
        pairs: slides that are the same tissue.
        merge_ids: False only reports ids that look like one.
        duplicates: what becomes of patients who share a slide.

    Raises:
        LeakError: patients share a slide and `duplicates` is "refuse".
    """
    slides_of: dict[str, list[str]] = {}
    for entry in entries:
        slides_of.setdefault(entry.patient, []).append(entry.slide)
    names, merges = merge_patients(slides_of)
    said = "are taken as one patient" if merge_ids else "look like one patient but are kept apart, as asked"
    findings = [
        Finding("merged-patients", f"{_list(m.spellings)} {said} ({m.reason})", m.spellings) for m in merges
    ]  # fmt: skip
    if not merge_ids:
        names = {patient: patient for patient in slides_of}
    owner = {entry.slide: names[entry.patient] for entry in entries}
    across = [pair for pair in pairs if len({owner[slide] for slide in pair.slides}) == 2]
    if across and duplicates == "refuse":
        raise LeakError(
            f"{len(across)} pairs of slides of different patients are the same tissue: {named(across[:SHOWN])}; "
            "mend the labels, or have these patients merged"
        )
    if duplicates == "merge":
        names = _join(names, owner, across)
    return names, [*findings, *_told(pairs, across, {entry.slide: entry for entry in entries}, owner, duplicates)]


def _join(names: dict[str, str], owner: Mapping[str, str], pairs: Sequence[Duplicate]) -> dict[str, str]:
    joined = Joined(set(names.values()))
    for pair in pairs:
        joined.join(*(owner[slide] for slide in pair.slides))
    chosen = {name: min(group, key=natural) for group in joined.groups() for name in group}
    return {patient: chosen[name] for patient, name in names.items()}


def _told(
    pairs: Sequence[Duplicate],
    across: Sequence[Duplicate],
    entries: Mapping[str, Entry],
    owner: Mapping[str, str],
    duplicates: OnDuplicates,
) -> Iterator[Finding]:
    for pair in pairs:
        one, other = (entries[slide] for slide in pair.slides)
        code = "near-duplicates" if pair.kind == "near" else "duplicates"
        fate = "both of one patient"
        if pair in across:
            done = "now one patient" if duplicates == "merge" else "kept apart, as asked"
            fate = f"of patients {owner[one.slide]} and {owner[other.slide]}, {done}"
        if one.targets != other.targets:
            fate += "; their labels differ"
        yield Finding(code, f"{named([pair])}: {fate}", pair.slides)


def _list(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:SHOWN]]
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(shown) + rest
