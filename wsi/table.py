"""A CSV as a spreadsheet, a registry or another tool writes it, and all that is wrong with it at once."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wsi.errors import LabelsError, did_you_mean

DELIMITERS = ",;\t|"
MAX_BYTES = 64 << 20
SHOWN = 10
"""How many problems are named; the rest are counted."""
MISSING = frozenset({"", "na", "n/a", "nan", "null", "."})
"""What counts as no value. `none` doesn't: it is a finding in some registries (no metastasis)."""


class Problems:
    """What is wrong with one file, gathered so that a person mends all of it in one go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[str] = []

    def add(self, problem: str) -> None:
        if problem not in self.found:
            self.found.append(problem)

    def raise_any(self) -> None:
        """Raise LabelsError that names the first ten problems and counts the rest; nothing when there are none."""
        if not self.found:
            return
        rest = len(self.found) - SHOWN
        shown = self.found[:SHOWN] + ([f"… and {rest} more"] if rest > 0 else [])
        count = f"{len(self.found)} problems:\n  " if len(self.found) > 1 else ""
        raise LabelsError(f"{self.path}: {count}" + "\n  ".join(shown))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: its number in the file (the header is 1) and its values, blanks stripped."""

    line: int
    values: Mapping[str, str]

    def get(self, column: str | None) -> str | None:
        """Return the value of a column; None when the column is None or the value is missing."""
        value = self.values.get(column, "") if column is not None else ""
        return None if value.casefold() in MISSING else value


@dataclass(frozen=True, slots=True)
class Table:
    """A labels file as read."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    delimiter: str = field(default=",")

    def column(self, name: str) -> str:
        """Return the column called `name`, whatever its case.

        Raises:
            LabelsError: there is none; near names are offered.
        """
        found = self.find((name,))
        if found is None:
            known = ", ".join(self.columns)
            raise LabelsError(
                f"{self.path}: no column {name!r}; the columns are {known}.{did_you_mean(name, self.columns)}"
            )
        return found

    def find(self, names: Iterable[str]) -> str | None:
        """Return the first of `names` that is a column, whatever its case; None when none is."""
        exact = set(self.columns)
        folded = {column.casefold(): column for column in reversed(self.columns)}
        return next(
            (n if n in exact else folded[n.casefold()] for n in names if n in exact or n.casefold() in folded), None
        )


def read_table(path: Path) -> Table:
    """Read a CSV with a header: comma, semicolon, tab or bar between the values; UTF-8, with a BOM or without.

    Raises:
        LabelsError: unreadable, not UTF-8, no header or rows, a column twice, lines of another length (all of
            them together).
    """
    text = _text(path)
    delimiter = _delimiter(text)
    problems = Problems(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[Row] = []
    try:
        for values in reader:
            values = [value.strip() for value in values]
            if not any(values):
                continue
            if not header:
                header = values
                _check_header(header, problems)
            elif len(values) != len(header):
                problems.add(f"line {reader.line_num}: {len(values)} values, expected {len(header)} as in the header")
            else:
                rows.append(Row(reader.line_num, dict(zip(header, values, strict=True))))
    except csv.Error as error:
        problems.add(f"line {reader.line_num}: {error}; expected CSV, with quotes only around whole values")
    if not rows and not problems.found:
        problems.add("no rows; expected a header and one line a slide or case")
    problems.raise_any()
    return Table(path, tuple(header), tuple(rows), delimiter)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LabelsError(f"{path}: can't be read ({error.strerror or error}); expected a CSV") from error
    if len(content) > MAX_BYTES:
        raise LabelsError(f"{path}: larger than {MAX_BYTES >> 20} MiB; expected a CSV")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise LabelsError(f"{path}: line {line} is not UTF-8 text; save it as UTF-8 (CSV UTF-8 in Excel)") from error
    if "\0" in text:
        raise LabelsError(f"{path}: holds NUL bytes; save it as UTF-8 text (CSV UTF-8 in Excel)")
    return text


def _delimiter(text: str) -> str:
    """Return the delimiter that the header holds most often; a comma when it holds none."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(DELIMITERS, key=header.count)


def _check_header(header: list[str], problems: Problems) -> None:
    for name in dict.fromkeys(header):
        if not name:
            problems.add(f"column {header.index('') + 1} has no name")
        elif header.count(name) > 1:
            problems.add(f"column {name!r} stands {header.count(name)} times")


def plain_class(value: str) -> str:
    """Return a class's name with whole numbers written one way: a spreadsheet's 1.0 is 1."""
    match = re.fullmatch(r"(-?\d+)\.0+", value)
    return match[1] if match else re.sub(r"\s+", " ", value)


def number(value: str, table: Table) -> float | None:
    """Return a finite number, with a decimal comma where the table's delimiter is a semicolon; None for others."""
    plain = value.replace(",", ".") if table.delimiter == ";" and value.count(",") == 1 else value
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", plain):
        return None
    found = float(plain)
    return found if math.isfinite(found) else None
