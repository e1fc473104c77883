"""Folds as a value with a digest, and as a file that can't be changed after training began."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import ValidationError

from wsi.config import Strict
from wsi.errors import ArtifactError, LeakError
from wsi.publish import publish, sha256_bytes
from wsi.train.cohort import Cohort

Scheme = Literal["k-fold", "repeated-k-fold", "nested", "holdout", "leave-one-out", "leave-site-out", "file"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
FORMAT: Literal["wsi-splits/1"] = "wsi-splits/1"
SIDES = ("train", "validation", "test")
NAMED = 10


@dataclass(frozen=True, slots=True)
class Fold:
    """Indices of cases in `Cohort.cases`, ascending; no patient in two of the three.

    validation stops the training and sets thresholds; it may be empty. inner: the folds inside train + validation
    of a nested scheme, by which settings are chosen.
    """

    name: str
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    inner: tuple["Fold", ...] = ()


@dataclass(frozen=True, slots=True)
class Splits:
    """The folds of a cohort. digest: sha256 over the cases' ids, patients and folds; what a model card quotes."""

    scheme: Scheme
    folds: tuple[Fold, ...]
    digest: str


class _FoldFile(Strict):
    name: str
    train: list[str]
    validation: list[str]
    test: list[str]
    inner: list["_FoldFile"] = []


class _CaseFile(Strict):
    id: str
    patient: str


class _SplitsFile(Strict):
    format: Literal["wsi-splits/1"]
    scheme: Scheme
    cases: list[_CaseFile]
    folds: list[_FoldFile]


def seal(cohort: Cohort, scheme: Scheme, folds: Iterable[Fold]) -> Splits:
    """Return checked folds with their digest.

    Raises:
        LeakError: a patient stands on two sides of a fold; the first ten are named.
    """
    folds = tuple(folds)
    for fold in folds:
        refuse_leaks(cohort, fold)
    return Splits(scheme, folds, sha256_bytes(_canonical(_as_file(cohort, scheme, folds))))


def refuse_leaks(cohort: Cohort, fold: Fold) -> None:
    """Raise LeakError when a patient stands on two sides of a fold, or a fold inside reaches its test cases."""
    sides: dict[str, dict[str, str]] = defaultdict(dict)
    for side in SIDES:
        for at in getattr(fold, side):
            case = cohort.cases[at]
            sides[case.patient].setdefault(side, case.id)
    leaks = [
        f"{patient} ({', '.join(f'{case} in {side}' for side, case in found.items())})"
        for patient, found in sorted(sides.items())
        if len(found) > 1
    ]
    if leaks:
        rest = f" and {len(leaks) - NAMED} more" if len(leaks) > NAMED else ""
        count = "one patient stands" if len(leaks) == 1 else f"{len(leaks)} patients stand"
        raise LeakError(
            f"{fold.name}: {count} on two sides: {'; '.join(leaks[:NAMED])}{rest}; "
            "keep all slides of a patient on one side, or let the splits be made"
        )
    tested = {cohort.cases[at].patient for at in fold.test}
    for one in fold.inner:
        refuse_leaks(cohort, one)
        reached = sorted({cohort.cases[at].patient for side in SIDES for at in getattr(one, side)} & tested)
        if reached:
            raise LeakError(f"{fold.name}: its inner {one.name} holds patients it tests: {', '.join(reached[:NAMED])}")


def _as_file(cohort: Cohort, scheme: Scheme, folds: Iterable[Fold]) -> _SplitsFile:
    cases = [_CaseFile(id=case.id, patient=case.patient) for case in cohort.cases]
    return _SplitsFile(format=FORMAT, scheme=scheme, cases=cases, folds=[_fold_file(fold, cohort) for fold in folds])


def _fold_file(fold: Fold, cohort: Cohort) -> _FoldFile:
    train, validation, test = ([cohort.cases[at].id for at in getattr(fold, side)] for side in SIDES)
    inner = [_fold_file(one, cohort) for one in fold.inner]
    return _FoldFile(name=fold.name, train=train, validation=validation, test=test, inner=inner)


def _canonical(file: _SplitsFile, **more: str) -> bytes:
    return (json.dumps(file.model_dump() | more, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def write_splits(path: Path, cohort: Cohort, splits: Splits) -> str:
    """Publish the folds as JSON, by the cases' ids, sealed with their digest; return it."""
    publish(path, _canonical(_as_file(cohort, splits.scheme, splits.folds), sha256=splits.digest))
    return splits.digest


def read_splits(path: Path, cohort: Cohort) -> Splits:
    """Read folds that `write_splits` wrote for this cohort.

    Raises:
        ArtifactError: no such file, it was changed, or it was made for other cases or patients.
        LeakError: a patient stands on two sides.
    """
    try:
        told = json.loads(path.read_bytes())
        digest = told.pop("sha256", "")
        file = _SplitsFile.model_validate(told)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError, ValidationError) as error:
        what = error.strerror if isinstance(error, OSError) else "not the JSON of sealed splits"
        raise ArtifactError(f"{path}: {what}; make the splits again") from error
    if sha256_bytes(_canonical(file)) != digest:
        raise ArtifactError(f"{path}: changed since it was sealed (its sha256 differs); make the splits again")
    _refuse_others(path, file, cohort)
    places = {case.id: at for at, case in enumerate(cohort.cases)}
    try:
        folds = [_from_file(one, places) for one in file.folds]
    except KeyError as error:
        raise ArtifactError(f"{path}: a fold names the case {error}, which it doesn't list; make it again") from error
    return seal(cohort, file.scheme, folds)


def _refuse_others(path: Path, file: _SplitsFile, cohort: Cohort) -> None:
    then = {case.id: case.patient for case in file.cases}
    now = {case.id: case.patient for case in cohort.cases}
    changed = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if changed:
        shown = ", ".join(changed[:NAMED])
        raise ArtifactError(
            f"{path}: made for other cases: {len(changed)} came, went or changed their patient ({shown}); "
            "use the labels it was made for, or make the splits again"
        )


def _from_file(told: _FoldFile, places: dict[str, int]) -> Fold:
    train, validation, test = (tuple(sorted(places[name] for name in getattr(told, side))) for side in SIDES)
    return Fold(told.name, train, validation, test, tuple(_from_file(one, places) for one in told.inner))
