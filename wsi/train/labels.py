"""What a model is to learn: targets, their kinds, and the values of a labels file as such."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from wsi.errors import UsageError, did_you_mean
from wsi.table import Problems, Row, Table, number, plain_class

TargetKind = Literal["binary", "multiclass", "multilabel", "ordinal", "regression", "survival"]
KINDS: tuple[TargetKind, ...] = get_args(TargetKind)
Value = float | str | None

POSITIVE = frozenset({"1", "yes", "y", "true", "t", "pos", "positive", "present", "dead", "deceased", "event", "+"})
NEGATIVE = frozenset({"0", "no", "n", "false", "f", "neg", "negative", "absent", "alive", "living", "censored", "-"})
CONTROL = frozenset({"normal", "benign", "control", "healthy", "wildtype", "wt", "low", "stable", "mss"}) | NEGATIVE
"""A binary target's class that is the negative one when the file doesn't say; else the first by name is."""
MAX_CLASSES = 50
_CLASSES: Mapping[TargetKind, tuple[int, int]] = {
    "binary": (2, 2),
    "multiclass": (2, MAX_CLASSES),
    "ordinal": (2, MAX_CLASSES),
    "multilabel": (1, 10_000),
    "regression": (0, 0),
    "survival": (0, 0),
}
"""Fewest and most classes of each kind."""
FEW_NUMBERS = 10
"""Whole numbers of at most so many values are classes; more, or fractions, are measured."""


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to predict.

    name: as the model will call it. columns: the keys of its values in `Case.targets`: one; several for multilabel;
    time and event for survival. classes: binary (negative, positive); multiclass by name; ordinal from low to high;
    multilabel the findings, one a column; () for regression and survival.
    """

    name: str
    kind: TargetKind
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.columns:
            object.__setattr__(self, "columns", self.classes if self.kind == "multilabel" else (self.name,))
        low, high = _CLASSES[self.kind]
        columns = {"survival": 2, "multilabel": len(self.classes)}.get(self.kind, 1)
        if not low <= len(self.classes) <= high or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"{self.name}: {self.kind} can't have the classes {self.classes}")
        if len(self.columns) != columns or len(set(self.columns)) != columns:
            raise ValueError(f"{self.name}: {self.kind} can't have the columns {self.columns}")

    def encode(self, values: Mapping[str, Value]) -> tuple[float, ...]:
        """Return a case's values as numbers, one a column: the index of its class, 0/1, or what was measured.

        NaN where the value is missing; survival is (time, event), both NaN when either is missing.
        """
        found = [self._number(values.get(column)) for column in self.columns]
        if self.kind == "survival" and any(map(math.isnan, found)):
            return (math.nan, math.nan)
        return tuple(found)

    def _number(self, value: Value) -> float:
        if value is None:
            return math.nan
        return float(self.classes.index(value)) if isinstance(value, str) else float(value)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A target as asked for: None is inferred from the values."""

    name: str
    columns: tuple[str, ...]
    kind: TargetKind | None = None
    classes: tuple[str, ...] = ()


def parse_wanted(text: str) -> Wanted:
    """Read a target as it stands on a command line.

    `grade` (kind inferred), `grade:ordinal`, `grade:ordinal:low,mid,high` (classes in order), `er:binary:neg,pos`,
    `os:survival:months,dead` (time and event columns), `findings:multilabel:edema,mass` (columns of 0 and 1).

    Raises:
        UsageError: another form, or an unknown kind.
    """
    name, _, rest = text.partition(":")
    kind, _, listed = rest.partition(":")
    names = tuple(part.strip() for part in listed.split(",") if part.strip())
    if not name or (kind and kind not in KINDS):
        near = did_you_mean(kind, KINDS) or f" Kinds: {', '.join(KINDS)}."
        raise UsageError(f"target {text!r}: expected COLUMN, COLUMN:KIND or COLUMN:KIND:NAMES.{near}")
    found = next((known for known in KINDS if known == kind), None)
    if found == "survival" and len(names) != 2:
        raise UsageError(f"target {text!r}: survival needs its two columns, as in os:survival:months,dead")
    if found == "multilabel" and not names:
        raise UsageError(f"target {text!r}: multilabel needs its columns, as in findings:multilabel:edema,mass")
    if found in ("survival", "multilabel"):
        return Wanted(name, names, found)
    if found == "binary" and names and len(names) != 2:
        raise UsageError(f"target {text!r}: binary needs two classes, the negative one first")
    return Wanted(name, (name,), found, names)


def infer_target(wanted: Wanted, table: Table, problems: Problems) -> Target | None:
    """Return the target that a table's values are; None when they are none, which goes to `problems`."""
    columns = tuple(table.column(name) for name in wanted.columns)
    if wanted.kind == "survival":
        return Target(wanted.name, "survival", (), columns)
    if wanted.kind == "multilabel":
        return Target(wanted.name, "multilabel", columns, columns)
    values = [value for row in table.rows if (value := row.get(columns[0])) is not None]
    if not values:
        problems.add(f"column {columns[0]!r}: no row has a value")
        return None
    kind = wanted.kind or ("regression" if not wanted.classes and _is_measured(values, table) else None)
    if kind == "regression":
        return Target(wanted.name, kind, (), columns)
    classes = wanted.classes or _classes(columns[0], values, table, problems)
    kind = kind or ("binary" if len(classes) == 2 else "multiclass")
    if not _fits(kind, classes, columns[0], problems):
        return None
    if (
        kind == "binary"
        and not wanted.classes
        and classes[1].casefold() in CONTROL - {c.casefold() for c in classes[:1]}
    ):
        classes = classes[::-1]
    return Target(wanted.name, kind, classes, columns)


