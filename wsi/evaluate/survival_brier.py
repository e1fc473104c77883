"""How near predicted survival curves come, over time: the Brier score weighted for censoring, and its mean."""

import numpy as np
from numpy.typing import ArrayLike

from wsi.evaluate.binary import Floats
from wsi.evaluate.figure import Figure
from wsi.evaluate.survival import Followed, Survival, censoring, followed


def survival_brier(times: ArrayLike, events: ArrayLike, *, survival: ArrayLike, at: ArrayLike) -> tuple[Figure, ...]:
    """Return the Brier score at each time.

    Args:
        times, events: `(n,)`.
        survival: `(n, t)` predicted share free of the event at each time of `at`.
        at: `(t,)`, rising.

    A case censored before a time is left out there, and those that remain weigh the more: an event at T by 1 / G(T-),
    a case still followed at t by 1 / G(t), with G the Kaplan-Meier curve of the censoring.

    Source: Graf et al. 1999, eq. 9-10.
    """
    cases, moments = followed(times, events), np.asarray(at, np.float64)
    curves = _checked(cases, survival, moments)
    free = None if cases.reason else censoring(cases.times, cases.events)
    found = []
    for moment, said in zip(moments, curves.T, strict=True):
        name = f"Brier score at {moment:g}"
        reason = _lack(cases, free, said, float(moment))
        if reason or free is None:
            found.append(cases.no(name, reason))
        else:
            value = _score(cases, free, said, float(moment))
            found.append(Figure(name, value, n=cases.n, count=int(cases.events.sum())))
    return tuple(found)


def integrated_brier(times: ArrayLike, events: ArrayLike, *, survival: ArrayLike, at: ArrayLike) -> Figure:
    """Return the mean of the Brier score over the time from the first to the last of `at`, by trapezoids.

    0 is best; a model that says 0.5 always gets 0.25. Source: Graf et al. 1999, eq. 11.
    """
    name, moments = "Brier score (integrated)", np.asarray(at, np.float64)
    cases = followed(times, events)
    if len(moments) < 2:
        return cases.no(name, "it takes two times or more")
    scores = survival_brier(times, events, survival=survival, at=at)
    if lone := next((one for one in scores if one.value is None), None):
        return cases.no(name, lone.reason)
    values = np.array([one.value for one in scores], np.float64)
    area = float(np.diff(moments) @ (values[1:] + values[:-1]) / 2 / (moments[-1] - moments[0]))
    return Figure(name, area, n=cases.n, count=int(cases.events.sum()))


def _checked(cases: Followed, survival: ArrayLike, moments: Floats) -> Floats:
    curves = np.asarray(survival, np.float64)
    if moments.ndim != 1 or curves.shape != (cases.n, len(moments)):
        raise ValueError(f"survival {curves.shape} must be ({cases.n}, {moments.size}), a column a time")
    if (np.diff(moments) <= 0).any():
        raise ValueError("times must rise")
    return curves


def _lack(cases: Followed, free: Survival | None, said: Floats, moment: float) -> str:
    if free is None:
        return cases.reason
    if wrong := int((~np.isfinite(said)).sum()):
        return f"{wrong} of {cases.n} predictions are not finite numbers"
    if moment > cases.times.max():
        return f"nobody was followed up to {moment:g} (the longest: {cases.times.max():g})"
    if not free.at(moment) > 0:
        return f"all cases are censored by {moment:g}"
    return ""


def _score(cases: Followed, free: Survival, said: Floats, moment: float) -> float:
    died, alive = cases.events & (cases.times <= moment), cases.times > moment
    lost = np.divide(said**2, free.before(cases.times), out=np.zeros_like(said), where=died)
    return float((lost + alive * (1 - said) ** 2 / free.at(moment)).mean())
