"""The heat of a slide as a grid of bytes, one a tile: small enough to color and to blend in the browser."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wsi.errors import ArtifactError
from wsi.export.explanation import read_explanation
from wsi.export.grid import lay_out, percentile
from wsi.export.heat import heat_of, heat_share
from wsi.printable import printable
from wsi.results import Case, Result
from wsi.review.folder import damaged
from wsi.review.frame import frame

EXPLANATION = "explanation"
STEPS = 254
"""1 stands for a layer's low end, 1 + STEPS for its high end; 0 for no tile."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One kind of heat: low and high are what its bytes 1 and 255 stand for."""

    id: str
    name: str
    kind: Literal["score", "attention", "mask", "explanation"]
    low: float
    high: float
    subject: str = ""
    """Of an explanation: what it speaks for or against."""


def layers(result: Result) -> list[Layer]:
    """Return the layers that a slide with a verdict has."""
    heat = heat_of(result)
    if heat is None:
        return []
    return [
        Layer("score", heat.name, "score", heat.low, heat.high),
        Layer("attention", "Attention percentile", "attention", 0.0, 100.0),
    ]


def _explanation(result: Result) -> Layer | None:
    """Return the layer of what spoke for a picture's verdict and against it, -1 to 1; None for one without verdict."""
    if result.image is None or not result.image.explained:
        return None
    spoken = printable(result.image.explained)
    return Layer(EXPLANATION, f"For or against {spoken}", "explanation", -1.0, 1.0, spoken)


def _describe_explanation(case: Case, layer: Layer) -> dict[str, Any] | None:
    scale, found = frame(case.result), _read(case)
    if scale is None or found is None:
        return None
    rows, columns = found.shape
    place = {"x0": 0, "y0": 0, "step_x": scale.width / columns, "step_y": scale.height / rows}
    return {"columns": columns, "rows": rows, **place, "layers": [asdict(layer)]}


def _read(case: Case) -> NDArray[np.uint8] | None:
    try:
        return read_explanation(case.folder)
    except ArtifactError as error:
        raise damaged(case.result) from error


def describe(case: Case) -> dict[str, Any] | None:
    """Return the grid's size and place and its layers; None for a slide without heat.

    x0, y0 is the corner of cell (0, 0) and step_x, step_y the side of a cell, all in level-0 px. A picture that was
    read whole has one layer, of what spoke for its verdict and against it.

    Raises:
        Refused: explanation.png is damaged.
    """
    if case.result.image is not None:
        layer = _explanation(case.result)
        return _describe_explanation(case, layer) if layer else None
    found, scores, scale = layers(case.result), case.scores, case.result.scale
    if not found or scores is None or scale is None or not len(scores.coords):
        return None
    grid = lay_out(scores.coords, scores.score, scale)
    rows, columns = grid.values.shape
    place = {"x0": grid.x, "y0": grid.y, "step_x": grid.cell_x, "step_y": grid.cell_y}
    return {"columns": columns, "rows": rows, **place, "layers": [asdict(layer) for layer in found]}


def grid_bytes(case: Case, layer: str) -> bytes | None:
    """Return the layer's `rows * columns` bytes, row after row; None when the slide has no such layer."""
    if case.result.image is not None:
        explained = _read(case) if layer == EXPLANATION and heat_of(case.result) else None
        return None if explained is None else explained.tobytes()
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
