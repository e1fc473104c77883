"""What a model said of cases whose truth is known; validation and test cases are two types.

Whatever is chosen (a threshold, a temperature, a rule to refer) is made from `Validation` and used on `Test`: the
functions that choose take nothing else, what they return remembers its patients, and refuses test cases of these.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from scipy.special import expit, softmax

from wsi.errors import UsageError
from wsi.evaluate.binary import Floats

ClassKind = Literal["binary", "multiclass", "ordinal"]
"""Of classes; each label of a multilabel target is a binary one."""
_TINY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Predictions:
    """Outputs and truth of n cases. Make a `Validation` or a `Test`, not this.

    truth: `(n,)` place of the true class, 0 to K - 1; NaN: not known.
    outputs: logits `(n, C)` as a head gives them (binary 1, multiclass K, ordinal K - 1: the log odds of being above
        each grade but the last), or probabilities `(n, K)`.
    patients: `(n,)`; empty: each case is a patient of its own.
    """

    kind: ClassKind
    truth: Floats
    outputs: Floats
    cases: tuple[str, ...]
    patients: tuple[str, ...] = ()
    scale: Literal["logit", "probability"] = "logit"

    def __post_init__(self) -> None:
        n = len(self.cases)
        if self.truth.shape != (n,) or self.outputs.ndim != 2 or len(self.outputs) != n:
            raise ValueError(
                f"truth {self.truth.shape} and outputs {self.outputs.shape} must be (n,), (n, C) of {n} cases"
            )
        if len(self.patients) not in (0, n):
            raise ValueError(f"{len(self.patients)} patients for {n} cases")
        if self.outputs.shape[1] < (1 if self.scale == "logit" and self.kind != "multiclass" else 2):
            raise ValueError(f"{self.outputs.shape[1]} {self.scale} outputs are too few for a {self.kind} target")
        if self.kind == "binary" and self.classes != 2:
            raise ValueError(f"a binary target has 2 classes, found {self.classes}")

    @property
    def owners(self) -> tuple[str, ...]:
        """The patient of each case; the case itself where it isn't known."""
        return self.patients or self.cases

    @property
    def classes(self) -> int:
        """K."""
        return int(self.outputs.shape[1]) + (self.scale == "logit" and self.kind != "multiclass")

    @property
    def logits(self) -> Floats:
        """`(n, C)`; of probabilities 0 and 1: those of the nearest number that has one."""
        if self.scale == "logit":
            return self.outputs
        if self.kind == "multiclass":
            return np.log(np.clip(self.outputs, _TINY, None))
        above = np.cumsum(self.outputs[:, ::-1], axis=1)[:, -2::-1]  # (n, K - 1)
        return log_odds(above)

    @property
    def probabilities(self) -> Floats:
        """`(n, K)`, rows sum to 1."""
        if self.scale == "probability":
            return self.outputs
        if self.kind == "multiclass":
            return np.asarray(softmax(self.outputs, axis=1))
        above = expit(np.minimum.accumulate(self.outputs, axis=1))
        below = expit(-np.minimum.accumulate(self.outputs, axis=1))
        return np.concatenate([below[:, :1], above[:, :-1] - above[:, 1:], above[:, -1:]], axis=1)

    @property
    def score(self) -> Floats:
        """`(n,)` how positive a case looks, as exactly as it was given: binary the second class, ordinal the mean grade."""
        if self.kind == "binary":
            return self.outputs[:, -1]
        return self.probabilities @ np.arange(self.classes)

    def with_logits(self, logits: Floats) -> Self:
        """Return the same cases with other outputs."""
        return replace(self, outputs=logits, scale="logit")


class Validation(Predictions):
    """Cases that a decision may be made from: none of them trains the model, none is ever reported on."""

    __slots__ = ()


class Test(Predictions):
    """Cases that nothing was chosen on: the only ones that figures are made of."""

    __slots__ = ()
    __test__ = False  # no test of pytest's


def log_odds(probabilities: Floats) -> Floats:
    """Return log(p / (1 - p)), finite: 0 and 1 give what the nearest number gives."""
    clipped = np.clip(probabilities, _TINY, 1 - _TINY)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def need_validation(given: Predictions, what: str) -> Validation:
    """Return `given` when it is of validation cases with known truth.

    Raises:
        UsageError: it isn't.
    """
    if not isinstance(given, Validation):
        raise UsageError(f"{what} is made from Validation predictions only; these are {type(given).__name__}")
    if not given.cases:
        raise UsageError(f"{what}: there is no validation case")
    if wrong := int((~np.isfinite(given.outputs)).any(axis=1).sum()):
        raise UsageError(f"{what}: {wrong} of {len(given.cases)} validation cases have an output that isn't a number")
    known = np.isin(given.truth, np.arange(given.classes))
    if lost := int((~known).sum()):
        raise UsageError(f"{what}: {lost} of {len(given.cases)} validation cases have no label that the model knows")
    return given


def refuse_shared(chosen_on: frozenset[str], used_on: Predictions, what: str) -> None:
    """Refuse test cases of patients that a decision was made from.

    Raises:
        UsageError: names some of them.
    """
    if isinstance(used_on, Test) and (shared := chosen_on.intersection(used_on.owners)):
        some = ", ".join(sorted(shared)[:3]) + (", ..." if len(shared) > 3 else "")
        raise UsageError(
            f"{what} was made from {len(shared)} of the patients that it is now tested on ({some}); give it others"
        )
