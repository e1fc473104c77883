"""Figures under a heading, and the referral and interval figures that every kind of target shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsi.evaluate.abstain import risk_coverage
from wsi.evaluate.binary import Bools, Floats
from wsi.evaluate.bootstrap import bootstrap_interval
from wsi.evaluate.figure import Figure
from wsi.evaluate.predictions import Test
from wsi.evaluate.proportion import share
from wsi.evaluate.question import says_yes
from wsi.evaluate.referral import ReferralRule
from wsi.evaluate.study import Study

_KEPT = 0.8


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a sentence on how to read it, and its figures."""

    title: str
    note: str
    figures: tuple[Figure, ...]


def referral_sections(
    study: Study, test: Test, right: Bools, rule: ReferralRule | None, *, rounds: int
) -> tuple[Section, ...]:
    """Return what referring unsure cases to a person does: by a rule of validation cases, and as the predictions say.

    Args:
        right: `(n,)` which cases were called right.
        rounds: draws of patients.
    """
    found = [_abstaining(study, test.probabilities, right, rounds)]
    if rule is not None:
        known = ~np.isnan(study.truth)
        hits = rule.likely(test)[np.arange(study.n), np.where(known, study.truth, 0).astype(np.int64)]
        coverage = share("Coverage: the true class is among the likely ones", hits, patients=study.patients)
        note = f"Made on validation cases: {rule.promise}."
        found.append(Section("Referral by rule", note, (coverage, *_kept(study, right, rule.refer(test)))))
    said = [says_yes(row.values.get("refer", row.values.get("referred", ""))) for row in study.rows]
    if None not in said:
        refer = np.array(said, bool)
        note = "Cases whose line in the predictions says that a person must see them."
        found.append(Section("Referral as predicted", note, _kept(study, right, refer)))
    return tuple(found)


def _abstaining(study: Study, probabilities: Floats, right: Bools, rounds: int) -> Section:
    arrays = [right, probabilities.max(axis=1)]
    note = "Share of wrong calls when only the surest cases are called and the rest is left to a person."
    found = tuple(bootstrap_interval(one, arrays, patients=study.patients, rounds=rounds) for one in (_area, _risk))
    return Section("Abstaining", note, found)


def _area(right: Bools, confidence: Floats) -> Figure:
    return risk_coverage(right, confidence).area


def _risk(right: Bools, confidence: Floats) -> Figure:
    return risk_coverage(right, confidence).at(_KEPT)


def _kept(study: Study, right: Bools, refer: Bools) -> tuple[Figure, ...]:
    """Return the share referred, and of the rest the share called right."""
    patients = np.array(study.patients, object)
    return (
        share("Referred", refer, patients=study.patients),
        share("Right among those not referred", right[~refer], patients=patients[~refer]),
        share("Right among those referred", right[refer], patients=patients[refer]),
    )


def named(figures: Sequence[Figure], names: Sequence[str]) -> tuple[Figure, ...]:
    """Return the figures under other names."""
    return tuple(figure.called(name) for figure, name in zip(figures, names, strict=True))
