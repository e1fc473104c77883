"""How often the 95 % intervals hold the true figure, over simulated studies whose patients have several cases.

    python scripts/bench/coverage.py [--studies 1000] [--json FILE]

The true figure of a design is known in closed form (AUC, sensitivity) or from a million simulated cases. Bounds are
those of an honest interval: 93 to 97 % of the studies. Intervals that take each case for a patient are shown beside.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from form import Claim, arguments, close, table
from numpy.typing import NDArray
from scipy.stats import norm

from wsi.evaluate import (
    Figure,
    auc_interval,
    average_precision,
    balanced_accuracy,
    bootstrap_interval,
    concordance,
    jackknife_interval,
    kappa,
    sensitivity_specificity,
)

LEAST, MOST = 0.93, 0.97
DRAWS = 500
"""Of the bootstrap: fewer than the command's, for there are a thousand studies."""
CUT = 0.8


@dataclass(frozen=True, slots=True)
class Design:
    """patients with 1 to `most` cases; icc: the share of the scores' variance that cases of a patient have in common."""

    patients: int
    most: int
    icc: float
    share: float = 0.35
    distance: float = 1.2

    def __str__(self) -> str:
        return f"{self.patients} patients, 1-{self.most} cases, icc {self.icc:g}"


@dataclass(frozen=True, slots=True)
class Study:
    """labels, scores, owner, times and events, each `(n,)`."""

    labels: NDArray[np.bool_]
    scores: NDArray[np.float64]
    owner: NDArray[np.int64]
    times: NDArray[np.float64]
    events: NDArray[np.bool_]


Judge = Callable[[Study, bool], Figure]
DESIGNS = (Design(150, 1, 0.0), Design(60, 4, 0.5), Design(100, 3, 0.3), Design(120, 6, 0.8))


def draw(design: Design, rng: np.random.Generator) -> Study:
    """Return a study in which all cases of a patient have its label."""
    owner = np.repeat(np.arange(design.patients), rng.integers(1, design.most + 1, design.patients))
    n = len(owner)
    labels = (rng.random(design.patients) < design.share)[owner]
    noise = rng.normal(size=design.patients)[owner] * np.sqrt(design.icc) + rng.normal(size=n) * np.sqrt(1 - design.icc)
    scores = noise + design.distance * labels
    death = rng.exponential(np.exp(-0.7 * scores))
    leave = rng.exponential(1.0, n)
    return Study(labels, scores, owner, np.minimum(death, leave), death <= leave)


def by_bootstrap(measure: Callable[..., Figure]) -> Judge:
    def judge(study: Study, clustered: bool) -> Figure:
        patients = study.owner if clustered else None
        return bootstrap_interval(measure, [study.labels, study.scores >= CUT], patients=patients, rounds=DRAWS)

    return judge


JUDGES: dict[str, Judge] = {
    "AUC": lambda s, by: auc_interval(s.labels, s.scores, patients=s.owner if by else None),
    "sensitivity": lambda s, by: sensitivity_specificity(s.labels, s.scores >= CUT, patients=s.owner if by else None)[
        0
    ],
    "specificity": lambda s, by: sensitivity_specificity(s.labels, s.scores >= CUT, patients=s.owner if by else None)[
        1
    ],
    "C (Harrell)": lambda s, by: concordance(s.times, s.events, risk=s.scores, patients=s.owner if by else None),
    "AUPRC": lambda s, by: jackknife_interval(
        average_precision, [s.labels, s.scores], patients=s.owner if by else None
    ),
    "balanced accuracy": by_bootstrap(balanced_accuracy),
    "kappa": by_bootstrap(kappa),
}


def truth(name: str, design: Design) -> float:
    """Return the figure of endlessly many patients."""
    known = {
        "AUC": norm.cdf(design.distance / np.sqrt(2)),
        "sensitivity": norm.sf(CUT - design.distance),
        "specificity": norm.cdf(CUT),
    }
    if name in known:
        return float(known[name])
    many = Design(4000, 1, 0.0, design.share, design.distance)
    studies = [draw(many, np.random.default_rng(10_000 + seed)) for seed in range(40)]
    return float(np.mean([_value(name, study) for study in studies]))


def _value(name: str, study: Study) -> float:
    called = study.scores >= CUT
    if name == "C (Harrell)":
        figure = concordance(study.times, study.events, risk=study.scores)
    elif name == "AUPRC":
        figure = average_precision(study.labels, study.scores)
    elif name == "balanced accuracy":
        figure = balanced_accuracy(study.labels, called)
    else:
        figure = kappa(study.labels, called)
    return figure.value or 0.0


def covered(judge: Judge, value: float, design: Design, studies: int, *, clustered: bool) -> tuple[float, float, int]:
    """Return the share of studies whose interval holds the value, its mean width, and how many had none."""
    held = []
    for seed in range(studies):
        figure = judge(draw(design, np.random.default_rng(seed)), clustered)
        if figure.low is not None and figure.high is not None:
            held.append((figure.low <= value <= figure.high, figure.high - figure.low))
    inside, width = np.mean(held, axis=0)
    return float(inside), float(width), studies - len(held)


def rows(studies: int) -> Iterator[tuple[tuple[object, ...], float]]:
    for name, judge in JUDGES.items():
        slow = name in ("balanced accuracy", "kappa")
        for design in DESIGNS:
            value = truth(name, design)
            count = studies // 2 if slow else studies
            inside, width, lost = covered(judge, value, design, count, clustered=True)
            naive = (
                "" if slow or design.most == 1 else f"{covered(judge, value, design, count, clustered=False)[0]:.1%}"
            )
            yield (name, design, f"{value:.3f}", f"{inside:.1%}", naive, f"{width:.3f}", count, lost), inside


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies a design")
    given = parser.parse_args()
    told = list(rows(given.studies))
    head = ("figure", "design", "true", "held", "each case a patient", "mean width", "studies", "without interval")
    print(table(head, [row for row, _ in told]))
    claims = []
    for name in JUDGES:
        inside = [share for row, share in told if row[0] == name]
        claims += [
            Claim(f"{name}: intervals that miss, worst design", 1 - min(inside), 1 - LEAST),
            Claim(f"{name}: intervals that hold, widest design", max(inside), MOST),
        ]
    close(claims, given.json)


if __name__ == "__main__":
    main()
