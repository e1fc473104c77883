"""A plot with its title, legend and how to read it; and those that stand for every kind of target."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsi.evaluate.abstain import risk_coverage
from wsi.evaluate.binary import Bools, Floats
from wsi.evaluate.figure import Figure
from wsi.evaluate.sheet import Sheet
from wsi.evaluate.subgroups import Subgroup
from wsi.evaluate.svg import COLORS, INK, LINE, SOFT, Axes, Key, drawing, legend, line, write
from wsi.printable import html_text

_ROW, _HEAD = 26, 44
_NAME, _FIGURE = 170, 210
"""Px for a group's name, and for its figure in words."""
_WIDTH = 720
_LONGEST = 24
"""Letters of a name that a plot has room for."""


@dataclass(frozen=True, slots=True)
class Chart:
    """title and note are text, body is HTML."""

    title: str
    body: str
    note: str
    wide: bool = False


def missing(title: str, reason: str) -> Chart:
    """Return a chart that couldn't be drawn, with the reason in its place."""
    return Chart(title, f'<p class="none">Not estimable: {html_text(reason)}.</p>', "")


def abstain_chart(right: Bools, confidence: Floats) -> Chart:
    """Return risk over coverage."""
    curve = risk_coverage(right, confidence)
    if curve.area.value is None:
        return missing("Risk and coverage", curve.area.reason)
    top = _round_up(max(0.1, float(curve.risk.max())))
    axes = Axes((0, 1), (0, top), "Coverage: share of cases called, the surest first", "Risk: share called wrong")
    whole = float(curve.risk[-1])
    parts = [
        line(axes, [0, 1], [whole, whole], color=SOFT, dash="3 4", width=1.4),
        line(axes, curve.coverage, curve.risk, color=COLORS[0]),
    ]
    keys = [
        Key(f"Model, AURC {curve.area.text()}", COLORS[0]),
        Key(f"All cases called: {whole:.3f}", SOFT, "3 4"),
    ]
    about = f"Risk over coverage; {whole:.1%} of all cases are called wrong, AURC {curve.area.text()}"
    note = "A line that falls to the left says that the model knows when it doesn't know."
    return Chart("Risk and coverage", drawing(axes, parts, about=about) + legend(keys), note)


def confusion_chart(counts: np.ndarray, classes: Sequence[str]) -> Chart:
    """Return the confusion as a table of counts and shares of the true class, darker for larger shares."""
    sizes = counts.sum(axis=1)
    head = "".join(f'<th scope="col">{html_text(one)}</th>' for one in classes)
    rows = []
    for name, row, size in zip(classes, counts, sizes, strict=True):
        cells = "".join(_cell(int(count), int(size)) for count in row)
        rows.append(f'<tr><th scope="row">{html_text(name)}</th>{cells}<td class="sum">{size}</td></tr>')
    table = (
        '<div class="scroll"><table class="confusion"><thead><tr><th></th>'
        f'<th scope="colgroup" colspan="{len(classes)}">Called</th><th></th></tr>'
        f'<tr><th scope="col">True</th>{head}<th scope="col">Cases</th></tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>"
    )
    return Chart("Confusion", table, "Cases, and their share of the true class (rows sum to 100 %).")


def _cell(count: int, size: int) -> str:
    share = count / size if size else 0.0
    shade = [round(255 + share * (end - 255)) for end in (0, 84, 140)]
    ink = "#fff" if share > 0.45 else INK
    told = f"<small>{share:.0%}</small>" if size else ""
    return f'<td style="background:rgb({shade[0]},{shade[1]},{shade[2]});color:{ink}"><b>{count}</b>{told}</td>'


def subgroup_charts(sheet: Sheet) -> list[Chart]:
    """Return for each figure of the subgroups a chart with a row a group."""
    found: dict[str, list[Subgroup]] = {}
    for row in sheet.subgroups:
        found.setdefault(row.figure.name, []).append(row)
    return [_forest(name, rows) for name, rows in found.items()]


def _forest(name: str, rows: list[Subgroup]) -> Chart:
    ends = [end for row in rows for end in (row.figure.value, row.figure.low, row.figure.high) if end is not None] or [
        0.0,
        1.0,
    ]
    least, most = min(ends), max(ends)
    span = (float(np.floor(least * 4) / 4), 1.0) if 0 <= least < 1 and most <= 1 else (min(0.0, least), most)
    lines: list[tuple[str, Subgroup | None]] = []
    for column in dict.fromkeys(row.column for row in rows):
        lines.append((column, None))
        lines += [(row.group, row) for row in rows if row.column == column]
    height = _HEAD + _ROW * len(lines)
    parts = [_rule(span, tick, height) for tick in (span[0], (span[0] + span[1]) / 2, span[1])]
    for at, (text, row) in enumerate(lines):
        y = 30 + _ROW * at
        parts.append(_heading(text, y) if row is None else _row(row, y, span))
    about = f"{name} by subgroup: " + "; ".join(f"{row.column} {row.group} {row.figure.text()}" for row in rows)
    body = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{html_text(about)}">{"".join(parts)}</svg>'
    return Chart(f"{name} by subgroup", body, "Dots are values, lines 95 % intervals.", wide=True)


def _left(value: float, span: tuple[float, float]) -> float:
    share = (value - span[0]) / (span[1] - span[0])
    return _NAME + share * (_WIDTH - _NAME - _FIGURE - 20)


def _rule(span: tuple[float, float], tick: float, height: int) -> str:
    at = _left(tick, span)
    mark = write(at, height - 6, f"{tick:.3g}", anchor="middle", color=SOFT, kind="tick")
    return f'<path d="M{at:.1f} 14V{height - 22}" stroke="{LINE}"/>{mark}'


def _heading(text: str, y: float) -> str:
    return write(0, y + 4, short(text), color=SOFT, kind="strong")


def _row(row: Subgroup, y: float, span: tuple[float, float]) -> str:
    figure: Figure = row.figure
    parts = [write(12, y + 4, short(row.group))]
    if figure.value is None:
        reason = short(f"n = {figure.n}: {figure.reason}", 52)
        return "".join([*parts, write(_NAME, y + 4, reason, color=SOFT)])
    if figure.low is not None and figure.high is not None:
        low, high = _left(figure.low, span), _left(figure.high, span)
        parts.append(f'<path d="M{low:.1f} {y}H{high:.1f}" stroke="{COLORS[0]}" stroke-width="2.4"/>')
    parts.append(f'<circle cx="{_left(figure.value, span):.1f}" cy="{y}" r="5" fill="{COLORS[0]}"/>')
    told = f"{figure.text(2)}  n = {figure.n if figure.count is None else f'{figure.count}/{figure.n}'}"
    parts.append(write(_WIDTH - _FIGURE, y + 4, told, kind="tick"))
    return "".join(parts)


def short(text: str, longest: int = _LONGEST) -> str:
    """Return text cut to what a plot has room for."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _round_up(value: float) -> float:
    return float(np.ceil(value * 10 - 1e-9) / 10)
