"""A figure with its interval and its denominator, or the reason why there is none."""

import math
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a study: never bare, never a made-up 0.

    value None means not estimable, and `reason` says why. A value without `low` and `high` has no interval, and where
    one was asked for `reason` says why not.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    """The denominator: cases the figure is over."""
    reason: str = ""
    count: int | None = None
    """Of the `n`: those that the figure counts (hits of a share, positives of an AUC, events of a survival figure)."""
    patients: int | None = None
    """Patients that the cases come from; None: each case counts as a patient."""
    method: str = ""
    """How the interval was made."""

    def __post_init__(self) -> None:
        if any(number is not None and not math.isfinite(number) for number in (self.value, self.low, self.high)):
            raise ValueError(
                f"{self.name}: {self.value} ({self.low} to {self.high}) must be finite, or None with a reason"
            )
        if self.value is None and not self.reason:
            raise ValueError(f"{self.name}: a figure that isn't estimable says why")
        if (self.low is None) != (self.high is None) or (self.value is None and self.low is not None):
            raise ValueError(f"{self.name}: an interval has two ends and a value in it")

    @classmethod
    def not_estimable(cls, name: str, reason: str, *, n: int = 0, count: int | None = None) -> Self:
        """Return a figure without a value, and why."""
        return cls(name, None, n=n, reason=reason, count=count)

    @property
    def is_estimable(self) -> bool:
        return self.value is not None

    def called(self, name: str) -> Self:
        """Return the same figure under another name."""
        return replace(self, name=name)

    def text(self, digits: int = 3) -> str:
        """Return `0.812 (0.701 to 0.889)`, or `not estimable: ...`."""
        if self.value is None:
            return f"not estimable: {self.reason}"
        interval = (
            "" if self.low is None or self.high is None else f" ({self.low:.{digits}f} to {self.high:.{digits}f})"
        )
        return f"{self.value:.{digits}f}{interval}"

    @property
    def denominator(self) -> str:
        """`11 of 52`, with the patients where they are fewer."""
        cases = f"{self.n}" if self.count is None else f"{self.count} of {self.n}"
        return cases if self.patients in (None, self.n) else f"{cases}, {self.patients} patients"

    def __str__(self) -> str:
        return f"{self.name} {self.text()} [{self.denominator}]"
