"""Loss curves as an SVG that any browser shows; no plotting library."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from wsi.train.checkpoint import Epoch

WIDTH, HEIGHT, MARGIN = 640, 360, 48
COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
"""Paul Tol's bright scheme: told apart by color-blind people, too."""
MOST_NAMED = 12


def draw_curves(folds: Mapping[str, Sequence[Epoch]]) -> str:
    """Return an SVG with the training loss (thin) and the validation loss (thick) of each fold over its epochs."""
    losses = [
        loss
        for epochs in folds.values()
        for e in epochs
        for loss in (e.train_loss, e.validation_loss)
        if math.isfinite(loss)
    ]
    low, high = (min(losses), max(losses)) if losses else (0.0, 1.0)
    last = max((len(epochs) for epochs in folds.values()), default=1)
    area = _Area(low, high if high > low else low + 1.0, max(last, 2))
    parts = [_frame(area)]
    for k, (name, epochs) in enumerate(folds.items()):
        color = COLORS[k % len(COLORS)]
        parts.append(area.line([e.train_loss for e in epochs], color, width=0.8))
        parts.append(area.line([e.validation_loss for e in epochs], color, width=2.0))
        if k < MOST_NAMED:
            at = f'x="{WIDTH - MARGIN + 6}" y="{MARGIN + 14 * k}"'
            parts.append(f'<text {at} fill="{color}">{escape(name)}</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 120} {HEIGHT}" font-family="sans-serif" '
        f'font-size="11">\n{body}\n</svg>\n'
    )


class _Area:
    """The rectangle of the curves: epochs to the right, loss upward."""

    def __init__(self, low: float, high: float, epochs: int) -> None:
        self.low, self.high, self.epochs = low, high, epochs

    def place(self, number: int, loss: float) -> tuple[float, float]:
        x = MARGIN + (WIDTH - 2 * MARGIN) * number / (self.epochs - 1)
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (loss - self.low) / (self.high - self.low)
        return x, y

    def line(self, losses: Sequence[float], color: str, *, width: float) -> str:
        points = [self.place(n, loss) for n, loss in enumerate(losses) if math.isfinite(loss)]
        told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polyline points="{told}" fill="none" stroke="{color}" stroke-width="{width}"/>'


def _frame(area: _Area) -> str:
    left, right, top, bottom = MARGIN, WIDTH - MARGIN, MARGIN, HEIGHT - MARGIN
    texts = (
        (left - 6, bottom, "end", f"{area.low:.3g}"),
        (left - 6, top + 4, "end", f"{area.high:.3g}"),
        (left, bottom + 16, "middle", "1"),
        (right, bottom + 16, "middle", str(area.epochs)),
        ((left + right) / 2, bottom + 30, "middle", "epoch"),
        (left, top - 12, "start", "loss: thin training, thick validation"),
    )
    named = "\n".join(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>' for x, y, anchor, text in texts)
    return f'<path d="M{left},{top} V{bottom} H{right}" fill="none" stroke="#888"/>\n{named}'
