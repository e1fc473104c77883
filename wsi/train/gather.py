"""A labels file and its features as one cohort, checked whole before anything is trained."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from wsi.errors import LabelsError
from wsi.table import SHOWN, Problems, Table, read_table
from wsi.train.cohort import GRADES_BY_NAME, NOT_TOLD, Case, Cohort, Finding
from wsi.train.labels import Target, Value, Wanted, infer_target, natural, parse_wanted
from wsi.train.leaks import OnDuplicates, name_patients
from wsi.train.locate import Located, locate
from wsi.train.look import Looked, look_into
from wsi.train.rows import PATIENT_COLUMNS, Columns, Entry, archive_table, choose_columns, match, read_rows


@dataclass(frozen=True, slots=True)
class Ask:
    """How a cohort is wanted; see `read_cohort`."""

    targets: tuple[str | Wanted, ...]
    patient: str = PATIENT_COLUMNS[0]
    slide: str | None = None
    site: str | None = None
    bag: Literal["slide", "patient"] = "slide"
    absent: Literal["refuse", "drop"] = "refuse"
    merge_ids: bool = True
    duplicates: OnDuplicates = "merge"


def read_cohort(
    labels: Path | None,
    features: Path,
    *,
    targets: Sequence[str | Wanted],
    patient: str = PATIENT_COLUMNS[0],
    slide: str | None = None,
    site: str | None = None,
    bag: Literal["slide", "patient"] = "slide",
    absent: Literal["refuse", "drop"] = "refuse",
    merge_ids: bool = True,
    duplicates: OnDuplicates = "merge",
    inspect: bool = True,
) -> Cohort:
    """Read a labels CSV and find each case's features.

    Args:
        labels: CSV, one line a slide (or a case), see `wsi.table.read_table`; None: the `y` of an .npz.
        features: the OUT of a run, a folder of CLAM's or TRIDENT's files, or an .npz; see `wsi.train.locate.locate`.
        targets: what to predict, see `wsi.train.labels.parse_wanted`.
        patient, slide, site: columns; None takes those of the usual names (`wsi.train.rows`). Without a patient
            column the slides' names must tell the patient, as TCGA's do.
        bag: one bag a slide, or all of a patient's slides as one.
        absent: what becomes of lines without features; slides that the run refused are dropped in any case.
        merge_ids: take ids that are one patient's in several spellings as one.
        duplicates: merge patients who share a slide into one, refuse them, or only report.
        inspect: read every bag once, which finds damaged files, mixed encoders and duplicates before training.

    Raises:
        LabelsError: the labels don't fit the features or themselves; all problems of the file together.
        ArtifactError: features are damaged; all files together.
        EncoderMismatchError: two slides were encoded differently.
        LeakError: see `duplicates`.
    """
    table = archive_table(features) if labels is None else read_table(labels)
    wanted = Ask(tuple(targets), patient, slide, site, bag, absent, merge_ids, duplicates)
    return assemble(table, locate(features), wanted, look=look_into if inspect else None)


def assemble(
    table: Table, located: Located, ask: Ask, *, look: Callable[[Sequence[Entry]], Looked] | None = None
) -> Cohort:
    """Return the cohort of a table and what was located; see `read_cohort`.

    Args:
        look: goes over all slides once and returns what it found; None looks into none.
    """
    problems = Problems(table.path)
    known = _targets(ask.targets, table, problems)
    columns = choose_columns(table, patient=ask.patient, slide=ask.slide, site=ask.site)
    lines = list(read_rows(table, columns, known, problems))
    matched = match(lines, located, problems, drop_absent=ask.absent == "drop")
    problems.raise_any()
    entries = [entry for entry in matched if entry.bag is not None]
    if not entries:
        raise LabelsError(f"{table.path}: none of its {len(lines)} lines has a {located.what} in {located.path}")
    looked = look(entries) if look else Looked({}, ())
    told = list(_told_patients(entries))
    names, found = name_patients(entries, looked.pairs, merge_ids=ask.merge_ids, duplicates=ask.duplicates)
    entries = [replace(entry, patient=names[entry.patient]) for entry in entries]
    whole = [entry for entry in entries if looked.tiles.get(entry.slide, 1)]
    cases = _cases(whole, known, problems, by_patient=ask.bag == "patient")
    problems.raise_any()
    labeled = [case for case in cases if any(value is not None for value in case.targets.values())]
    findings = [
        *_told_columns(columns, known),
        *_told_grades(ask.targets, known),
        *told,
        *_told_lines(matched, entries, whole, located),
        *_told_cases(cases, labeled, known, entries),
        *found,
    ]
    files = {entry.slide: entry.bag for entry in whole if entry.bag is not None}
    tiles = {slide: count for slide, count in looked.tiles.items() if slide in files}
    ordered = sorted(labeled, key=lambda case: (natural(case.id), case.id))
    return Cohort(tuple(ordered), known, tuple(findings), files, tiles)


def _targets(wanted: Sequence[str | Wanted], table: Table, problems: Problems) -> tuple[Target, ...]:
    if not wanted:
        raise LabelsError(f"{table.path}: no target was named; the columns are {', '.join(table.columns)}")
    asked = [parse_wanted(one) if isinstance(one, str) else one for one in wanted]
    found = [target for one in asked if (target := infer_target(one, table, problems)) is not None]
    for name, count in Counter(target.name for target in found).items():
        if count > 1:
            problems.add(f"target {name!r} is named {count} times")
    return tuple(found)


def _cases(entries: Sequence[Entry], targets: Sequence[Target], problems: Problems, *, by_patient: bool) -> list[Case]:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: (natural(entry.slide), entry.slide)):
        groups[entry.patient if by_patient else entry.slide].append(entry)
    columns = [column for target in targets for column in target.columns]
    return [
        Case(
            name,
            group[0].patient,
            group[0].site,
            tuple(entry.slide for entry in group),
            {column: _one_value(name, column, group, problems) for column in columns},
            group[0].columns,
        )
        for name, group in groups.items()
    ]


def _one_value(name: str, column: str, group: Sequence[Entry], problems: Problems) -> Value:
    """Return what a case's lines agree on; None when none says."""
    said = [entry for entry in group if entry.targets[column] is not None]
    for entry in said[1:]:
        if entry.targets[column] != said[0].targets[column]:
            both = (
                f"{said[0].targets[column]!r} on line {said[0].line} and {entry.targets[column]!r} on line {entry.line}"
            )
            problems.add(f"patient {name!r}: column {column!r} says {both}; one bag a patient needs one label")
            break
    return said[0].targets[column] if said else None


