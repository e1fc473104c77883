"""The round field of view of a camera behind an eyepiece or an ophthalmoscope, even where its top or bottom is cut off."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from wsi.field import Field
from wsi.geometry import Circle

SIDE = 320
"""The circle is looked for on about this many rows or columns; its radius is then right to about 0.3 %."""
DARK = 0.06
"""Share of the greatest value below which a px is surround."""
TRIALS, SEED = 400, 0
ON_CIRCLE = 0.02
"""An edge px lies on a circle when it is this share of the radius from it, or nearer."""
ALONG = 1.6
"""Coarse px from the sides of the lit box within which an edge may be a straight cut."""
BESIDE = 1.5
"""Radii from the center, along both axes, within which the surround is measured: how far a screen is black says nothing."""
SURE = 0.9
"""Roundness above which what lies on a plain ground is a field of view: other things lie on such grounds too."""
LEAST_RADIUS = 0.3
"""Radius over the picture's shorter side from which on a circle on a plain ground is a field of view, and no mark on skin."""
ACROSS, JUMP, SHARP = (0.7, 0.96, 1.04), 12.0, 1 / 3
"""Radii deep inside of a circle, just inside of its edge and just outside. Over the edge a field of view differs by more than
JUMP, of 255, and by more than SHARP of what it does from deep inside: 0.42 or more in fundus photographs, below 0.25 in shading."""
MIN_EDGE = 24
"""Fewer px of an edge say nothing."""
CORNER = 0.04
"""Share of the shorter side that the squares have which show what the ground is like in the corners."""
UNEVEN, NEAR = 15.0, 12.0
"""Difference from the ground, of 255, that a quarter of the corners may exceed on a plain ground; and what is ground at least."""
GREATEST = 99.5
"""Percentile that stands for the greatest value, past reflections."""


@dataclass(frozen=True, slots=True)
class RoundView(Circle):
    """The circle of a round field of view, and how sure it is.

    roundness: share of the edge between light and surround that lies on it. arc: share of the circle's directions in
    which the edge is seen. surround: share of the picture that is dark and reaches its border.
    """

    roundness: float
    arc: float
    surround: float

    @property
    def is_found(self) -> bool:
        """Whether there is a round field of view: most of the edge is round, and enough of the circle is seen."""
        return self.roundness > 0.7 and self.arc > 0.35


def round_view(field: Field) -> Circle | None:
    """Return the circle of a picture's round field of view; None of other pictures, and of volumes."""
    view = find_round_view(field) if len(field.axes) == 2 else None
    return Circle(view.row, view.column, view.radius) if view is not None and view.is_found else None


def find_round_view(field: Field, *, dark: float = DARK) -> RoundView:
    """Return the circle that most of the edge between the picture's light and its surround lies on.

    The surround is dark; where no circle is found in that, it is what looks like the picture's corners, when they are plain.
    Edge px on the picture's own border don't count, so a field of view that is cut off keeps its center. Where there
    is no edge the circle is the picture's middle, with roundness 0.

    Args:
        field: two axes, any channels.
        dark: share of the greatest value below which a px is surround.
    """
    return _found(field, dark)[0]


def on_black(field: Field, *, dark: float = DARK) -> tuple[Field, RoundView]:
    """Return a picture and its round view; where that lies on a plain ground that isn't dark, with the ground black."""
    view, ground, step = _found(field, dark)
    if ground is None:
        return field, view
    shown = ~ground.repeat(step, axis=0).repeat(step, axis=1)
    rest = [(0, size - length) for size, length in zip(field.shape, shown.shape, strict=True)]
    shown = np.pad(shown, rest, mode="edge")
    rows, columns = np.ogrid[: field.shape[0], : field.shape[1]]
    shown &= (rows - view.row) ** 2 + (columns - view.column) ** 2 <= view.radius**2
    return field.with_values(np.where(shown, field.values, np.zeros((), field.values.dtype))), view