def _is_measured(values: Sequence[str], table: Table) -> bool:
    numbers = [number(value, table) for value in values]
    known = [n for n in numbers if n is not None]
    if len(known) < len(numbers) or len(set(known)) <= 2:
        return False
    return len(set(known)) > FEW_NUMBERS or any(not n.is_integer() for n in known)


def _classes(column: str, values: Sequence[str], table: Table, problems: Problems) -> tuple[str, ...]:
    counts = Counter(plain_class(value) for value in values)
    spelled: dict[str, str] = {}
    for name in counts:
        other = spelled.setdefault(re.sub(r"[\s_-]+", " ", name).casefold(), name)
        if other != name:
            problems.add(f"column {column!r}: {other!r} and {name!r} are one class by two names; write one of them")
    numbers = {name: number(name, table) for name in counts}
    if None in numbers.values():
        return tuple(sorted(counts, key=natural))
    return tuple(sorted(counts, key=lambda name: (numbers[name], name)))


def _fits(kind: TargetKind, classes: tuple[str, ...], column: str, problems: Problems) -> bool:
    shown = ", ".join(map(repr, classes[:5]))
    if len(classes) < 2:
        problems.add(f"column {column!r}: only the class {shown} occurs; expected two or more")
    elif len(classes) > MAX_CLASSES:
        problems.add(f"column {column!r}: {len(classes)} different texts ({shown}, …); expected classes or numbers")
    elif kind == "binary" and len(classes) != 2:
        problems.add(f"column {column!r}: {len(classes)} classes ({shown}), expected two for a binary target")
    else:
        return True
    return False


def natural(text: str) -> tuple[tuple[int, float, str], ...]:
    """Return a key that sorts 2 before 10 and G2 before G10."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((0, float(part), "") if part.isdecimal() else (1, 0.0, part) for part in parts if part)


def read_values(row: Row, targets: Iterable[Target], table: Table, problems: Problems) -> dict[str, Value]:
    """Return one row's value of every column of the targets; None is missing; misfits go to `problems`."""
    found: dict[str, Value] = {}
    for target in targets:
        for at, column in enumerate(target.columns):
            text = row.get(column)
            found[column] = None if text is None else _value(target, at, text, row, column, table, problems)
    return found


def _value(
    target: Target, at: int, text: str, row: Row, column: str, table: Table, problems: Problems
) -> float | str | None:
    where = f"line {row.line}: column {column!r}"
    if target.kind == "multilabel" or (target.kind == "survival" and at == 1):
        folded = plain_class(text).casefold()
        if folded in POSITIVE | NEGATIVE:
            return float(folded in POSITIVE)
        problems.add(f"{where} says {text!r}, expected 0 or 1 (or yes and no)")
    elif target.kind in ("regression", "survival"):
        value = number(text, table)
        if value is not None and (target.kind == "regression" or value >= 0):
            return value
        expected = "a number" if target.kind == "regression" else "a time of 0 or more"
        problems.add(f"{where} says {text!r}, expected {expected}")
    else:
        name = _class_of(plain_class(text), target.classes)
        if name is not None:
            return name
        known = ", ".join(target.classes)
        problems.add(f"{where} says {text!r}, expected one of {known}.{did_you_mean(text, target.classes)}")
    return None


def _class_of(name: str, classes: tuple[str, ...]) -> str | None:
    if name in classes:
        return name
    return next((known for known in classes if known.casefold() == name.casefold()), None)
