"""The part of heatmap.png below the slide: the verdict in words, and what the colors mean."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from wsi.export.ink import BLACK, GRAY, WHITE, Color, write
from wsi.export.words import area, notice, referral, verdict
from wsi.printable import figure, printable
from wsi.results import Result

REFER_COLOR: Color = (164, 52, 0)
_MARGIN, _PANEL, _KEY, _NARROWEST = 28, 196, 430, 1000
_WHOLE = 1600
"""Lengths above are px of a picture of this size."""


@dataclass(frozen=True, slots=True)
class Key:
    """What the colors and lines mean.

    ramp `(256, 3)`, its title, where the threshold lies on it (None: nowhere), lines with their meaning; low and high:
    the numbers at the ramp's ends.
    """

    ramp: NDArray[np.uint8]
    title: str
    threshold: float | None
    rows: tuple[tuple[Color, str], ...]
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Unit:
    """Turns lengths on a picture of 1600 px into lengths on one of `longest` px."""

    longest: int

    def exact(self, length: float) -> float:
        return length * self.longest / _WHOLE

    def px(self, length: float) -> int:
        return round(self.exact(length))

    def picture(self, width: float, height: float) -> tuple[int, int]:
        """Return the px that a slide of these sides gets."""
        wide, high = self.longest - 2 * self.px(_MARGIN), self.longest - 2 * self.px(_MARGIN) - self.px(_PANEL)
        factor = min(wide / width, high / height)
        return max(1, round(width * factor)), max(1, round(height * factor))

    def sheet(self, picture: tuple[int, int]) -> tuple[int, int]:
        """Return the px of the whole sheet around a picture."""
        width = min(max(picture[0], self.px(_NARROWEST)) + 2 * self.px(_MARGIN), self.longest)
        return width, picture[1] + 2 * self.px(_MARGIN) + self.px(_PANEL)


def draw_panel(draw: ImageDraw.ImageDraw, result: Result, unit: Unit, sheet: tuple[int, int], *, key: Key) -> None:
    """Draw the words at the left and the key at the right of the panel."""
    top = sheet[1] - unit.px(_PANEL) - unit.px(_MARGIN) // 2
    left, right = unit.px(_MARGIN), sheet[0] - unit.px(_MARGIN)
    key_left = right - unit.px(_KEY)
    _words(draw, result, unit, (left, top), most=key_left - left - unit.px(40))
    _colors(draw, key, unit, (key_left, top), right - key_left)
    write(
        draw, (left, sheet[1] - unit.px(18)), notice(result), unit.exact(19), color=GRAY, anchor="ls", most=right - left
    )


def _words(draw: ImageDraw.ImageDraw, result: Result, unit: Unit, place: tuple[int, int], *, most: float) -> None:
    left, top = place
    write(draw, (left, top), verdict(result), unit.exact(42), most=most, bold=True)
    line = top + unit.px(58)
    if result.refer:
        write(draw, (left, line), referral(result), unit.exact(25), color=REFER_COLOR, most=most, bold=True)
        line += unit.px(36)
    write(draw, (left, line), printable(result.slide), unit.exact(22), color=GRAY, most=most)
    counted = f"{result.tiles.read} of {result.tiles.wanted} tiles read, {area(result.tissue_mm2)} tissue"
    write(draw, (left, line + unit.px(30)), counted, unit.exact(22), color=GRAY, most=most)


def _colors(draw: ImageDraw.ImageDraw, key: Key, unit: Unit, place: tuple[int, int], width: int) -> None:
    left, top = place
    write(draw, (left, top), key.title, unit.exact(24), most=width)
    bar_top, bar_bottom = top + unit.px(36), top + unit.px(62)
    ramp = key.ramp[np.linspace(0, 255, width).round().astype(np.int64)]
    strip = Image.fromarray(np.repeat(ramp[None], bar_bottom - bar_top, axis=0))
    draw._image.paste(strip, (left, bar_top))  # the image that is drawn on
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + value * (width - 1)
        draw.line((x, bar_bottom, x, bar_bottom + unit.px(7)), fill=GRAY, width=max(1, unit.px(2)))
        anchor = "la" if value == 0 else "ra" if value == 1 else "ma"
        told = figure(key.low + value * (key.high - key.low))
        write(draw, (x, bar_bottom + unit.px(10)), told, unit.exact(20), color=GRAY, anchor=anchor)
    if key.threshold is not None:
        x = left + key.threshold * (width - 1)
        draw.line((x, bar_top, x, bar_bottom), fill=WHITE, width=max(3, unit.px(5)))
        draw.line((x, bar_top, x, bar_bottom), fill=BLACK, width=max(1, unit.px(2)))
    _lines(draw, key, unit, (left, bar_bottom + unit.px(52)), width)


def _lines(draw: ImageDraw.ImageDraw, key: Key, unit: Unit, place: tuple[float, float], width: int) -> None:
    x, y = place
    for color, meaning in key.rows:
        draw.line((x, y, x + unit.px(34), y), fill=color, width=max(2, unit.px(4)))
        write(draw, (x + unit.px(44), y), meaning, unit.exact(21), color=GRAY, anchor="lm", most=width / 2)
        x += unit.px(150)
