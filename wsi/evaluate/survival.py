"""Time to an event that not every case reaches: Kaplan-Meier, Harrell's and Uno's concordance.

times `(n,)` above or equal 0; events `(n,)` bool, False: censored, last seen alive at that time.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtri

from wsi.evaluate.binary import Bools, Floats, Ints, Patients, patient_index
from wsi.evaluate.figure import Figure

_TINY = 1e-12
"""A standard error below this is 0 but for rounding."""


@dataclass(frozen=True, slots=True)
class Followed:
    """times `(n,)` and events `(n,)`; where `reason` isn't empty they allow no figure."""

    times: Floats
    events: Bools
    reason: str

    @property
    def n(self) -> int:
        return len(self.times)

    def no(self, name: str, reason: str = "") -> Figure:
        """Return the figure `name` as not estimable."""
        return Figure.not_estimable(name, reason or self.reason, n=self.n, count=int(self.events.sum()))


def followed(times: ArrayLike, events: ArrayLike) -> Followed:
    """Return times and events in one form, and why they allow no figure.

    Raises:
        ValueError: shapes don't agree, an event isn't 0 or 1, or a time is negative.
    """
    t, e = np.asarray(times, np.float64), np.asarray(events, np.float64)
    if t.ndim != 1 or t.shape != e.shape:
        raise ValueError(f"times {t.shape} and events {e.shape} must be (n,) and agree")
    if wrong := set(np.unique(e[~np.isnan(e)])) - {0.0, 1.0}:
        raise ValueError(f"events must be 0 or 1, found {min(wrong):g}")
    if (t < 0).any():
        raise ValueError(f"times can't be negative, found {np.nanmin(t):g}")
    missing = int((~np.isfinite(t) | np.isnan(e)).sum())
    reason = (
        "there is no case" if not len(t) else f"{missing} of {len(t)} times or events are missing" if missing else ""
    )
    return Followed(t, e == 1, reason)


@dataclass(frozen=True, slots=True)
class Survival:
    """A step curve: from each of `times` `(k,)` on, `share` `(k,)` of the cases are free of the event.

    low, high `(k,)`: 95 % interval, by log-log (Kalbfleisch and Prentice 1980); NaN after the last is gone.
    at_risk, events `(k,)`: cases followed up to that time, and how many had the event then.
    """

    times: Floats
    share: Floats
    low: Floats
    high: Floats
    at_risk: Floats
    events: Floats

    def at(self, time: ArrayLike) -> Floats:
        """Return the share at a time or times."""
        return np.append(1.0, self.share)[np.searchsorted(self.times, time, side="right")]

    def before(self, time: ArrayLike) -> Floats:
        """Return the share just before a time or times."""
        return np.append(1.0, self.share)[np.searchsorted(self.times, time, side="left")]


def kaplan_meier(times: ArrayLike, events: ArrayLike, *, level: float = 0.95) -> Survival:
    """Return the share of cases free of the event over time.

    Raises:
        ValueError: there is no case, or times or events are missing.

    Source: Kaplan and Meier 1958; Greenwood 1926 for the variance.
    """
    cases = followed(times, events)
    if cases.reason:
        raise ValueError(cases.reason)
    at, died, _, risk = _counted(cases.times, cases.events)
    return _curve(at, died, risk, level)


def censoring(times: Floats, events: Bools) -> Survival:
    """Return the share of cases not yet censored over time; an event and a censoring at one time: the event is first."""
    at, died, left, risk = _counted(times, events)
    return _curve(at, left, risk - died, 0.95)


