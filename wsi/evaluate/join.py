"""Predictions joined with labels: every line of either is evaluated, or counted and named as left out."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsi.errors import LabelsError, UsageError, did_you_mean
from wsi.evaluate.binary import Bools, Floats
from wsi.evaluate.outputs import Outputs, read_outputs
from wsi.evaluate.question import (
    CASE_COLUMNS,
    PATIENT_COLUMNS,
    Question,
    aliases,
    find_column,
    place_of,
    says_yes,
)
from wsi.evaluate.settle import settle
from wsi.evaluate.study import Account, Study
from wsi.printable import bare_cell
from wsi.table import Problems, Row, Table, number, plain_class, read_table

OURS = ("tiles_wanted",)
"""A column that only the predictions of a run have."""
CALLED = ("called", "Y_hat")
NO_PATIENTS = "No column says the patient: each case counts as a patient of its own, which makes intervals too narrow "
NO_PATIENTS += "where patients have several."


@dataclass(frozen=True, slots=True)
class Matched:
    """rows `(n,)`: the labels' row of each prediction, None where there is none, and what the labels call the case.

    unused: cases of the labels that no prediction is of.
    """

    rows: tuple[tuple[Row | None, str], ...]
    unused: tuple[str, ...]


def read_study(predictions: Path, labels: Path | None, question: Question) -> Study:
    """Read predictions and labels and join them by what the slides are called.

    Args:
        predictions: CSV, or the OUT of a run.
        labels: CSV with a line a case; None: the predictions' own table has the truth.

    Raises:
        LabelsError, UsageError: a file, column or value is wrong; the message names it and the near names.
    """
    outputs = read_outputs(predictions, question)
    table = outputs.table if labels is None else read_table(labels)
    if labels is None and table.find(OURS) is not None:
        raise UsageError(f"{table.path}: what a run predicts holds no truth; give the labels with --labels")
    outputs, question = settle(outputs, table, question)
    if labels is not None:
        return _joined(outputs, table, _match(outputs, table, question), question)
    own = tuple((row, names[0]) for row, names in zip(table.rows, outputs.names, strict=True))
    return _joined(outputs, table, Matched(own, ()), question)


def _match(outputs: Outputs, labels: Table, question: Question) -> Matched:
    named = question.case
    if named is not None and labels.find([named]) is None and outputs.table.find([named]) is not None:
        named = None  # it is the predictions' name of the column
    column = find_column(labels, named, CASE_COLUMNS, what="which case a line is of", option="--case")
    tiers: list[dict[str, list[Row]]] = [defaultdict(list) for _ in range(4)]
    problems = Problems(labels.path)
    for row in labels.rows:
        if (name := row.get(column)) is None:
            problems.add(f"line {row.line}: column {column!r} says no case")
            continue
        for tier, key in zip(tiers, aliases(name), strict=True):
            tier[key].append(row)
    for rows in tiers[0].values():
        if len(rows) > 1:
            problems.add(f"line {rows[1].line}: {rows[1].get(column)!r} stands on line {rows[0].line}, too")
    problems.raise_any()
    found = [_row_of(names, tiers, problems) for names in outputs.names]
    taken: dict[int, str] = {}
    for names, one in zip(outputs.names, found, strict=True):
        if one is not None and (other := taken.setdefault(one.line, names[0])) != names[0]:
            problems.add(f"line {one.line}: both {other!r} and {names[0]!r} of the predictions are this case")
    problems.raise_any()
    if not taken:
        theirs, ours = labels.rows[0].get(column) or "", outputs.names[0][0]
        near = did_you_mean(ours, [row.get(column) or "" for row in labels.rows])
        raise LabelsError(
            f"{labels.path}: no case of {outputs.table.path} is in column {column!r}, which has {theirs!r} where the "
            f"predictions have {ours!r}.{near} Name the columns that agree with --case"
        )
    matched = tuple(
        (one, (one and one.get(column)) or names[0]) for one, names in zip(found, outputs.names, strict=True)
    )
    return Matched(matched, tuple(row.get(column) or "" for row in labels.rows if row.line not in taken))


def _row_of(names: Sequence[str], tiers: Sequence[dict[str, list[Row]]], problems: Problems) -> Row | None:
    """Return the one row that the strictest reading of any of the names fits."""
    for at, tier in enumerate(tiers):
        for name in names:
            rows = tier.get(aliases(name)[at], [])
            if len(rows) > 1:
                lines = " and ".join(str(row.line) for row in rows[:2])
                problems.add(f"lines {lines} could both be {name!r} of the predictions")
            if rows:
                return rows[0]
    return None


def _joined(outputs: Outputs, labels: Table, matched: Matched, question: Question) -> Study:
    found = [row for row, _ in matched.rows]
    truth, why = _truth(labels, found, question)
    silent = [bool(np.isnan(line).any()) for line in outputs.values]
    reasons = [reason or ("nothing was predicted" if mute else "") for reason, mute in zip(why, silent, strict=True)]
    kept = np.array([not reason for reason in reasons], bool)
    left_out = _accounts(matched, reasons)
    if not kept.any():
        told = "; ".join(f"{one.why}: {len(one.cases)}" for one in left_out)
        raise LabelsError(f"{labels.path}: no case has both a label and a prediction ({told})")
    rows = [row for row, keep in zip(found, kept, strict=True) if keep and row is not None]
    patient = _patient_column(labels, question)
    cases = tuple(name for (_, name), keep in zip(matched.rows, kept, strict=True) if keep)
    subgroups = [find_column(labels, name, (), what="", option="--subgroup") for name in question.subgroups]
    return Study(
        kind=question.kind or "binary",
        target=(question.target or "").removeprefix("true "),
        classes=() if question.kind in ("survival", "regression") else question.names,
        cases=cases,
        patients=_patients(rows, cases, patient),
        truth=truth[kept],
        outputs=outputs.values[kept],
        logits=question.logits,
        times=outputs.times,
        free=outputs.free[kept],
        columns={name: tuple(row.get(name) or "" for row in rows) for name in subgroups},
        rows=tuple(row for row, keep in zip(outputs.table.rows, kept, strict=True) if keep),
        left_out=left_out,
        notes=() if patient else (NO_PATIENTS,),
        calls=_calls(outputs, kept, question),
        unit=question.names[0].removeprefix("true ") if question.kind == "survival" else "",
    )


def _truth(labels: Table, found: Sequence[Row | None], question: Question) -> tuple[Floats, list[str]]:
    """Return the truth `(n,)` or `(n, 2)`, NaN where unknown, and why a case has none, "" where it has."""
    columns = question.names if question.kind == "survival" else (question.target or "",)
    truth, why = np.full((len(found), len(columns)), np.nan), []
    problems = Problems(labels.path)
    for at, row in enumerate(found):
        texts = [None if row is None else row.get(column) for column in columns]
        if row is None:
            why.append("not among the labels")
        elif None in texts:
            why.append("the label is missing")
        elif plain_class(str(texts[0])) in question.leave_out:
            why.append(f"{plain_class(str(texts[0]))} is left out as asked")
        else:
            why.append("")
            truth[at] = [
                _value(str(text), k, row, column, labels, question, problems)
                for k, (text, column) in enumerate(zip(texts, columns, strict=True))
            ]
    problems.raise_any()
    return (truth if question.kind == "survival" else truth[:, 0]), why


def _value(text: str, k: int, row: Row, column: str, labels: Table, question: Question, problems: Problems) -> float:
    where = f"line {row.line}: column {column!r} says {text!r}, expected"
    if question.kind == "survival" and k == 1:
        happened = says_yes(text)
        if happened is None:
            problems.add(f"{where} 0 or 1 (or yes and no)")
        return float(happened or 0)
    if question.kind in ("regression", "survival"):
        found = number(text, labels)
        if found is None or (question.kind == "survival" and found < 0):
            problems.add(f"{where} {'a number' if question.kind == 'regression' else 'a time of 0 or more'}")
        return np.nan if found is None else found
    place = place_of(text, question.names, question.means)
    if place is None and not any(f"says {text!r}," in told for told in problems.found):  # once for all its lines
        known = ", ".join(question.names)
        problems.add(
            f"{where} one of the classes that were predicted ({known}).{did_you_mean(text, question.names)} Say what it "
            f"is with --means {text!r}=CLASS, or leave such cases out with --leave-out {text!r}"
        )
    return np.nan if place is None else float(place)


def _calls(outputs: Outputs, kept: Bools, question: Question) -> Floats | None:
    """Return what the predictions call each case: `called` of a training run, `label` of a run over slides."""
    column = "label" if outputs.table.find(OURS) else outputs.table.find(CALLED)
    rows = [row for row, keep in zip(outputs.table.rows, kept, strict=True) if keep]
    texts = [row.get(column) for row in rows]
    places = [None if text is None else place_of(bare_cell(text), question.names, {}) for text in texts]
    return np.array(places, np.float64) if question.kind == "binary" and None not in places else None


def _patient_column(labels: Table, question: Question) -> str | None:
    """Return the column that says the patient; the one that names the cases is none, unless it is asked for."""
    if question.patient:
        return labels.column(question.patient)
    key = (question.case and labels.find([question.case])) or labels.find(CASE_COLUMNS)
    return labels.find([name for name in PATIENT_COLUMNS if labels.find([name]) != key])


def _patients(rows: Sequence[Row], cases: Sequence[str], column: str | None) -> tuple[str, ...]:
    """Return the patient of each case; a case whose patient isn't said is one of its own."""
    return tuple(row.get(column) or case for row, case in zip(rows, cases, strict=True)) if column else tuple(cases)


def _accounts(matched: Matched, reasons: Sequence[str]) -> tuple[Account, ...]:
    found: dict[str, list[str]] = defaultdict(list)
    for (_, name), reason in zip(matched.rows, reasons, strict=True):
        if reason:
            found[reason].append(name)
    if matched.unused:
        found["labeled, but not among the predictions"].extend(matched.unused)
    return tuple(Account(why, tuple(cases)) for why, cases in found.items())
