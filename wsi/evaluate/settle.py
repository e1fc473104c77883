"""What kind of target it is, which classes it has, and which one is positive: as asked, else as the tables say."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wsi.errors import LabelsError, UsageError, did_you_mean
from wsi.evaluate.outputs import Outputs, probabilities_of
from wsi.evaluate.question import TARGET_COLUMNS, Question, StudyKind, place_of, truth_column
from wsi.table import Table, number, plain_class

_SHOWN = 6


def settle(outputs: Outputs, labels: Table, question: Question) -> tuple[Outputs, Question]:
    """Return the outputs with their columns in the order of the classes, and the question with nothing left open.

    After it `target` and `kind` are set; `names` are the classes in order, or survival's two columns.

    Raises:
        LabelsError, UsageError: the tables don't fit the question or each other.
    """
    if question.kind == "survival":
        names = tuple(truth_column(labels, name) for name in question.names)
        return _single(outputs, "survival"), replace(question, names=names)
    column = truth_column(labels, question.target, TARGET_COLUMNS)
    values = tuple(text for row in labels.rows if (text := row.get(column)) is not None)
    kind = question.kind or _kind(outputs, labels, _meant(values, question))
    question = replace(question, target=column, kind=kind)
    if kind == "regression":
        return _single(outputs, kind), question
    if outputs.classes:
        classes = _ordered(outputs, question)
        order = [outputs.classes.index(one) for one in classes]
        return replace(outputs, classes=classes, values=outputs.values[:, order]), replace(question, names=classes)
    if kind != "binary":
        raise UsageError(
            f"{outputs.table.path}: a {kind} target needs a column of probabilities for each class; name them with "
            "--score CLASS=COLUMN"
        )
    classes = _two(labels, column, values, question)
    chances = probabilities_of(outputs.values, logits=question.logits, path=outputs.table.path)
    return replace(outputs, classes=classes, values=chances), replace(question, names=classes)


def _kind(outputs: Outputs, labels: Table, values: Sequence[str]) -> StudyKind:
    if outputs.classes:
        return "binary" if len(outputs.classes) == 2 else "multiclass"
    if len(values) > 2 and all(number(value, labels) is not None for value in values):
        return "regression"
    return "binary"


def _meant(values: Sequence[str], question: Question) -> list[str]:
    """Return the distinct classes that labels mean, in order, without those that are left out."""
    plain = map(plain_class, values)
    return sorted({question.means.get(one, one) for one in plain if one not in question.leave_out})


def _single(outputs: Outputs, kind: StudyKind) -> Outputs:
    if outputs.classes:
        raise UsageError(
            f"{outputs.table.path}: a {kind} target needs one column of predictions, found {len(outputs.classes)}; "
            "name it with --score COLUMN"
        )
    return outputs


def _ordered(outputs: Outputs, question: Question) -> tuple[str, ...]:
    """Return the classes that the predictions have in the order that is asked for; of two, the positive one last."""
    path, known = outputs.table.path, outputs.classes
    if question.kind == "binary" and len(known) != 2:
        raise UsageError(f"{path}: a binary target has two classes, found {', '.join(known)}")
    if question.names:
        return tuple(_known(name, known, f"{path}: the predictions have no class") for name in question.names) + tuple(
            _unnamed(question.names, known, path.name)
        )
    if len(known) != 2:
        return known
    if question.positive is not None:
        positive = _known(question.positive, known, f"{path}: --positive: the predictions have no class")
    else:
        positive = _told_positive(outputs) or known[-1]
    return (*(one for one in known if one != positive), positive)


def _known(name: str, known: Sequence[str], message: str) -> str:
    place = place_of(name, tuple(known), {})
    if place is None:
        raise UsageError(f"{message} {name!r}; they have {', '.join(known)}.{did_you_mean(name, known)}")
    return known[place]


def _unnamed(names: Sequence[str], known: Sequence[str], file: str) -> list[str]:
    """Return nothing; raises when the predictions have a class that wasn't named."""
    folded = {name.casefold() for name in names}
    if rest := [one for one in known if one.casefold() not in folded]:
        raise UsageError(f"{file}: the predictions also have the class {rest[0]!r}, which --target doesn't name")
    return []


def _told_positive(outputs: Outputs) -> str | None:
    """Return the class whose column is repeated as `probability`, as our predictions.csv does."""
    if outputs.table.find(["probability"]) is None:
        return None
    texts = [row.get("probability") or "" for row in outputs.table.rows]
    told = np.array([number(text, outputs.table) for text in texts], np.float64)
    same = [np.array_equal(told, column, equal_nan=True) for column in outputs.values.T]
    return outputs.classes[same.index(True)] if sum(same) == 1 else None


def _two(labels: Table, column: str, values: Sequence[str], question: Question) -> tuple[str, str]:
    """Return (negative, positive) for a single column of positive probabilities."""
    if len(question.names) == 2:
        return question.names[0], question.names[1]
    found = _meant(values, question)
    if len(found) > 2:
        shown = ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        raise UsageError(
            f"{labels.path}: column {column!r} has {len(found)} classes ({shown}), but there is one column of "
            "predictions; name one a class with --score CLASS=COLUMN, or join classes with --means OTHER=CLASS"
        )
    if question.positive is not None:
        positive = _known(question.positive, found, f"{labels.path}: --positive: column {column!r} has no")
        return next((one for one in found if one != positive), f"not {positive}"), positive
    yes = [one for one in found if place_of(one, ("no", "yes"), {}) == 1]
    no = [one for one in found if place_of(one, ("no", "yes"), {}) == 0]
    if len(yes) + len(no) != len(found) or not found:
        raise LabelsError(
            f"{labels.path}: column {column!r} has {', '.join(found) or 'no value'}; say with --positive which one the "
            "predictions are of"
        )
    return (no[0] if no else "0"), (yes[0] if yes else "1")
