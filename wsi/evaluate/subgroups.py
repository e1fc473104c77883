"""The same figure for each site, scanner, sex or age: where a model is worse than its mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.binary import Bools, Patients, patient_index
from wsi.evaluate.figure import Figure
from wsi.evaluate.jackknife import Measure

LEAST = 10
"""Patients of a group below which it gets no figure: it would tell of persons, and nothing of the model."""


@dataclass(frozen=True, slots=True)
class Subgroup:
    """A group of cases by one column, and its figure."""

    column: str
    group: str
    figure: Figure


def subgroup_table(
    columns: Mapping[str, Sequence[str]], measure: Measure, arrays: Sequence[ArrayLike], *, patients: Patients = None
) -> tuple[Subgroup, ...]:
    """Return the figure of each group of each column, in alphabetic order; cases without a value are a group, too.

    Args:
        columns: `(n,)` texts by name.
        measure: makes the figure from arrays and the keyword `patients`, e.g. `auc_interval`.
        arrays: each `(n, ...)`.

    Groups of fewer than LEAST patients are listed, without a figure.
    """
    held = [np.asarray(one) for one in arrays]
    owner = patient_index(patients, len(held[0]))
    found = []
    for column, values in columns.items():
        groups = np.array([value.strip() or "(not given)" for value in values], object)
        if len(groups) != len(owner):
            raise ValueError(f"{column}: {len(groups)} values for {len(owner)} cases")
        for group in sorted(set(groups.tolist())):
            inside: Bools = groups == group
            some = len(np.unique(owner[inside]))
            if some < LEAST:
                reason = f"fewer than {LEAST} patients"
                figure = Figure.not_estimable(measure(*held, patients=owner).name, reason, n=int(inside.sum()))
            else:
                figure = measure(*(one[inside] for one in held), patients=owner[inside])
            found.append(Subgroup(column, group, figure))
    return tuple(found)