def _told_columns(columns: Columns, targets: Sequence[Target]) -> Iterator[Finding]:
    if columns.patient is None:
        yield Finding("patients-from-names", "no patient column: the slides' names tell the patients")
    for target in targets:
        if target.kind == "multiclass" and all(name.lstrip("-").isdecimal() for name in target.classes):
            classes = ", ".join(target.classes)
            yield Finding(
                "ordered-classes", f"{target.name}: the classes {classes} may be grades; ask for ordinal then"
            )


def _told_grades(asked: Sequence[str | Wanted], targets: Sequence[Target]) -> Iterator[Finding]:
    for one, target in zip(asked, targets, strict=True):
        wanted = parse_wanted(one) if isinstance(one, str) else one
        if target.kind == "ordinal" and not wanted.classes and not any(map(str.isdigit, "".join(target.classes))):
            yield Finding(
                GRADES_BY_NAME,
                f"{target.name}: the grades are taken in the order of their names: {', '.join(target.classes)}; where that "
                f"isn't from low to high, name them, as in {target.name}:ordinal:low,mid,high",
            )


def _told_patients(entries: Sequence[Entry]) -> Iterator[Finding]:
    if all(entry.patient == entry.slide for entry in entries):
        yield Finding(NOT_TOLD, "each slide is named as its own patient: which are of one patient isn't told")


def _told_lines(
    matched: Sequence[Entry], entries: Sequence[Entry], whole: Sequence[Entry], located: Located
) -> Iterator[Finding]:
    without = [entry.slide for entry in matched if entry.bag is None]
    if without:
        yield _named("no-features", f"labeled but without a {located.what} in {located.path.name}", without)
    empty = sorted({entry.slide for entry in entries} - {entry.slide for entry in whole})
    if empty:
        yield _named("empty-bags", "without a tile", empty)
    unlabeled = sorted({bag.name for bag in located.bags} - {e.bag.name for e in entries if e.bag is not None})
    if unlabeled:
        yield _named("unlabeled-features", f"with a {located.what} but without a line in the labels", unlabeled)


def _told_cases(
    cases: Sequence[Case], labeled: Sequence[Case], targets: Sequence[Target], entries: Sequence[Entry]
) -> Iterator[Finding]:
    kept = {case.id for case in labeled}
    left = [case.id for case in cases if case.id not in kept]
    if left:
        yield _named("no-labels", "left out, without any label", left)
    for target in targets:
        missing = [case.id for case in labeled if any(case.targets[column] is None for column in target.columns)]
        if missing:
            yield _named("missing-labels", f"without {target.name}", missing)
    sites: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        sites[entry.patient] |= {entry.site} if entry.site else set()
    several = sorted(patient for patient, found in sites.items() if len(found) > 1)
    if several:
        yield _named("patients-of-several-sites", "of more than one site", several, "patients")


def _named(code: str, what: str, names: Sequence[str], things: str = "cases") -> Finding:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return Finding(
        code,
        f"{len(names)} {things if len(names) != 1 else things[:-1]} {what}: {', '.join(names[:SHOWN])}{rest}",
        tuple(names),
    )