def _counted(times: Floats, events: Bools) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the distinct times and at each: those with the event, those censored, and those followed up to it."""
    at, place, sizes = np.unique(times, return_inverse=True, return_counts=True)
    died = np.bincount(place, events, minlength=len(at)).astype(np.float64)
    risk = np.cumsum(sizes[::-1])[::-1].astype(np.float64)
    return at, died, sizes - died, risk


def _curve(at: Floats, gone: Floats, risk: Floats, level: float) -> Survival:
    share = np.cumprod(1 - np.divide(gone, risk, out=np.zeros_like(gone), where=risk > 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(gone / (risk * (risk - gone)))
        width = float(ndtri((1 + level) / 2)) * np.sqrt(variance) / np.abs(np.log(share))
        low, high = share ** np.exp(width), share ** np.exp(-width)
    whole = share == 1
    return Survival(at, share, np.where(whole, 1.0, low), np.where(whole, 1.0, high), risk, gone)


def concordance(times: ArrayLike, events: ArrayLike, *, risk: ArrayLike, patients: Patients = None) -> Figure:
    """Return Harrell's C: of pairs whose order is known, the share in which the higher risk has the event first.

    Args:
        risk: `(n,)`, higher: the event is expected sooner. Equal risks count one half.
        patients: `(n,)`; the interval is of as many.

    A pair is known when the shorter time ends with an event; of equal times, when one ends with an event and the other
    doesn't. The interval is by the influence of each patient, on the logit scale.

    Source: Harrell et al. 1982; O'Quigley et al. 2005 for the influence.
    """
    return _concordance("C (Harrell)", followed(times, events), risk, patients)


def concordance_ipcw(
    times: ArrayLike, events: ArrayLike, *, risk: ArrayLike, patients: Patients = None, until: float | None = None
) -> Figure:
    """Return Uno's C: Harrell's with each pair weighted by 1 / G(t-)^2, so that it doesn't depend on the censoring.

    Args:
        until: only events before this time count; None: all do.

    G is the Kaplan-Meier curve of the censoring of these cases; its own uncertainty isn't in the interval.

    Source: Uno et al. 2011, eq. 6.
    """
    name, cases = "C (Uno)", followed(times, events)
    if cases.reason:
        return cases.no(name)
    if not cases.events.any():
        return cases.no(name, f"no case has the event (of {cases.n})")
    free = censoring(cases.times, cases.events).before(cases.times)
    counted = cases.events & (cases.times < (np.inf if until is None else until))
    weights = np.divide(1.0, free**2, out=np.zeros_like(free), where=counted & (free > 0))
    return _concordance(name, cases, risk, patients, weights)


def _concordance(
    name: str, cases: Followed, risk: ArrayLike, patients: Patients, weights: Floats | None = None
) -> Figure:
    scores = np.asarray(risk, np.float64)
    if scores.shape != cases.times.shape:
        raise ValueError(f"risk {scores.shape} must be ({cases.n},)")
    if cases.reason:
        return cases.no(name)
    if wrong := int((~np.isfinite(scores)).sum()):
        return cases.no(name, f"{wrong} of {cases.n} risks are not finite numbers")
    counted = np.ones(cases.n) if weights is None else weights
    ordered = order_pairs(cases, scores, counted)
    if not ordered.total:
        return cases.no(name, "no pair of cases has a known order")
    owner = patient_index(patients, cases.n)
    held = int(owner.max()) + 1
    value = ordered.value
    figure = Figure(name, value, n=cases.n, count=int(cases.events.sum()), patients=held)
    if held < 2:
        return replace(figure, reason="no interval: all cases are of one patient")
    influence = ordered.influence(owner)
    deviation = float(np.sqrt(influence @ influence * held / (held - 1)))
    if not 0 < value < 1 or deviation < _TINY:
        return replace(figure, reason="no interval: every known pair is in the same order")
    center, width = logit(value), float(ndtri(0.975)) * deviation / (value * (1 - value))
    low, high = float(expit(center - width)), float(expit(center + width))
    return replace(figure, low=low, high=high, method="influence of each patient, logit scale")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Weights of the known pairs that each case `(n,)` is in, and of those in the right order."""

    known: Floats
    right: Floats

    @property
    def total(self) -> float:
        """The weight of all known pairs; each is told at both its cases."""
        return float(self.known.sum()) / 2

    @property
    def value(self) -> float:
        """The share in the right order."""
        return float(self.right.sum()) / 2 / self.total

    def influence(self, owner: Ints) -> Floats:
        """Return by how much each patient moves the share."""
        return np.bincount(owner, self.right - self.value * self.known) / self.total


def order_pairs(cases: Followed, scores: Floats, weights: Floats) -> Pairs:
    """Return how the risks of cases `(n,)` order their known pairs; a pair weighs what its earlier case does."""
    known, right = np.zeros(cases.n), np.zeros(cases.n)
    for one in np.flatnonzero(cases.events & (weights > 0)):
        later = (cases.times > cases.times[one]) | ((cases.times == cases.times[one]) & ~cases.events)
        ordered = later * weights[one]
        agrees = ordered * ((scores[one] > scores) + 0.5 * (scores[one] == scores))
        for total, part in ((known, ordered), (right, agrees)):
            total += part
            total[one] += part.sum()
    return Pairs(known, right)
