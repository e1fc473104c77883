"""All that a study says: its figures, its subgroups, and how other models do on the same cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wsi.errors import UsageError
from wsi.evaluate.binary import Bools, Ints
from wsi.evaluate.binary_sheet import binary_contest, binary_measures, binary_sections
from wsi.evaluate.bootstrap import ROUNDS
from wsi.evaluate.class_sheet import class_contest, class_measures, class_sections, likeliest
from wsi.evaluate.compare import Comparison
from wsi.evaluate.number_sheet import number_contest, number_measures, number_sections
from wsi.evaluate.referral import ReferralRule
from wsi.evaluate.section import Section
from wsi.evaluate.study import Study
from wsi.evaluate.subgroups import Subgroup, subgroup_table
from wsi.evaluate.threshold import Threshold


@dataclass(frozen=True, slots=True)
class Contest:
    """Another model on the same cases: `other` has those that both predicted.

    without: cases that only one of the two predicted, which are in neither figure.
    """

    name: str
    other: Study
    without: int
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """threshold: of binary targets that were called by one. called `(n,)`: the place of the class each case was called; None without classes."""

    study: Study
    threshold: Threshold | None
    called: Ints | None
    sections: tuple[Section, ...]
    subgroups: tuple[Subgroup, ...]
    contests: tuple[Contest, ...]


def make_sheet(
    study: Study,
    *,
    threshold: Threshold | None = None,
    rule: ReferralRule | None = None,
    others: Mapping[str, Study] | None = None,
    rounds: int = ROUNDS,
) -> Sheet:
    """Return all figures of a study.

    Args:
        threshold: of a binary target; None: cases are called as the predictions say, else at 0.5, which nobody chose.
        rule: to refer cases, made from validation cases.
        others: what other models predicted, by name.
        rounds: draws of patients, where an interval is made of them.

    Raises:
        UsageError: the threshold or rule was made from patients of this study, or another model has other classes.
    """
    called: Ints | None = None
    if study.kind == "binary":
        positive, how, threshold = _calls(study, threshold)
        sections, measures = (
            binary_sections(study, positive, how, rule, rounds=rounds),
            binary_measures(study, positive),
        )
        called = positive.astype(np.int64)
    elif study.has_classes:
        threshold = None
        sections, measures = class_sections(study, rule, rounds=rounds), class_measures(study, rounds=rounds)
        called = likeliest(study)
    else:
        threshold = None
        sections, measures = number_sections(study, rounds=rounds), number_measures(study, rounds=rounds)
    subgroups = [
        row
        for measure, arrays in measures
        for row in subgroup_table(study.columns, measure, arrays, patients=study.patients)
    ]
    contests = tuple(_contest(study, name, other, rounds) for name, other in (others or {}).items())
    return Sheet(study, threshold, called, sections, tuple(subgroups), contests)


def _calls(study: Study, threshold: Threshold | None) -> tuple[Bools, str, Threshold | None]:
    """Return which cases are called positive, by what in words, and by which threshold."""
    if threshold is None and study.calls is not None:
        return study.calls == 1, f"Called {study.classes[1]} where the predictions say so.", None
    threshold = threshold or Threshold.stated(0.5, by="nobody: the middle")
    how = f"Called {study.classes[1]} at a probability of {threshold.value:.4g} or more ({threshold.rule})."
    return threshold.call(study.test()), how, threshold


def _contest(study: Study, name: str, other: Study, rounds: int) -> Contest:
    if (study.kind, study.classes) != (other.kind, other.classes):
        raise UsageError(
            f"{name}: predicts {other.kind} {', '.join(other.classes)}, the first model {study.kind} "
            f"{', '.join(study.classes)}; models are compared on the same classes"
        )
    predicted = set(other.cases)
    shared = [one for one in study.cases if one in predicted]
    if not shared:
        raise UsageError(f"{name}: none of its cases is among those of the first model")
    mine, theirs = _only(study, shared), _only(other, shared)
    if study.kind == "binary":
        found = binary_contest(mine, theirs, rounds=rounds)
    else:
        contest = class_contest if study.has_classes else number_contest
        found = contest(mine, theirs, rounds=rounds)
    return Contest(name, theirs, study.n + other.n - 2 * len(shared), found)


def _only(study: Study, cases: Sequence[str]) -> Study:
    """Return the study of these cases, in this order."""
    places = {one: at for at, one in enumerate(study.cases)}
    rows = [places[one] for one in cases]
    return replace(
        study,
        cases=tuple(cases),
        patients=tuple(study.patients[at] for at in rows),
        truth=study.truth[rows],
        outputs=study.outputs[rows],
        free=study.free[rows],
        calls=None if study.calls is None else study.calls[rows],
        columns={name: tuple(values[at] for at in rows) for name, values in study.columns.items()},
        rows=tuple(study.rows[at] for at in rows),
    )
