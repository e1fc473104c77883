"""Plots drawn as plain SVG: axes, lines, bands and dots. No script, no font, nothing from elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wsi.printable import html_text

COLORS = ("#0072B2", "#D55E00", "#009E73", "#AA3377", "#8C6D00", "#56B4E9", "#4D4D4D", "#882255")
"""Told apart by every kind of color vision (after Okabe and Ito 2008); dashes say the same again."""
DASHES = ("", "7 4", "2 4", "9 3 2 3", "12 4", "4 2", "1 3", "10 2 4 2")
INK, SOFT, LINE = "#17202a", "#53606d", "#d9dee4"
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 16, 12, 50


@dataclass(frozen=True, slots=True)
class Axes:
    """Where numbers lie on the drawing: x and y are (lowest, highest), width and height in px of the whole plot."""

    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str
    width: int = 440
    height: int = 380
    x_ticks: tuple[float, ...] = ()
    y_ticks: tuple[float, ...] = ()
    below: int = 0
    """Further px below the axis, for a table of numbers."""

    def left(self, x: ArrayLike) -> np.ndarray:
        """Return px from the left."""
        share = (np.asarray(x, np.float64) - self.x[0]) / (self.x[1] - self.x[0])
        return _LEFT + share * (self.width - _LEFT - _RIGHT)

    def top(self, y: ArrayLike) -> np.ndarray:
        """Return px from the top."""
        share = (np.asarray(y, np.float64) - self.y[0]) / (self.y[1] - self.y[0])
        return self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM)


@dataclass(frozen=True, slots=True)
class Key:
    """One line of a plot's legend."""

    text: str
    color: str
    dash: str = ""
    dot: bool = False


def drawing(axes: Axes, parts: Iterable[str], *, about: str) -> str:
    """Return the plot as an SVG; about: what it shows, for those who can't see it."""
    height = axes.height + axes.below
    return (
        f'<svg viewBox="0 0 {axes.width} {height}" role="img" aria-label="{html_text(about)}">'
        f"{_frame(axes)}{''.join(parts)}</svg>"
    )


def legend(keys: Sequence[Key]) -> str:
    """Return the legend as HTML, to stand below the plot."""
    items = "".join(f"<li>{_swatch(key)}<span>{html_text(key.text)}</span></li>" for key in keys)
    return f'<ul class="legend">{items}</ul>'


def _swatch(key: Key) -> str:
    mark = (
        f'<circle cx="14" cy="6" r="4.5" fill="{key.color}"/>'
        if key.dot
        else f'<path d="M0 6H28" stroke="{key.color}" stroke-width="3" stroke-dasharray="{key.dash}"/>'
    )
    return f'<svg class="swatch" viewBox="0 0 28 12" aria-hidden="true">{mark}</svg>'


def line(axes: Axes, x: ArrayLike, y: ArrayLike, *, color: str, dash: str = "", width: float = 2.4) -> str:
    """Return a line through points; one that leaves the axes is cut off at them."""
    path = _path(axes, np.asarray(x, np.float64), np.asarray(y, np.float64))
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"{dashed}/>'


def steps(axes: Axes, x: ArrayLike, y: ArrayLike, *, color: str, dash: str = "") -> str:
    """Return a line that keeps each y until the next x."""
    at, level = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return line(axes, np.repeat(at, 2)[1:], np.repeat(level, 2)[:-1], color=color, dash=dash)


def band(axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, *, color: str) -> str:
    """Return the area between two step lines; nothing where one is NaN."""
    at, lower, upper = (np.asarray(one, np.float64) for one in (x, low, high))
    known = ~np.isnan(lower) & ~np.isnan(upper)
    at, lower, upper = (np.repeat(one[known], 2) for one in (at, lower, upper))
    if len(at) < 4:
        return ""
    there = _path(axes, at[1:], upper[:-1])
    back = _path(axes, at[1:][::-1], lower[:-1][::-1]).replace("M", "L", 1)
    return f'<path d="{there}{back}Z" fill="{color}" opacity=".16"/>'


def dots(axes: Axes, x: ArrayLike, y: ArrayLike, *, color: str, radius: float = 4.5) -> str:
    """Return a dot at each point."""
    return "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{radius}" fill="{color}" stroke="#fff" stroke-width="1"/>'
        for a, b in zip(np.atleast_1d(axes.left(x)), np.atleast_1d(axes.top(y)), strict=True)
    )


def whiskers(axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, *, color: str) -> str:
    """Return an upright line from low to high at each x."""
    return "".join(
        f'<path d="M{a:.1f} {b:.1f}V{c:.1f}" stroke="{color}" stroke-width="1.6"/>'
        for a, b, c in zip(axes.left(x), axes.top(low), axes.top(high), strict=True)
    )


def write(x: float, y: float, text: str, *, anchor: str = "start", color: str = INK, kind: str = "") -> str:
    """Return text at px; anchor: start, middle or end."""
    said = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"{said}>{html_text(text)}</text>'


def _path(axes: Axes, x: np.ndarray, y: np.ndarray) -> str:
    low, high = axes.y
    points = zip(axes.left(x), axes.top(np.clip(y, low, high)), strict=True)
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)


def _frame(axes: Axes) -> str:
    left, right = float(axes.left(axes.x[0])), float(axes.left(axes.x[1]))
    top, bottom = float(axes.top(axes.y[1])), float(axes.top(axes.y[0]))
    parts = []
    for tick in axes.y_ticks or ticks(*axes.y):
        at = float(axes.top(tick))
        parts.append(f'<path d="M{left} {at:.1f}H{right}" stroke="{LINE}"/>')
        parts.append(write(left - 7, at + 4, f"{tick:g}", anchor="end", color=SOFT, kind="tick"))
    for tick in axes.x_ticks or ticks(*axes.x):
        at = float(axes.left(tick))
        parts.append(f'<path d="M{at:.1f} {bottom}v5" stroke="{SOFT}"/>')
        parts.append(write(at, bottom + 19, f"{tick:g}", anchor="middle", color=SOFT, kind="tick"))
    parts.append(f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="{SOFT}"/>')
    parts.append(write((left + right) / 2, axes.height - 9, axes.x_label, anchor="middle"))
    middle = (top + bottom) / 2
    parts.append(
        f'<text x="15" y="{middle:.1f}" text-anchor="middle" fill="{INK}" transform="rotate(-90 15 {middle:.1f})">'
        f"{html_text(axes.y_label)}</text>"
    )
    return "".join(parts)


def ticks(low: float, high: float) -> tuple[float, ...]:
    """Return 4 to 8 round numbers from low to high."""
    span = high - low
    power = 10.0 ** np.floor(np.log10(span / 4))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if span / (power * k) <= 7)
    first = np.ceil(low / step - 1e-9) * step
    return tuple(round(float(one), 10) + 0.0 for one in np.arange(first, high + step * 1e-6, step))
