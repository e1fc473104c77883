"""What is asked of tables of predictions and labels: which column is what, and which class is the positive one."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, get_args

from wsi.errors import LabelsError, UsageError, did_you_mean
from wsi.printable import bare_cell
from wsi.table import Table, plain_class

StudyKind = Literal["binary", "multiclass", "ordinal", "regression", "survival"]
KINDS: tuple[StudyKind, ...] = get_args(StudyKind)
CASE_COLUMNS = ("slide", "slide_id", "case", "case_id", "image", "image_id", "filename", "file", "path", "name", "id")
PATIENT_COLUMNS = ("patient", "patient_id", "case_id", "case", "subject", "subject_id")
TARGET_COLUMNS = ("target", "truth", "y_true", "y", "label", "class", "diagnosis", "grade")
_YES = frozenset({"1", "yes", "y", "true", "positive", "pos"})
_NO = frozenset({"0", "no", "n", "false", "negative", "neg"})
_SUFFIX = re.compile(r"\.(svs|tiff?|ome|ndpi|mrxs|scn|bif|czi|dcm|qptiff|h5|png|jpe?g|bmp|jp2|nii|gz)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """None and empty: found from the tables.

    names: classes (binary negative first, ordinal from low to high), or the time and event columns of survival.
    scores: (class, column) pairs, the class "" for a single column. means: a label's value to the class it is.
    """

    target: str | None = None
    kind: StudyKind | None = None
    names: tuple[str, ...] = ()
    positive: str | None = None
    scores: tuple[tuple[str, str], ...] = ()
    case: str | None = None
    patient: str | None = None
    subgroups: tuple[str, ...] = ()
    leave_out: frozenset[str] = frozenset()
    means: Mapping[str, str] = field(default_factory=dict)
    logits: bool = False


def parse_target(text: str) -> tuple[str, StudyKind | None, tuple[str, ...]]:
    """Read `grade`, `grade:ordinal`, `grade:ordinal:G1,G2,G3`, `er:binary:neg,pos`, `os:survival:months,dead`.

    Raises:
        UsageError: another form, or an unknown kind.
    """
    name, _, rest = text.partition(":")
    kind, _, listed = rest.partition(":")
    names = tuple(part.strip() for part in listed.split(",") if part.strip())
    known = next((one for one in KINDS if one == kind), None)
    if not name or (kind and known is None):
        near = did_you_mean(kind, KINDS) or f" Kinds: {', '.join(KINDS)}."
        raise UsageError(f"--target {text!r}: expected COLUMN, COLUMN:KIND or COLUMN:KIND:NAMES.{near}")
    if known in ("survival", "binary") and (known == "survival" or names) and len(names) != 2:
        wanted = "its time and event columns" if known == "survival" else "two classes, the negative one first"
        raise UsageError(f"--target {text!r}: {known} needs {wanted}")
    return name, known, names


def parse_pairs(option: str, texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Read `LEFT=RIGHT` options; `RIGHT` alone has an empty left.

    Raises:
        UsageError: nothing right of the `=`.
    """
    pairs = []
    for text in texts:
        left, equals, right = text.rpartition("=")
        if not right or (equals and not left):
            raise UsageError(f"{option} {text!r}: expected NAME=NAME")
        pairs.append((left.strip(), right.strip()))
    return tuple(pairs)


def find_column(table: Table, named: str | None, usual: tuple[str, ...], *, what: str, option: str) -> str:
    """Return the column that is named, or the first of the usual names.

    Raises:
        LabelsError: it isn't there; near names are offered.
    """
    if named is not None:
        return table.column(named)
    found = table.find(usual)
    if found is None:
        raise LabelsError(
            f"{table.path}: no column says {what}; the columns are {', '.join(table.columns)}. Name it with {option}"
        )
    return found


def truth_column(table: Table, named: str | None, usual: tuple[str, ...] = ()) -> str:
    """Return the column of the truth: as named, or `true NAME` as a training run writes it, or a usual one.

    Raises:
        LabelsError: it isn't there; near names are offered.
    """
    if named is not None:
        return table.find([named, f"true {named}"]) or table.column(named)
    told = [column for column in table.columns if column.startswith("true ")]
    if len(told) == 1:
        return told[0]
    return find_column(table, None, usual, what="the truth", option="--target")


def place_of(text: str, classes: tuple[str, ...], means: Mapping[str, str]) -> int | None:
    """Return the place of the class that a label means: by `means`, its name in any case, or 0/1 and yes/no of two."""
    value = plain_class(text)
    value = means.get(value, value)
    folded = [one.casefold() for one in classes]
    if value in classes:
        return classes.index(value)
    if value.casefold() in folded:
        return folded.index(value.casefold())
    if len(classes) == 2 and value.casefold() in _YES | _NO:
        return int(value.casefold() in _YES)
    return None


def says_yes(text: str) -> bool | None:
    """Return whether a word or number of an event column means that it happened; None: it means neither."""
    value = plain_class(text).casefold()
    yes = _YES | {"dead", "deceased", "event"}
    return True if value in yes else False if value in _NO | {"alive", "living", "censored"} else None


def aliases(name: str) -> tuple[str, ...]:
    """Return what a slide may be called, the strictest first: as written, without folder, without its suffix, folded."""
    path = unicodedata.normalize("NFC", bare_cell(name).replace("\\", "/").removeprefix("./"))
    last = bare = PurePosixPath(path).name
    while (shorter := _SUFFIX.sub("", bare)) != bare:
        bare = shorter
    return path, last, bare, bare.casefold()
