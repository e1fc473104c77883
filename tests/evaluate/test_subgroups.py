"""Groups are listed, each with its interval; small ones without a figure."""

import numpy as np
import pytest

from wsi.evaluate import auc_interval, subgroup_table


def test_each_group_has_the_figure_of_its_cases() -> None:
    rng = np.random.default_rng(0)
    labels, scores = np.arange(60) % 2, rng.random(60)
    site = ["north"] * 30 + ["south"] * 25 + ["islands"] * 5
    sex = ["f", "m", ""] * 20
    rows = subgroup_table({"site": site, "sex": sex}, auc_interval, [labels, scores])
    assert [(row.column, row.group, row.figure.n) for row in rows] == [
        ("site", "islands", 5), ("site", "north", 30), ("site", "south", 25),
        ("sex", "(not given)", 20), ("sex", "f", 20), ("sex", "m", 20),
    ]  # fmt: skip
    assert rows[1].figure == auc_interval(labels[:30], scores[:30])
    assert rows[0].figure.reason == "fewer than 10 patients"
    assert rows[0].figure.name == "AUC"


def test_group_is_small_by_its_patients() -> None:
    labels, scores = np.arange(40) % 2, np.linspace(0, 1, 40)
    (row,) = subgroup_table({"site": ["a"] * 40}, auc_interval, [labels, scores], patients=np.arange(40) // 5)
    assert (row.figure.value, row.figure.n) == (None, 40)
    assert row.figure.reason == "fewer than 10 patients"


def test_group_of_one_class_says_so() -> None:
    (row,) = subgroup_table({"site": ["a"] * 12}, auc_interval, [np.ones(12), np.arange(12)])
    assert row.figure.reason == "no case is negative (12 positive)"


def test_columns_must_have_a_value_a_case() -> None:
    with pytest.raises(ValueError, match="site: 2 values for 3 cases"):
        subgroup_table({"site": ["a", "b"]}, auc_interval, [[0, 1, 1], [1, 2, 3]])
