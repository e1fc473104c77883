"""What a table of predictions says: ours, CLAM's, or any with a column a class."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsi.errors import LabelsError, UsageError
from wsi.evaluate.binary import Floats
from wsi.evaluate.question import CASE_COLUMNS, Question, find_column
from wsi.table import Problems, Table, number, read_table

PREDICTIONS = "predictions.csv"
_CLASS = re.compile(r"(?:P\((?P<ours>.+)\)|(?:p|prob|proba|probability|logit)[ _.](?P<other>.+))", re.IGNORECASE)
_FREE = re.compile(r"S\((?P<one>[0-9.]+)(?: .*)?\)|survival until (?P<other>[0-9.]+)")
_SINGLE = ("probability", "prob", "score", "prediction", "predicted", "y_score", "y_pred", "risk", "log hazard", "p")
_VALUE, _VALUE_IS = "value", "value_is"
"""Columns of a run of a model without classes: what it says, and what that is."""
_SUM = 2e-3
"""Probabilities written with few digits don't sum to exactly 1."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Predictions of n cases.

    names: `(n,)` what each is called, several where the table has an id and a path. classes: of the K columns of
    `values` `(n, K)`; () for a single number. times: of the columns of `free` `(n, t)`, the predicted shares free of
    the event. NaN: nothing was predicted.
    """

    table: Table
    names: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]
    values: Floats
    times: tuple[float, ...]
    free: Floats

    def __len__(self) -> int:
        return len(self.names)


def read_outputs(path: Path, question: Question) -> Outputs:
    """Read the predictions in a CSV, or in the predictions.csv of a run's folder.

    Columns of classes: `P(name)` as ours, `p_name`, `prob_name` and kin, or those that `question.scores` names.

    Raises:
        LabelsError: the file can't be read, a column is missing, or a value isn't a probability or number.
        UsageError: no column looks like predictions.
    """
    table = read_table(path / PREDICTIONS if path.is_dir() else path)
    columns = _columns(table, question)
    problems = Problems(table.path)
    values = _numbers(table, [column for _, column in columns], problems)
    timed = [(float(m["one"] or m["other"]), column) for column in table.columns if (m := _FREE.fullmatch(column))]
    free = _numbers(table, [column for _, column in sorted(timed)], problems)
    classes = tuple(name for name, _ in columns) if len(columns) > 1 else ()
    if classes and not question.logits:
        _check_sums(table, values, problems)
    problems.raise_any()
    named = find_column(
        table, _own(table, question.case), CASE_COLUMNS, what="which case a line is of", option="--case"
    )
    keys = dict.fromkeys([named, *(k for k in ("path", "id") if k in table.columns and "P(" in "".join(table.columns))])
    names = tuple(tuple(value for key in keys if (value := row.get(key))) for row in table.rows)
    _check_names(table, names, problems)
    return Outputs(table, names, classes, values, tuple(time for time, _ in sorted(timed)), free)


def _own(table: Table, named: str | None) -> str | None:
    """Return the named column when this table has it: the labels' may be called otherwise."""
    return named if named is not None and table.find([named]) else None


def _columns(table: Table, question: Question) -> list[tuple[str, str]]:
    """Return (class, column) of each class, or one with an empty class."""
    if question.scores:
        return [(name, table.column(column)) for name, column in question.scores]
    found = [(m["ours"] or m["other"], column) for column in table.columns if (m := _CLASS.fullmatch(column))]
    if question.kind in ("regression", "survival"):
        found = []
    if len(found) > 1:
        return found
    own = [question.target] if question.target and table.find([f"true {question.target}"]) else []
    values = [_VALUE] if table.find([_VALUE_IS]) else []
    single = table.find([*own, *values, *_SINGLE]) if not found else found[0][1]
    if single is None:
        raise UsageError(
            f"{table.path}: no column looks like predictions; the columns are {', '.join(table.columns)}. Name it with "
            "--score COLUMN, or one a class with --score CLASS=COLUMN"
        )
    return [("", single)]


def _numbers(table: Table, columns: Sequence[str], problems: Problems) -> Floats:
    """Return the numbers `(n, k)` of columns, NaN where there is none."""
    found = np.full((len(table.rows), len(columns)), np.nan)
    for at, row in enumerate(table.rows):
        for k, column in enumerate(columns):
            if (text := row.get(column)) is None:
                continue
            value = number(text, table)
            if value is None:
                problems.add(f"line {row.line}: column {column!r} says {text!r}, expected a number")
            else:
                found[at, k] = value
    return found


def _check_sums(table: Table, values: Floats, problems: Problems) -> None:
    for row, line in zip(table.rows, values, strict=True):
        if np.isnan(line).any():
            continue
        if line.min() < 0 or line.max() > 1 or abs(line.sum() - 1) > _SUM:
            shown = ", ".join(f"{value:.4g}" for value in line)
            problems.add(
                f"line {row.line}: {shown} are no probabilities of classes (0 to 1, together 1); use --logits for logits"
            )


def _check_names(table: Table, names: Sequence[tuple[str, ...]], problems: Problems) -> None:
    first: dict[str, int] = {}
    for row, called in zip(table.rows, names, strict=True):
        if not called:
            problems.add(f"line {row.line}: says no case")
        elif (earlier := first.setdefault(called[0], row.line)) != row.line:
            problems.add(f"line {row.line}: {called[0]!r} stands on line {earlier}, too; expected one line a case")
    problems.raise_any()


def probabilities_of(values: Floats, *, logits: bool, path: Path) -> Floats:
    """Return `(n, 2)` of a single column of positive probabilities `(n, 1)`, or the log odds as they are.

    Raises:
        LabelsError: one lies outside 0-1.
    """
    if logits:
        return values
    known = values[~np.isnan(values)]
    if len(known) and not (known.min() >= 0 and known.max() <= 1):
        raise LabelsError(
            f"{path}: found {known.min():.4g} to {known.max():.4g}, expected probabilities from 0 to 1; use --logits "
            "where these are log odds"
        )
    return np.concatenate([1 - values, values], axis=1)
