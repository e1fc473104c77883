"""Finished slides to export, made from figures: no model and no slide is needed."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from wsi.geometry import Point
from wsi.results import Case, ClassScore, Provenance, Record, Result, Scale, Scores, TileCounts, write_scores
from wsi.tissue.files import Tissue, to_geojson

MODEL_SHA256 = "0123456789abcdef" * 4
SLIDE_SHA256 = "fedcba9876543210" * 4
CLASSES = [
    ClassScore(name="Benign", color=[0, 114, 178], probability=0.07),
    ClassScore(name="Malignant", color=[213, 94, 0], probability=0.93),
]


def make_scale(
    *,
    size: tuple[int, int] = (20_000, 15_000),
    bounds: tuple[int, int, int, int] | None = None,
    mpp: tuple[float, float] = (0.25, 0.25),
    tile_px0: float = 448.0,
    stride_px0: float | None = None,
) -> Scale:
    return Scale(
        width=size[0],
        height=size[1],
        bounds=list(bounds or (0, 0, *size)),
        mpp_x=mpp[0],
        mpp_y=mpp[1],
        mpp_source="metadata",
        tile_px=224,
        tile_mpp=0.5,
        tile_px0_x=tile_px0,
        tile_px0_y=tile_px0,
        stride_px0_x=stride_px0 or tile_px0,
        stride_px0_y=stride_px0 or tile_px0,
    )


def grid_coords(columns: int, rows: int, *, step: float, corner: tuple[int, int] = (0, 0)) -> NDArray[np.int32]:
    """Return `(columns * rows, 2)` top-lefts, row by row."""
    y, x = np.mgrid[0:rows, 0:columns]
    coords = np.stack([x.ravel() * step + corner[0], y.ravel() * step + corner[1]], axis=1)
    return coords.round().astype(np.int32)


def make_scores(coords: NDArray[np.int32], score: NDArray[Any] | None = None) -> Scores:
    """Return scores that rise from 0 to 1 over the tiles, or those given; attention goes with them."""
    n = len(coords)
    score = np.linspace(0, 1, n) if score is None else score
    attention = np.exp(score * 3)
    return Scores(coords, (attention / attention.sum()).astype(np.float32), score.astype(np.float32))


def make_result(scale: Scale | None, **changes: Any) -> Result:
    told: dict[str, Any] = {
        "slide": "case-1-0a1b2c3d",
        "path": "case/1.svs",
        "status": "ok",
        "classes": CLASSES,
        "positive": "Malignant",
        "grade": "Malignant",
        "confidence": 0.86,
        "refer": True,
        "refer_reason": "close to the threshold",
        "flags": ["blur"],
        "quality": {"blur": 0.12, "pen": 0.0},
        "tissue_mm2": 84.2,
        "tiles": TileCounts(wanted=100, read=98, unreadable=2),
        "threshold": 0.5,
        "scale": scale,
        "provenance": Provenance(
            wsi_run="0.1.0",
            slide_sha256=SLIDE_SHA256,
            reader="openslide",
            model="tumor",
            model_version="1.0.0",
            model_sha256=MODEL_SHA256,
            encoder="resnet18",
            encoder_sha256="ab" * 32,
            precision="fp32",
            key="cd" * 32,
        ),
    }
    return Result.model_validate({**Result.model_validate(told).model_dump(), **_plain(changes)})


def _plain(changes: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(one) for one in value]
        return value.model_dump() if hasattr(value, "model_dump") else value

    return {key: plain(value) for key, value in changes.items()}


NO_VERDICT: dict[str, Any] = {
    "classes": [],
    "positive": None,
    "grade": None,
    "confidence": None,
    "threshold": None,
    "refer_reason": "no grade",
}


def make_case(
    folder: Path,
    result: Result,
    scores: Scores | None,
    *,
    tissue: shapely.MultiPolygon | None = None,
    picture: NDArray[np.uint8] | None = None,
) -> Case:
    """Write a slide's folder as the stages before export leave it."""
    folder.mkdir(parents=True, exist_ok=True)
    if tissue is not None:
        found = Tissue(tissue, result.tissue_mm2, {"blur": 0.12}, "H&E", "", "detected")
        x, y = result.scale.bounds[:2] if result.scale else (0, 0)
        (folder / "tissue.geojson").write_bytes(to_geojson(found, slide=result.slide, offset=Point(x, y)))
    if picture is not None:
        (folder / "thumbnail.jpg").write_bytes(jpeg(picture))
    (folder / "result.json").write_text(json.dumps(result.model_dump()), encoding="utf-8")
    if scores is not None:
        write_scores(folder / "scores.h5", scores)
    return Case(folder, result, scores)


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def make_record(result: Result, artifacts: dict[str, str] | None = None) -> Record:
    return Record(
        slide=result.slide,
        path=result.path,
        status=result.status,
        code=result.code,
        reason=result.reason,
        tiles=result.tiles,
        artifacts=artifacts or {},
        key="cd" * 32,
    )
