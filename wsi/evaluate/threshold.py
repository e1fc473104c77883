"""Where a probability becomes a yes: chosen on validation cases, or stated by whoever made the model."""

import re
from dataclasses import dataclass
from typing import Self

import numpy as np

from wsi.errors import UsageError
from wsi.evaluate.binary import Bools, Floats
from wsi.evaluate.figure import Figure
from wsi.evaluate.predictions import Test, Validation, need_validation, refuse_shared
from wsi.evaluate.proportion import sensitivity_specificity
from wsi.evaluate.roc import roc_curve

RULES = "youden, sensitivity>=0.95, specificity>=0.9"
_FLOOR = re.compile(r"(sensitivity|specificity)\s*>=\s*(0?\.\d+|0|1|1\.0*)")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A case is called positive when its probability is `value` or more. There is no way to fit one to test cases."""

    value: float
    rule: str
    """How it was chosen, or who stated it."""
    sensitivity: Figure
    """Reached on the validation cases; flattering there, for the threshold was chosen on them."""
    specificity: Figure
    chosen_on: frozenset[str] = frozenset()
    """Patients it was chosen on; empty when it was stated."""

    @classmethod
    def stated(cls, value: float, *, by: str) -> Self:
        """Return a threshold that somebody else chose: the model's card, a guideline, or 0.5 before any case was seen.

        Raises:
            UsageError: it isn't within 0-1.
        """
        if not 0 <= value <= 1:
            raise UsageError(f"a threshold is a probability from 0 to 1; {by} says {value}")
        reason = f"stated by {by}"
        return cls(
            value, reason, Figure.not_estimable("Sensitivity", reason), Figure.not_estimable("Specificity", reason)
        )

    def call(self, test: Test) -> Bools:
        """Return which test cases `(n,)` are called positive.

        Raises:
            UsageError: these aren't test cases, or are of patients that the threshold was chosen on.
        """
        if not isinstance(test, Test):
            raise UsageError(f"a threshold is used on Test predictions; these are {type(test).__name__}")
        refuse_shared(self.chosen_on, test, "the threshold")
        return np.asarray(test.probabilities[:, -1] >= self.value)


def choose_threshold(validation: Validation, *, rule: str = "youden") -> Threshold:
    """Return the threshold of validation cases that follows a rule, with what it reaches there.

    Args:
        rule: youden: the most of sensitivity + specificity; sensitivity>=X: the most specific that reaches X;
            specificity>=X: the most sensitive. It lies halfway to the next lower probability; of equals the more
            sensitive one is taken.

    Raises:
        UsageError: not validation cases, one class only, more than two classes, no such rule, or X can't be reached.
    """
    cases = need_validation(validation, "a threshold")
    if cases.kind != "binary":
        raise UsageError(f"a threshold is for a binary target; a {cases.kind} one takes the likeliest class")
    chances = cases.probabilities[:, 1]
    curve = roc_curve(cases.truth, chances)
    if curve.reason:
        raise UsageError(f"no threshold can be chosen on these validation cases: {curve.reason}")
    place = _chosen(curve.y[1:], 1 - curve.x[1:], rule)
    value = _halfway(float(curve.thresholds[1:][place]), float([*curve.thresholds[2:], 0.0][place]))
    reached = sensitivity_specificity(cases.truth, chances >= value, patients=cases.owners)
    return Threshold(value, rule, *reached, chosen_on=frozenset(cases.owners))


def check_rule(rule: str) -> str:
    """Return the rule of a threshold as it is.

    Raises:
        UsageError: there is no such rule.
    """
    if rule != "youden" and _FLOOR.fullmatch(rule.strip()) is None:
        raise UsageError(f"no rule {rule!r} for a threshold; expected one like {RULES}")
    return rule


def _halfway(at: float, below: float) -> float:
    """Return the middle of two neighboring probabilities; the upper one where no number lies between."""
    middle = (at + below) / 2
    return middle if below < middle else at


def _chosen(sensitivity: Floats, specificity: Floats, rule: str) -> int:
    """Return the place of the rule's choice; sensitivity rises and specificity falls along the places."""
    floor = _FLOOR.fullmatch(check_rule(rule).strip())
    if floor is None:
        gain = sensitivity + specificity
        return int(np.flatnonzero(gain >= gain.max() - 1e-12)[-1])
    least = float(floor[2]) - 1e-12
    if floor[1] == "sensitivity":
        return int(np.flatnonzero(sensitivity >= least)[0])
    reach = np.flatnonzero(specificity >= least)
    if not len(reach):
        raise UsageError(f"no threshold reaches {rule} on the validation cases; the most is {specificity.max():.3f}")
    return int(reach[-1])
