"""The lines of a labels file, each with the slides it is about."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsi.errors import LabelsError
from wsi.table import SHOWN, Problems, Row, Table
from wsi.train.identity import known_patient, patient_key
from wsi.train.labels import Target, Value, read_values
from wsi.train.locate import BagFile, Located, open_archive
from wsi.train.names import Names, stem

SLIDE_COLUMNS = ("slide", "slide_id", "slide_name", "file", "filename", "image", "image_id", "bag", "name", "id")
CASE_COLUMNS = ("case", "case_id", "patient", "patient_id")
PATIENT_COLUMNS = ("patient", "patient_id", "case_id", "case", "subject", "subject_id")
SITE_COLUMNS = ("site", "center", "centre", "hospital", "institution", "tissue_source_site")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns say who and where. patient None: the slides' names tell it, as in public cohorts."""

    slide: str
    patient: str | None
    site: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One slide with what its line says. bag None: the run that was to encode it refused the slide."""

    line: int
    slide: str
    patient: str
    site: str | None
    targets: Mapping[str, Value]
    columns: Mapping[str, str]
    bag: BagFile | None = None


def archive_table(path: Path) -> Table:
    """Return the labels inside an .npz: columns bag, patient (each bag its own) and y.

    Raises:
        LabelsError: it has no `y` with one value a bag.
    """
    arrays = open_archive(path)
    bags = sorted({int(number) for number in arrays["bag"]})
    y = arrays.get("y")
    if y is None or y.shape != (len(bags),) or y.dtype.kind not in "biufU":
        found = "no y" if y is None else f"y of shape {y.shape}"
        raise LabelsError(f"{path}: {found}, expected one value for each of {len(bags)} bags; or give a labels CSV")
    values = [str(int(value)) if y.dtype.kind == "b" else str(value) for value in y]
    rows = [
        Row(at + 2, {"bag": str(bag), "patient": str(bag), "y": value})
        for at, (bag, value) in enumerate(zip(bags, values, strict=True))
    ]
    return Table(path, ("bag", "patient", "y"), tuple(rows))


def choose_columns(table: Table, *, patient: str, slide: str | None, site: str | None) -> Columns:
    """Return the columns that are asked for, or that have the usual names.

    Raises:
        LabelsError: a column that was named isn't there, or nothing says which patient a slide is of.
    """
    named_slide = table.column(slide) if slide else table.find((*SLIDE_COLUMNS, *CASE_COLUMNS))
    if named_slide is None:
        raise LabelsError(
            f"{table.path}: no column {' or '.join(SLIDE_COLUMNS[:4])}; name the one that tells the slides"
        )
    named_site = table.column(site) if site else table.find(SITE_COLUMNS)
    found = table.find((patient,))
    if found is None and patient == PATIENT_COLUMNS[0]:
        found = table.find(PATIENT_COLUMNS)
        if found is None and not all(known_patient(row.get(named_slide) or "") for row in table.rows):
            raise LabelsError(
                f"{table.path}: no column says the patient; the columns are {', '.join(table.columns)}. Name it: slides "
                f"of one patient must not be trained on and tested at once. Where each slide is of another patient, "
                f"name {named_slide!r} itself"
            )
    elif found is None:
        table.column(patient)  # raises with near names
    return Columns(named_slide, found, named_site)


def read_rows(table: Table, columns: Columns, targets: Sequence[Target], problems: Problems) -> Iterator[Entry]:
    """Yield what each line says; what is wrong goes to `problems`."""
    measured = {column for target in targets for column in target.columns}
    for row in table.rows:
        slide = row.get(columns.slide)
        patient = row.get(columns.patient) if columns.patient else known_patient(slide or "")
        values = read_values(row, targets, table, problems)
        if slide is None or patient is None:
            name = columns.slide if slide is None else columns.patient
            problems.add(f"line {row.line}: column {name!r} is empty; every line needs it")
            continue
        others = {key: value for key, value in row.values.items() if key not in measured}
        yield Entry(row.line, slide, patient, row.get(columns.site), values, others)


def match(entries: Sequence[Entry], located: Located, problems: Problems, *, drop_absent: bool) -> list[Entry]:
    """Return the entries with their bags, one a slide: a line about a case becomes one entry for each of its slides.

    Names that fit no bag, several bags, or the bag of another line go to `problems`; with `drop_absent` those that
    fit none stay without a bag, as do slides that were refused.
    """
    names, refused = Names(located.bags), Names(BagFile(path, Path(path)) for path in located.refused)
    by_patient = _by_patient(located.bags)
    lines: dict[BagFile, Entry] = {}
    found: list[Entry] = []
    for entry in entries:
        bags = names.find(entry.slide)
        whole_case = not bags and by_patient.get(patient_key(entry.slide), [])
        if len(bags) > 1:
            problems.add(f"line {entry.line}: {entry.slide!r} may be {_both(bags)}; write more of its path")
        elif not bags and not whole_case and not drop_absent and not refused.find(entry.slide):
            hint = names.hint(entry.slide) if len(problems.found) < SHOWN else ""  # the rest is counted, not shown
            problems.add(f"line {entry.line}: no {located.what} of {entry.slide!r} in {located.path}.{hint}")
        elif not bags and not whole_case:
            found.append(entry)
        for bag in bags if len(bags) == 1 else whole_case or []:
            other = lines.setdefault(bag, entry)
            if other is not entry:
                both = f"{other.slide!r} and {entry.slide!r}"
                problems.add(f"lines {other.line} and {entry.line}: {both} are one slide, {bag.name!r}; keep one")
            else:
                found.append(replace(entry, bag=bag, slide=entry.slide if bags else bag.name))
    return found


def _by_patient(bags: Sequence[BagFile]) -> dict[str, list[BagFile]]:
    """Return the bags by the patient that their names start with, for lines that are about a case."""
    found: dict[str, list[BagFile]] = {}
    for bag in bags:
        patient = known_patient(stem(bag.name))
        if patient is not None:
            found.setdefault(patient, []).append(bag)
    return found


def _both(bags: Sequence[BagFile]) -> str:
    more = f" or {len(bags) - 3} more" if len(bags) > 3 else ""
    return " or ".join(repr(bag.name) for bag in bags[:3]) + more
