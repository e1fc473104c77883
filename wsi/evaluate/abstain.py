"""What is won by leaving the unsure cases to a person: risk over coverage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.binary import Floats, binary
from wsi.evaluate.figure import Figure


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Share of wrong calls `risk` `(n,)` among the surest cases that make up `coverage` `(n,)` of all.

    area: its mean over all coverages (AURC), 0 is best. Arrays are empty where `area` isn't estimable.
    """

    coverage: Floats
    risk: Floats
    area: Figure

    def at(self, coverage: float) -> Figure:
        """Return the risk among the surest `coverage` of the cases, rounded up to whole cases."""
        name = f"Risk at {coverage:.0%} coverage"
        if self.area.value is None:
            return Figure.not_estimable(name, self.area.reason, n=self.area.n)
        kept = int(np.ceil(coverage * len(self.risk) - 1e-9))
        if not 0 < kept <= len(self.risk):
            raise ValueError(f"coverage is a share above 0, at most 1, found {coverage}")
        return Figure(name, float(self.risk[kept - 1]), n=kept)


def risk_coverage(right: ArrayLike, confidence: ArrayLike) -> RiskCoverage:
    """Return the curve of risk over coverage, the surest cases first.

    Args:
        right: `(n,)` bool: the case was called right.
        confidence: `(n,)`, higher is surer. Among equals the errors count evenly, whatever their order.

    Source: El-Yaniv and Wiener 2010; AURC: Geifman et al. 2019, eq. 1.
    """
    cases = binary(right, confidence, both=False)
    if cases.reason:
        return RiskCoverage(np.empty(0), np.empty(0), cases.no("AURC"))
    distinct, group, sizes = np.unique(-cases.scores, return_inverse=True, return_counts=True)
    wrong = np.bincount(group, ~cases.labels, minlength=len(distinct)) / sizes
    errors = np.cumsum(np.repeat(wrong, sizes))
    kept = np.arange(1, cases.n + 1)
    risk = errors / kept
    area = Figure("AURC", float(risk.mean()), n=cases.n, count=cases.n - cases.positives)
    return RiskCoverage(kept / cases.n, risk, area)
