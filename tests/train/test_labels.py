"""Kinds of target, inferred and given, and the numbers they become."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from wsi.errors import LabelsError, UsageError
from wsi.table import Problems, Row, Table
from wsi.train.labels import Target, Wanted, infer_target, parse_wanted, read_values


def table_of(*columns: str, rows: Sequence[Sequence[str]], delimiter: str = ",") -> Table:
    lines = [Row(at + 2, dict(zip(columns, values, strict=True))) for at, values in enumerate(rows)]
    return Table(Path("labels.csv"), columns, tuple(lines), delimiter)


def inferred(values: Sequence[str], wanted: str = "x", delimiter: str = ",") -> Target:
    table, problems = table_of("x", rows=[[value] for value in values], delimiter=delimiter), Problems(Path("f.csv"))
    target = infer_target(parse_wanted(wanted), table, problems)
    problems.raise_any()
    assert target is not None
    return target


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["tumor", "normal", "tumor"], "binary", ("normal", "tumor")),
        (["benign", "adenoma", ""], "binary", ("benign", "adenoma")),
        (["yes", "no"], "binary", ("no", "yes")),
        (["1", "0", "1.0"], "binary", ("0", "1")),
        (["b", "a"], "binary", ("a", "b")),
        (["G10", "G2", "G1"], "multiclass", ("G1", "G2", "G10")),
        (["3", "1", "2"], "multiclass", ("1", "2", "3")),
        (["1", "-1", "-1.0"], "binary", ("-1", "1")),
        (["0.5", "1.5", "2"], "regression", ()),
        ([str(n) for n in range(11)], "regression", ()),
    ],
)
def test_kind_is_inferred(values: list[str], kind: str, classes: tuple[str, ...]) -> None:
    target = inferred(values)
    assert (target.kind, target.classes) == (kind, classes)


def test_ordinal_comes_when_asked_and_in_the_order_given() -> None:
    assert inferred(["2", "10", "1"], "x:ordinal").classes == ("1", "2", "10")
    assert inferred(["low", "high"], "x:ordinal:low,mid,high").classes == ("low", "mid", "high")


def test_classes_that_are_numbers_stand_by_their_value() -> None:
    assert inferred(["0", "1", "-1", "-10"], "x:ordinal").classes == ("-10", "-1", "0", "1")
    assert inferred(["0.25", "0.05", "0.1"], "x:ordinal").classes == ("0.05", "0.1", "0.25")
    assert inferred(["0,25", "0,05", "0,1"], "x:ordinal", delimiter=";").classes == ("0,05", "0,1", "0,25")


def test_order_of_rows_changes_no_class() -> None:
    values = ["c", "a", "b", "a"]
    assert inferred(values) == inferred(values[::-1])


@pytest.mark.parametrize(
    ("values", "wanted", "told"),
    [
        (["a", "a"], "x", "only the class 'a' occurs"),
        (["", "NA"], "x", "no row has a value"),
        (["Tumor", "tumor", "normal"], "x", "'Tumor' and 'tumor' are one class"),
        (["a", "b", "c"], "x:binary", "3 classes"),
        ([f"note {n} on the slide" for n in "abcdefghijklmnopqrstuvwxyz" * 2][:26] + [f"q{n}" for n in range(30)], "x", "56 different"),
    ],
)  # fmt: skip
def test_unusable_values_are_told(values: list[str], wanted: str, told: str) -> None:
    with pytest.raises(LabelsError, match=told):
        inferred(values, wanted)


@pytest.mark.parametrize("text", ["x:ordinl", "os:survival", "os:survival:a", "f:multilabel", "x:binary:a", ":binary"])
def test_wrong_target_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_wanted(text)


def test_near_kind_is_offered() -> None:
    with pytest.raises(UsageError, match="Did you mean 'ordinal'"):
        parse_wanted("x:ordinl")


def test_survival_and_multilabel_name_their_columns() -> None:
    assert parse_wanted("os:survival:months,dead") == Wanted("os", ("months", "dead"), "survival")
    assert parse_wanted("f:multilabel:edema, mass") == Wanted("f", ("edema", "mass"), "multilabel")


def encoded(target: Target, table: Table) -> list[tuple[float, ...]]:
    problems = Problems(Path("f.csv"))
    rows = [target.encode(read_values(row, [target], table, problems)) for row in table.rows]
    problems.raise_any()
    return rows


def test_survival_becomes_time_and_event_or_nothing() -> None:
    table = table_of("months", "dead", rows=[["12.5", "1"], ["3", "alive"], ["", "1"]])
    rows = encoded(Target("os", "survival", (), ("months", "dead")), table)
    assert rows[:2] == [(12.5, 1.0), (3.0, 0.0)]
    assert all(map(math.isnan, rows[2]))


def test_multilabel_keeps_what_is_missing_apart() -> None:
    table = table_of("edema", "mass", rows=[["1", "no"], ["", "yes"]])
    rows = encoded(Target("f", "multilabel", ("edema", "mass")), table)
    assert rows[0] == (1.0, 0.0)
    assert math.isnan(rows[1][0])
    assert rows[1][1] == 1.0


def test_classes_become_their_place_and_case_is_forgiven() -> None:
    table = table_of("g", rows=[["low"], ["HIGH"], ["mid"]])
    assert encoded(Target("g", "ordinal", ("low", "mid", "high")), table) == [(0.0,), (2.0,), (1.0,)]


def test_decimal_comma_is_read_where_semicolons_separate() -> None:
    table = table_of("x", rows=[["3,5"]], delimiter=";")
    assert encoded(Target("x", "regression"), table) == [(3.5,)]


@pytest.mark.parametrize(
    ("target", "text", "told"),
    [
        (Target("x", "regression"), "many", "'many', expected a number"),
        (Target("x", "regression"), "1,5", "expected a number"),
        (Target("x", "regression"), "inf", "expected a number"),
        (Target("x", "regression"), "1e999", "expected a number"),
        (Target("x", "survival", (), ("x", "e")), "-1", "a time of 0 or more"),
        (Target("x", "multilabel", ("x",)), "2", "expected 0 or 1"),
        (Target("x", "binary", ("benign", "malignant")), "malignent", "Did you mean 'malignant'"),
    ],
)
def test_misfit_is_told_with_its_line(target: Target, text: str, told: str) -> None:
    table = table_of("x", "e", rows=[["", "1"], [text, "1"]])
    with pytest.raises(LabelsError, match=f"line 3: .*{told}"):
        encoded(target, table)


@pytest.mark.parametrize(
    "wrong",
    [
        ("x", "binary", ("a",), ()),
        ("x", "binary", ("a", "a"), ()),
        ("x", "survival", (), ("time",)),
        ("x", "regression", ("a", "b"), ()),
        ("x", "ordinal", ("a", "b"), ("p", "q")),
    ],
)
def test_impossible_target_is_refused(wrong: tuple[str, str, tuple[str, ...], tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="can't have"):
        Target(*wrong)  # type: ignore[arg-type]
