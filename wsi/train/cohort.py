"""A labels file and its features as cases: who is whose, what is known of each, and what looks wrong."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wsi.train.labels import Target, Value, Wanted, infer_target, natural, parse_wanted, read_values
from wsi.train.locate import BagFile, Located, Names, locate
from wsi.train.table import Problems, Row, Table, read_table

SLIDE_COLUMNS = ("slide", "slide_id", "slide_name", "file", "filename", "image", "image_id", "name", "id", "bag")
CASE_COLUMNS = ("case", "case_id", "patient", "patient_id")
SITE_COLUMNS = ("site", "center", "centre", "hospital", "institution", "tissue_source_site")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should know before training: a stable code, a sentence, and whom it is about."""

    code: str
    message: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One bag with its labels.

    patient: who it belongs to, one name for all spellings. targets: the value of each target's columns, None where
    missing. columns: all of the file's other columns, as text.
    """

    id: str
    patient: str
    site: str | None
    slides: tuple[str, ...]
    targets: Mapping[str, Value]
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cohort:
    """The cases in order of their ids (whatever the file's order), what is asked of them, and what was found.

    files: each slide's features, by its name in `Case.slides`.
    """

    cases: tuple[Case, ...]
    targets: tuple[Target, ...]
    findings: tuple[Finding, ...] = ()
    files: Mapping[str, BagFile] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.cases)

    def target(self, name: str) -> Target:
        """Return the target of that name; KeyError when there is none."""
        return {target.name: target for target in self.targets}[name]

    def labels(self, name: str) -> NDArray[np.float64]:
        """Return `(cases, columns)` of one target's values, NaN where missing; see `Target.encode`."""
        target = self.target(name)
        rows = [target.encode(case.targets) for case in self.cases]
        return np.array(rows, np.float64).reshape(len(self.cases), len(target.columns))


def read_cohort(
    labels: Path,
    features: Path,
    *,
    targets: Sequence[str | Wanted],
    patient: str = "patient",
    slide: str | None = None,
    site: str | None = None,
    bag: Literal["slide", "patient"] = "slide",
) -> Cohort:
    """Read a labels CSV and find each case's features.

    Args:
        labels: CSV, one line a slide (or a case), see `wsi.train.table.read_table`.
        features: what `wsi.train.locate.locate` reads.
        targets: what to predict, see `wsi.train.labels.parse_wanted`.
        patient, slide, site: columns. slide None: the first of `SLIDE_COLUMNS` there is, else the case's; site
            None: the first of `SITE_COLUMNS`, else no sites.
        bag: one bag a slide, or all of a patient's slides as one.

    Raises:
        LabelsError: the labels don't fit the features or themselves; all problems of the file together.
    """
    table = read_table(labels)
    located = locate(features)
    problems = Problems(labels)
    wanted = [parse_wanted(one) if isinstance(one, str) else one for one in targets]
    known = [target for one in wanted if (target := infer_target(one, table, problems)) is not None]
    columns = _Columns(
        table.column(slide) if slide else table.find((*SLIDE_COLUMNS, *CASE_COLUMNS)) or table.columns[0],
        table.column(patient),
        table.column(site) if site else table.find(SITE_COLUMNS),
    )
    entries = [_read_row(row, columns, known, table, problems) for row in table.rows]
    files = _match(entries, located, problems)
    problems.raise_any()
    cases = [_case((entry,), columns, known, entry.slide) for entry in entries if entry.slide in files]
    if bag == "patient":
        cases = _by_patient(entries, files, columns, known)
    problems.raise_any()
    return Cohort(tuple(sorted(cases, key=lambda case: (natural(case.id), case.id))), tuple(known), (), files)


@dataclass(frozen=True, slots=True)
class _Columns:
    slide: str
    patient: str
    site: str | None


@dataclass(frozen=True, slots=True)
class _Entry:
    row: Row
    slide: str
    patient: str
    site: str | None
    values: dict[str, Value]


def _read_row(row: Row, columns: _Columns, targets: Sequence[Target], table: Table, problems: Problems) -> _Entry:
    slide, patient = row.get(columns.slide), row.get(columns.patient)
    for name, value in ((columns.slide, slide), (columns.patient, patient)):
        if value is None:
            problems.add(f"line {row.line}: column {name!r} is empty; every line needs it")
    values = read_values(row, targets, table, problems)
    return _Entry(row, slide or "", patient or "", row.get(columns.site), values)


def _match(entries: Sequence[_Entry], located: Located, problems: Problems) -> dict[str, BagFile]:
    """Return each slide's features by the name that the labels give it."""
    names = Names(located.bags)
    files: dict[str, BagFile] = {}
    owners: dict[BagFile, _Entry] = {}
    for entry in entries:
        found = names.find(entry.slide) if entry.slide else []
        if len(found) > 1:
            both = " and ".join(repr(bag.name) for bag in found[:3])
            problems.add(f"line {entry.row.line}: {entry.slide!r} may be {both}; write more of its path")
        elif found and found[0] in owners:
            other = owners[found[0]]
            problems.add(
                f"lines {other.row.line} and {entry.row.line}: {other.slide!r} and {entry.slide!r} are one slide"
            )
        elif found:
            owners[found[0]] = entry
            files[entry.slide] = found[0]
        elif entry.slide:
            problems.add(
                f"line {entry.row.line}: no features of {entry.slide!r} in {located.path}.{names.hint(entry.slide)}"
            )
    return files


def _case(entries: Sequence[_Entry], columns: _Columns, targets: Sequence[Target], name: str) -> Case:
    used = {columns.slide, columns.patient, columns.site} | {c for target in targets for c in target.columns}
    first = entries[0]
    others = {key: value for key, value in first.row.values.items() if key not in used}
    return Case(name, first.patient, first.site, tuple(e.slide for e in entries), first.values, others)


def _by_patient(
    entries: Sequence[_Entry],
    files: Mapping[str, BagFile],
    columns: _Columns,
    targets: Sequence[Target],
) -> list[Case]:
    groups: dict[str, list[_Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: natural(entry.slide)):
        if entry.slide in files:
            groups[entry.patient].append(entry)
    return [_case(group, columns, targets, patient) for patient, group in groups.items()]
