"""The cases of a study: truth and predictions side by side, and those that are in no figure, with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from wsi.errors import UsageError
from wsi.evaluate.binary import Floats
from wsi.evaluate.predictions import ClassKind, Test, Validation
from wsi.evaluate.question import StudyKind
from wsi.table import Row


@dataclass(frozen=True, slots=True)
class Account:
    """Cases that aren't in the figures, and why."""

    why: str
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """n cases with their truth and predictions.

    truth: `(n,)` place of the class, or the number; survival `(n, 2)` time and event. outputs: `(n, K)` probabilities
    or logits, `(n, 1)` the number or risk; free `(n, t)`: predicted share free of the event at `times`. columns: `(n,)`
    texts by name, for subgroups. rows: each case's line of predictions. notes: what a reader must know.
    """

    kind: StudyKind
    target: str
    classes: tuple[str, ...]
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    truth: Floats
    outputs: Floats
    logits: bool
    times: tuple[float, ...]
    free: Floats
    columns: Mapping[str, tuple[str, ...]]
    rows: tuple[Row, ...]
    left_out: tuple[Account, ...]
    notes: tuple[str, ...]
    calls: Floats | None = None
    """`(n,)` place of the class that the predictions call each case; None where they don't say."""
    unit: str = ""
    """Of survival's times: what their column is called."""

    @property
    def n(self) -> int:
        return len(self.cases)

    @property
    def has_classes(self) -> bool:
        return self.kind not in ("regression", "survival")

    def test(self) -> Test:
        """Return the cases as test predictions; UsageError when the target has no classes."""
        self._need_classes()
        return Test(cast(ClassKind, self.kind), self.truth, self.outputs, self.cases, self.patients, self._scale)

    def validation(self) -> Validation:
        """Return the cases as validation predictions, to choose on; UsageError when the target has no classes."""
        self._need_classes()
        return Validation(cast(ClassKind, self.kind), self.truth, self.outputs, self.cases, self.patients, self._scale)

    @property
    def _scale(self) -> Literal["logit", "probability"]:
        return "logit" if self.logits else "probability"

    def _need_classes(self) -> None:
        if not self.has_classes:
            raise UsageError(f"{self.target}: a {self.kind} target has no classes, so there is nothing to choose")
