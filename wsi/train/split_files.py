"""Folds that a person gives: checked for leaks like our own."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wsi.errors import LabelsError
from wsi.table import SHOWN, Problems, Table, plain_class, read_table
from wsi.train.cohort import Cohort
from wsi.train.identity import patient_key
from wsi.train.labels import natural
from wsi.train.locate import BagFile
from wsi.train.names import Names
from wsi.train.rows import CASE_COLUMNS, SLIDE_COLUMNS
from wsi.train.seal import SIDES, Fold, Splits, read_splits, seal

_SIDE = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "tune": "validation", "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip
SIDE_COLUMNS = ("split", "set", "subset", "partition", "fold")


def splits_from_file(path: Path, cohort: Cohort) -> Splits:
    """Return the folds that a file gives.

    It may be the splits.json of an earlier run; a CSV with a line a slide, case or patient and a column `split`
    (train, val, test) or `fold` (a number; each is tested once, without validation cases); a CSV with the columns
    train, val and test of names, as CLAM writes them; or a folder of such CSVs, one a fold.

    Raises:
        LabelsError: another form, or names that aren't in the cohort; all problems of the file together.
        LeakError: a patient stands on two sides; named.
        ArtifactError: a splits.json that was changed or belongs to other cases.
    """
    if path.suffix == ".json":
        return read_splits(path, cohort)
    if path.is_dir():
        files = sorted(path.glob("*.csv"), key=lambda file: natural(file.name))
        files = [file for file in files if _lists_sides(read_table(file))]
        if not files:
            raise LabelsError(f"{path}: no CSV with columns train, val and test; expected one a fold")
        return seal(cohort, "file", [_of_lists(read_table(file), cohort, file.stem) for file in files])
    table = read_table(path)
    if _lists_sides(table):
        return seal(cohort, "file", [_of_lists(table, cohort, path.stem)])
    return seal(cohort, "file", _of_lines(table, cohort))


def _lists_sides(table: Table) -> bool:
    return table.find(("train",)) is not None and table.find(("test", "val", "validation")) is not None


class _Members:
    """Finds the cases that a name in a split file means: a case, a slide, or all of a patient's."""

    def __init__(self, cohort: Cohort, problems: Problems) -> None:
        self.problems = problems
        self._cases = {case.id: (at,) for at, case in enumerate(cohort.cases)}
        places: dict[str, list[int]] = defaultdict(list)
        patients: dict[str, list[int]] = defaultdict(list)
        for at, case in enumerate(cohort.cases):
            patients[patient_key(case.patient)].append(at)
            for slide in case.slides:
                places[slide].append(at)
        self._slides = {slide: tuple(found) for slide, found in places.items()}
        self._names = Names(BagFile(name, Path(name)) for name in {*self._cases, *self._slides})
        self._patients = {key: tuple(found) for key, found in patients.items()}

    def find(self, name: str, line: int) -> tuple[int, ...]:
        if name in self._cases:
            return self._cases[name]
        found = self._names.find(name)
        if len(found) == 1:
            return self._cases.get(found[0].name) or self._slides[found[0].name]
        if not found and patient_key(name) in self._patients:
            return self._patients[patient_key(name)]
        hint = self._names.hint(name) if len(self.problems.found) < SHOWN else ""
        both = " or ".join(repr(one.name) for one in found)
        what = f"may be {both}" if found else f"is no case, slide or patient of the labels.{hint}"
        self.problems.add(f"line {line}: {name!r} {what}")
        return ()


def _of_lists(table: Table, cohort: Cohort, name: str) -> Fold:
    """Read a CSV whose columns are the sides; blanks fill the shorter ones."""
    problems = Problems(table.path)
    members = _Members(cohort, problems)
    sides: dict[str, list[int]] = {side: [] for side in SIDES}
    for column in table.columns:
        side = _SIDE.get(column.casefold())
        for row in table.rows:
            value = row.get(column)
            if side and value:
                sides[side] += members.find(plain_class(value), row.line)
    problems.raise_any()
    return _fold(name, sides, table)


def _of_lines(table: Table, cohort: Cohort) -> Iterator[Fold]:
    side = table.find(SIDE_COLUMNS)
    who = table.find((*SLIDE_COLUMNS, *CASE_COLUMNS))
    if side is None or who is None:
        raise LabelsError(
            f"{table.path}: its columns are {', '.join(table.columns)}; expected a slide, case or patient and a column "
            f"{' or '.join((SIDE_COLUMNS[0], SIDE_COLUMNS[-1]))}, or columns train, val and test"
        )
    problems = Problems(table.path)
    members = _Members(cohort, problems)
    placed: dict[str, list[int]] = defaultdict(list)
    for row in table.rows:
        name, place = row.get(who), row.get(side)
        if name is None or place is None:
            problems.add(f"line {row.line}: column {who if name is None else side!r} is empty")
        else:
            placed[plain_class(place).casefold()] += members.find(name, row.line)
    if set(placed) & set(_SIDE) and set(placed) - set(_SIDE):
        problems.add(f"column {side!r} says {', '.join(sorted(placed))}; expected train, val and test, or numbers")
    problems.raise_any()
    if set(placed) <= set(_SIDE):
        yield _fold("fold 1", _by_side(placed), table)
        return
    if len(placed) < 2:
        raise LabelsError(f"{table.path}: column {side!r} names one fold only; expected two or more")
    for number in sorted(placed, key=natural):
        rest = [at for other, found in placed.items() if other != number for at in found]
        yield _fold(f"fold {number}", {"train": rest, "validation": [], "test": placed[number]}, table)


def _by_side(placed: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    sides: dict[str, list[int]] = {side: [] for side in SIDES}
    for word, found in placed.items():
        sides[_SIDE[word]] += found
    return sides


def _fold(name: str, sides: Mapping[str, Sequence[int]], table: Table) -> Fold:
    if not sides["train"] or not sides["test"]:
        raise LabelsError(
            f"{table.path}: {name} trains on {len(sides['train'])} cases and tests {len(sides['test'])}; expected both"
        )
    train, validation, test = (tuple(sorted(set(sides[side]))) for side in SIDES)
    return Fold(name, train, validation, test)