def _found(field: Field, dark: float) -> tuple[RoundView, NDArray[np.bool_] | None, int]:
    """Return the round view; the blocks `(h, w)` that are its ground, if that is plain and not dark; and px of a block."""
    planes, step = coarse(field.values, side=SIDE)
    light = planes.max(axis=0)
    ground = _plain_ground(planes)
    if ground is None or ground.color.max() <= dark * float(np.percentile(light, GREATEST)):
        view = _view(light, step, dark)
        if view.is_found or ground is None:
            return view, None, step
    for near in ground.nears:
        around = ~_largest(ground.apart > near)
        view = _view(np.where(around, np.float32(0), light), step, dark)
        if _is_view(planes, view, step):
            return view, around, step
    return _view(light, step, dark), None, step


def _view(light: NDArray[np.float32], step: int, dark: float) -> RoundView:
    seen = lit(light, dark)
    surround = float(1 - seen.mean())
    edge = _edge(seen)
    height, width = light.shape
    if len(edge) < MIN_EDGE:
        return _in_px((height / 2 - 0.5, width / 2 - 0.5, max(height, width) / 2), step, (0.0, 0.0, surround))
    row, column, radius = _circle(edge)
    on = _is_on(edge, row, column, radius)
    angles = np.arctan2(edge[on, 0] - row, edge[on, 1] - column)
    arc = len(np.unique(np.floor((angles + np.pi) / (2 * np.pi) * 72).astype(int) % 72)) / 72
    found = _in_px((row, column, radius), step, (float(on.mean()), float(arc), surround))
    if not found.is_found:
        return found
    rows, columns = (
        slice(max(0, round(center - BESIDE * radius)), max(1, round(center + BESIDE * radius) + 1))
        for center in (row, column)
    )
    return replace(found, surround=float(1 - seen[rows, columns].mean()))


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """A plain ground. color `(C,)`; apart `(h, w)`: difference of each px from it; nears: within which px may be ground."""

    color: NDArray[np.float32]
    apart: NDArray[np.float32]
    nears: tuple[float, ...]


def _plain_ground(planes: NDArray[np.float32]) -> _Ground | None:
    """Return what the corners of planes `(C, h, w)` on 0-255 are; None if they aren't plain."""
    side = max(2, round(CORNER * min(planes.shape[1:])))
    ends = slice(side), slice(-side, None)
    corner = np.concatenate(
        [planes[:, rows, columns].reshape(len(planes), -1) for rows in ends for columns in ends], axis=1
    )
    color = np.median(corner, axis=1)  # (C,)
    uneven = float(np.percentile(np.abs(corner - color[:, None]).max(axis=0), 75))
    if uneven > UNEVEN:
        return None
    apart = np.abs(planes - color[:, None, None]).max(axis=0)
    least = max(NEAR, 2 * uneven)
    return _Ground(color, apart, (least, 2 * least, 5 * least))


def _is_view(planes: NDArray[np.float32], view: RoundView, step: int) -> bool:
    """Return whether a circle in planes `(C, h, w)` on a plain ground is that of a field of view: round, large and sharp."""
    if not view.is_found or view.roundness <= SURE or view.radius < LEAST_RADIUS * min(planes.shape[1:]) * step:
        return False
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    across = np.stack([np.sin(angles), np.cos(angles)])  # (2, 180)
    center = np.array([[view.row], [view.column]])
    at = np.stack([center + view.radius * share * across for share in ACROSS])  # (3, 2, 180)
    at = np.rint((at - (step - 1) / 2) / step).astype(int)
    shown = ((at >= 0) & (at < np.reshape(planes.shape[1:], (2, 1)))).all(axis=(0, 1))
    if not shown.any():
        return False
    deep, inside, outside = (planes[:, one[0, shown], one[1, shown]] for one in at)  # (C, shown)
    jump, whole = (float(np.median(np.abs(one - outside).max(axis=0))) for one in (inside, deep))
    return jump > max(JUMP, SHARP * whole)


def _in_px(circle: tuple[float, float, float], step: int, rest: tuple[float, float, float]) -> RoundView:
    """Return a circle found on blocks of `step` px in px of the picture."""
    row, column, radius = circle
    half = (step - 1) / 2
    return RoundView(row * step + half, column * step + half, radius * step, *rest)


def coarse_light(values: NDArray[Any]) -> tuple[NDArray[np.float32], int]:
    """Return the brightest channel `(h, w)` of blocks of step x step px, and the step."""
    planes, step = coarse(values, side=SIDE)
    return np.asarray(planes.max(axis=0), np.float32), step


