"""Which cases a person must decide: a rule made from validation cases that keeps what it states."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import betaincinv

from wsi.errors import UsageError
from wsi.evaluate.binary import Bools, Floats, Ints, patient_index
from wsi.evaluate.figure import Figure
from wsi.evaluate.predictions import Predictions, Validation, need_validation, refuse_shared
from wsi.evaluate.proportion import share
from wsi.evaluate.threshold import Threshold

Method = Literal["conformal", "risk"]


@dataclass(frozen=True, slots=True)
class ReferralRule:
    """Refer a case unless exactly one class is likely enough.

    least: `(K,)` probability that a class needs to stay in the set of likely ones. Above 1: no case tells it enough.
    promise: what the rule keeps, in words; reason: why a case is referred.
    """

    method: Method
    least: tuple[float, ...]
    promise: str
    reason: str
    referred: Figure
    """Share of the validation cases that it refers."""
    chosen_on: frozenset[str]
    cut: float | None = None
    """Of two classes: the threshold by which cases are called. Who is called what the rule holds unlikely is referred."""

    def likely(self, predictions: Predictions) -> Bools:
        """Return which classes `(n, K)` each case may be of.

        Raises:
            UsageError: test cases of patients that the rule was made from, or another number of classes.
        """
        refuse_shared(self.chosen_on, predictions, "the referral rule")
        if predictions.classes != len(self.least):
            raise UsageError(
                f"the referral rule is for {len(self.least)} classes, these cases have {predictions.classes}"
            )
        return np.asarray(predictions.probabilities >= np.array(self.least))

    def refer(self, predictions: Predictions) -> Bools:
        """Return which cases `(n,)` a person must decide."""
        likely = self.likely(predictions)
        referred = likely.sum(axis=1) != 1
        if self.cut is not None:
            referred |= (predictions.probabilities[:, 1] >= self.cut) != likely[:, 1]
        return np.asarray(referred)

    def with_calls(self, threshold: Threshold, validation: Validation) -> "ReferralRule":
        """Return the rule for cases of two classes that are called by a threshold; `validation`: what it was made from.

        A threshold that is to miss few may call a case positive that the rule alone would let pass as negative.
        """
        cases, rule = need_validation(validation, "a referral rule"), replace(self, cut=threshold.value)
        return replace(rule, referred=share("Referred", rule.refer(cases), patients=cases.owners))

    @property
    def band(self) -> tuple[float, float] | None:
        """Probabilities of the positive class between which a case is referred; None unless there are two classes."""
        if len(self.least) != 2:
            return None
        ends = [max(0.0, 1 - self.least[0]), min(1.0, self.least[1])]
        ends += [] if self.cut is None else [self.cut]
        return min(ends), max(ends)


def fit_referral(
    validation: Validation,
    *,
    alpha: float = 0.1,
    method: Method = "conformal",
    by_class: bool = False,
    doubt: float = 0.1,
) -> ReferralRule:
    """Return a rule to refer cases to a person.

    Args:
        alpha: the share of error that is allowed.
        method: conformal: the set of likely classes holds the true one in 1 - alpha of patients' cases to come.
            risk: of patients that aren't referred at all, at most alpha have a wrong likeliest class.
        by_class: conformal only: keep 1 - alpha within each true class, too; a rare class needs its own 1 / alpha cases.
        doubt: risk only: the chance that validation cases were too kind for it to hold.

    Both count a patient once, however many cases it has, and ask that patients to come are like these.

    Raises:
        UsageError: not validation cases, labels missing, alpha outside 0-1, or no case of a class for `by_class`.

    Source: conformal: Sadinle et al. 2019 (LAC), Lee et al. 2023 (HCP) for patients with several cases. risk: Geifman
    and El-Yaniv 2017; Angelopoulos et al. 2021 (fixed sequence testing), with the bound of Clopper and Pearson 1934.
    """
    cases = need_validation(validation, "a referral rule")
    if not 0 < alpha < 1 or not 0 < doubt < 1:
        raise UsageError(f"alpha and doubt of a referral rule are shares between 0 and 1, found {alpha} and {doubt}")
    if method == "risk":
        least = (_risk_limit(cases, alpha, doubt),) * cases.classes
        promise = f"at most {alpha:.0%} of patients that are not referred are wrong, with {1 - doubt:.0%} confidence"
    else:
        least = _conformal_limits(cases, alpha, by_class=by_class)
        promise = f"the likely classes hold the true one in at least {1 - alpha:.0%} of cases" + (
            " of each class" if by_class else ""
        )
    reason = f"too unsure for one class alone at the {1 - alpha:.0%} level"
    chosen_on = frozenset(cases.owners)
    rule = ReferralRule(method, least, promise, reason, Figure.not_estimable("Referred", "not made yet"), chosen_on)
    referred = share("Referred", rule.refer(cases), patients=cases.owners)
    return ReferralRule(method, least, promise, reason, referred, chosen_on)


def _conformal_limits(cases: Validation, alpha: float, *, by_class: bool) -> tuple[float, ...]:
    truth, owner = cases.truth.astype(np.int64), patient_index(cases.owners, len(cases.cases))
    of_truth = cases.probabilities[np.arange(len(truth)), truth]
    if not by_class:
        return (_quantile(of_truth, owner, alpha),) * cases.classes
    if lacking := sorted(set(range(cases.classes)) - set(truth.tolist())):
        raise UsageError(f"a referral rule by class needs cases of each class; there is none of class {lacking[0]}")
    sides = [truth == k for k in range(cases.classes)]
    return tuple(_quantile(of_truth[side], owner[side], alpha) for side in sides)


def _quantile(of_truth: Floats, owner: Ints, alpha: float) -> float:
    """Return the probability that the true class of 1 - alpha of the patients to come has at least.

    Each patient weighs the same; one more that knows nothing stands for the patient to come. 0: too few patients
    to rule any class out.
    """
    patients = len(np.unique(owner))
    weights = 1 / np.bincount(owner)[owner] / (patients + 1)
    order = np.argsort(-of_truth, kind="stable")
    reached = np.cumsum(weights[order]) >= 1 - alpha - 1e-12
    return float(of_truth[order][np.argmax(reached)]) if reached.any() else 0.0


def _risk_limit(cases: Validation, alpha: float, doubt: float) -> float:
    """Return the confidence that a case needs not to be referred; above 1 when none is safe.

    Looks from the surest patient down and stops at the first limit whose risk may be above alpha.
    """
    chances, owner = cases.probabilities, patient_index(cases.owners, len(cases.cases))
    sure = np.full(owner.max() + 1, np.inf)
    np.minimum.at(sure, owner, chances.max(axis=1))  # a patient stays when all its cases do
    wrong = np.zeros(len(sure), bool)
    np.logical_or.at(wrong, owner, chances.argmax(axis=1) != cases.truth)
    order = np.argsort(-sure, kind="stable")
    kept = np.arange(1, len(sure) + 1)
    errors = np.cumsum(wrong[order])
    bound = np.where(errors < kept, betaincinv(errors + 1, np.maximum(kept - errors, 1), 1 - doubt), 1.0)
    last = np.append(np.diff(sure[order]) != 0, True)
    places = [k for k in np.flatnonzero(last) if kept[k] >= np.log(doubt) / np.log(1 - alpha)]
    limit = 2.0
    for place in places:
        if bound[place] > alpha:
            break
        limit = float(sure[order][place])
    return limit
