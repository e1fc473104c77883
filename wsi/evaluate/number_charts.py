"""The plots of numbers and of times to an event: scatter, error over size, Kaplan-Meier, Brier score over time."""

import numpy as np

from wsi.evaluate.binary import Bools, Floats
from wsi.evaluate.chart import Chart
from wsi.evaluate.sheet import Sheet
from wsi.evaluate.study import Study
from wsi.evaluate.survival import Survival, kaplan_meier
from wsi.evaluate.survival_brier import survival_brier
from wsi.evaluate.svg import (
    COLORS,
    DASHES,
    SOFT,
    Axes,
    Key,
    band,
    dots,
    drawing,
    legend,
    line,
    steps,
    ticks,
    write,
)

_ROW = 18


def number_charts(sheet: Sheet) -> list[Chart]:
    """Return the plots of a target without classes."""
    study = sheet.study
    if study.kind == "regression":
        return [_scatter(study), _residuals(study)]
    return [_kaplan_meier(study), *_brier(study)]


def _scatter(study: Study) -> Chart:
    truth, said = study.truth, study.outputs[:, 0]
    span = _span(np.concatenate([truth, said]))
    axes = Axes(span, span, f"True {study.target}", f"Predicted {study.target}")
    parts = [
        line(axes, span, span, color=SOFT, dash="3 4", width=1.4),
        dots(axes, truth, said, color=COLORS[0], radius=3.5),
    ]
    keys = [Key("Case", COLORS[0], dot=True), Key("As it should be", SOFT, "3 4")]
    about = f"Predicted over true {study.target} of {study.n} cases"
    return Chart("Predicted and true", drawing(axes, parts, about=about) + legend(keys), "A dot a case.")


def _residuals(study: Study) -> Chart:
    said, error = study.outputs[:, 0], study.outputs[:, 0] - study.truth
    most = float(np.abs(error).max()) or 1.0
    axes = Axes(_span(said), (-1.1 * most, 1.1 * most), f"Predicted {study.target}", "Predicted - true")
    bias = float(error.mean())
    parts = [
        line(axes, axes.x, [0, 0], color=SOFT, dash="3 4", width=1.4),
        line(axes, axes.x, [bias, bias], color=COLORS[1], dash=DASHES[1], width=1.8),
        dots(axes, said, error, color=COLORS[0], radius=3.5),
    ]
    keys = [Key("Case", COLORS[0], dot=True), Key(f"Mean error: {bias:.3g}", COLORS[1], DASHES[1])]
    note = "Dots that lean or fan out say where predictions are too high, too low or unsteady."
    about = f"Error over predicted {study.target}; mean error {bias:.3g}"
    return Chart("Errors", drawing(axes, parts, about=about) + legend(keys), note)


def _kaplan_meier(study: Study) -> Chart:
    times, events, risk = study.truth[:, 0], study.truth[:, 1] == 1, study.outputs[:, 0]
    high: Bools = risk > np.median(risk)
    groups = {"lower risk": ~high, "higher risk": high} if high.any() and (~high).any() else {"all": ~high}
    last = float(times.max()) or 1.0
    at = ticks(0, last)
    axes = Axes((0, last), (0, 1), f"Time ({study.unit})", "Share free of the event", x_ticks=at, below=_ROW * 4 - 8)
    parts, keys, told = [], [], []
    for place, (name, inside) in enumerate(groups.items()):
        curve = kaplan_meier(times[inside], events[inside])
        parts += _curve(axes, curve, times[inside], events[inside], last, place)
        parts += _at_risk(axes, times[inside], at, name, place)
        keys.append(
            Key(f"{name}: {int(events[inside].sum())} events of {int(inside.sum())}", COLORS[place], DASHES[place])
        )
        told.append(f"{name} {float(curve.at(last)):.2f}")
    parts.append(write(4, axes.height + 14, "At risk", color=SOFT, kind="strong"))
    about = "Kaplan-Meier curves; share free of the event at the end: " + ", ".join(told)
    note = (
        "Halves of these cases by predicted risk, with 95 % bands; small lines mark censored cases. The halves are made "
        "from the cases shown, so they tell the order of risks and are no threshold."
    )
    return Chart("Kaplan-Meier", drawing(axes, parts, about=about) + legend(keys), note)


def _curve(axes: Axes, curve: Survival, times: Floats, events: Bools, last: float, place: int) -> list[str]:
    color = COLORS[place]
    x = np.concatenate([[0.0], curve.times, [last]])
    y = np.concatenate([[1.0], curve.share, curve.share[-1:]])
    low, high = (np.concatenate([[1.0], one, one[-1:]]) for one in (curve.low, curve.high))
    ticked = "".join(
        f'<path d="M{float(axes.left(one)):.1f} {float(axes.top(curve.at(one))) - 4:.1f}v8" stroke="{color}"/>'
        for one in np.unique(times[~events])
    )
    return [band(axes, x, low, high, color=color), steps(axes, x, y, color=color, dash=DASHES[place]), ticked]


def _at_risk(axes: Axes, times: Floats, at: tuple[float, ...], name: str, place: int) -> list[str]:
    y = axes.height + 14 + _ROW * place
    counts = [
        write(
            float(axes.left(one)),
            y + 15,
            f"{int((times >= one).sum())}",
            anchor="middle",
            color=COLORS[place],
            kind="tick",
        )
        for one in at
    ]
    return [write(4, y + 15, name.split()[0], color=COLORS[place], kind="tick"), *counts]


def _brier(study: Study) -> list[Chart]:
    if not study.times:
        return []
    found = survival_brier(study.truth[:, 0], study.truth[:, 1], survival=study.free, at=study.times)
    known = [(time, one.value) for time, one in zip(study.times, found, strict=True) if one.value is not None]
    if len(known) < 2:
        return []
    x, y = zip(*known, strict=True)
    axes = Axes((min(x), max(x)), (0, max(0.3, *y)), f"Time ({study.unit})", "Brier score")
    parts = [
        line(axes, [x[0], x[-1]], [0.25, 0.25], color=SOFT, dash="3 4", width=1.4),
        line(axes, x, y, color=COLORS[0]),
        dots(axes, x, y, color=COLORS[0]),
    ]
    keys = [Key("Model", COLORS[0]), Key("Always saying 0.5", SOFT, "3 4")]
    about = "Brier score over time: " + ", ".join(f"{a:g} {b:.3f}" for a, b in known)
    return [Chart("Brier score over time", drawing(axes, parts, about=about) + legend(keys), "Lower is better.")]


def _span(values: Floats) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = (high - low or 1.0) * 0.05
    return low - room, high + room
