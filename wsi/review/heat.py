"""The heat of a slide as a grid of bytes, one a tile: small enough to color and to blend in the browser."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from wsi.export.grid import lay_out, percentile
from wsi.export.heat import heat_of, heat_share
from wsi.results import Case, Result

STEPS = 254
"""1 stands for a layer's low end, 1 + STEPS for its high end; 0 for no tile."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One kind of heat: low and high are what its bytes 1 and 255 stand for."""

    id: str
    name: str
    kind: Literal["score", "attention", "mask"]
    low: float
    high: float


def layers(result: Result) -> list[Layer]:
    """Return the layers that a slide with a verdict has."""
    heat = heat_of(result)
    if heat is None:
        return []
    return [
        Layer("score", heat.name, "score", heat.low, heat.high),
        Layer("attention", "Attention percentile", "attention", 0.0, 100.0),
    ]


def describe(case: Case) -> dict[str, Any] | None:
    """Return the grid's size and place and its layers; None for a slide without heat.

    x0, y0 is the corner of cell (0, 0) and step_x, step_y the side of a cell, all in level-0 px.
    """
    found, scores, scale = layers(case.result), case.scores, case.result.scale
    if not found or scores is None or scale is None or not len(scores.coords):
        return None
    grid = lay_out(scores.coords, scores.score, scale)
    rows, columns = grid.values.shape
    told = [{"id": x.id, "name": x.name, "kind": x.kind, "low": x.low, "high": x.high} for x in found]
    place = {"x0": grid.x, "y0": grid.y, "step_x": grid.cell_x, "step_y": grid.cell_y}
    return {"columns": columns, "rows": rows, **place, "layers": told}


def grid_bytes(case: Case, layer: str) -> bytes | None:
    """Return the layer's `rows * columns` bytes, row after row; None when the slide has no such layer."""
    heat, scores, scale = heat_of(case.result), case.scores, case.result.scale
    if heat is None or scores is None or scale is None or not len(scores.coords):
        return None
    if layer == "score":
        share = heat_share(heat, scores)
    elif layer == "attention":
        share = (percentile(scores.attention) / 100).astype(np.float32)
    else:
        return None
    values = lay_out(scores.coords, share, scale).values
    cells = 1 + np.rint(np.clip(np.nan_to_num(values), 0, 1) * STEPS)
    return np.where(np.isnan(values), 0, cells).astype(np.uint8).tobytes()