def coarse(values: NDArray[Any], *, side: int) -> tuple[NDArray[np.float32], int]:
    """Return a picture `(C, h, w)` as blocks of step x step px, each the mean of four px, the shorter side >= `side`."""
    step = max(1, min(values.shape[1:]) // side)
    height, width = values.shape[1] // step * step, values.shape[2] // step * step
    places = {step // 4, step - 1 - step // 4}
    parts = [values[:, i:height:step, j:width:step].astype(np.float32) for i in places for j in places]
    return np.asarray(np.sum(parts, axis=0) / np.float32(len(parts)), np.float32), step


def lit(light: NDArray[np.float32], dark: float) -> NDArray[np.bool_]:
    """Return where `(h, w)` light isn't surround: what is dark but doesn't reach the border counts as lit."""
    return _largest(light > dark * float(np.percentile(light, GREATEST)))


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest piece of a mask `(h, w)`, its holes filled; all of an empty one."""
    labels, count = scipy.ndimage.label(mask)
    if not count:
        return np.ones(mask.shape, bool)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return np.asarray(scipy.ndimage.binary_fill_holes(largest), bool)


def _edge(seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the border px `(N, 2)` between lit and surround as (row, column) in coarse px, half a px outward.

    Those along the sides of the box around all that is lit are left out: there it may have been cut off.
    """
    found = []
    for turn in (False, True):
        mask = seen.T if turn else seen
        rows = np.flatnonzero(mask.any(axis=1))
        first = mask[rows].argmax(axis=1)
        last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
        for columns, inside, outward in ((first, first > 0, -0.5), (last, last < mask.shape[1] - 1, 0.5)):
            pair = np.column_stack([rows[inside].astype(float), columns[inside] + outward])
            found.append(pair[:, ::-1] if turn else pair)
    edge = np.concatenate(found)
    if not len(edge):
        return edge
    low, high = edge.min(axis=0) + ALONG, edge.max(axis=0) - ALONG
    return np.asarray(edge[((edge > low) & (edge < high)).all(axis=1)])


def _circle(edge: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return row, column and radius of the circle that most px of an edge lie on (RANSAC, then least squares)."""
    rng = np.random.default_rng(SEED)
    triples = edge[rng.integers(0, len(edge), (TRIALS, 3))]  # (T, 3, 2)
    a, b = triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0]
    area = 2 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    longest = float(np.ptp(edge, axis=0).max())
    usable = np.abs(area) > 0.02 * longest**2
    if not usable.any():
        center, radius = edge.mean(axis=0), longest
        return float(center[0]), float(center[1]), radius
    a, b, area, origin = a[usable], b[usable], area[usable], triples[usable, 0]
    aa, bb = (a**2).sum(axis=1), (b**2).sum(axis=1)
    offset = np.column_stack([b[:, 1] * aa - a[:, 1] * bb, a[:, 0] * bb - b[:, 0] * aa]) / area[:, None]
    centers, radii = origin + offset, np.linalg.norm(offset, axis=1)
    distance = np.linalg.norm(edge[None] - centers[:, None], axis=2)  # (T, N)
    count = (np.abs(distance - radii[:, None]) < ON_CIRCLE * radii[:, None]).sum(axis=1)
    best = int(np.argmax(count))
    row, column, radius = float(centers[best, 0]), float(centers[best, 1]), float(radii[best])
    for _ in range(3):
        on = edge[_is_on(edge, row, column, radius)]
        if len(on) < MIN_EDGE:
            break
        left = np.column_stack([2 * on, np.ones(len(on))])
        solution = np.linalg.lstsq(left, (on**2).sum(axis=1), rcond=None)[0]
        row, column = float(solution[0]), float(solution[1])
        radius = float(np.sqrt(max(solution[2] + row**2 + column**2, 1.0)))
    return row, column, radius


def _is_on(edge: NDArray[np.float64], row: float, column: float, radius: float) -> NDArray[np.bool_]:
    distance = np.hypot(edge[:, 0] - row, edge[:, 1] - column)
    return np.asarray(np.abs(distance - radius) < max(ON_CIRCLE * radius, 0.75), bool)
