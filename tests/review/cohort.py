"""A small run to review, made from figures, and slides whose px are drawn as they are asked for."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from starlette.testclient import TestClient

from tests.export import cases
from wsi.engine import journal
from wsi.errors import AbsentError, WsiError
from wsi.results import ClassScore, Result
from wsi.review import Piece, ReviewFolder, TileKey, View, ViewLevel, make_app

PORT = 8765
TOKEN = "the-token-of-the-link"
SUSPICIOUS, UNSURE, BENIGN = "one-1-aaaaaaaa", "two-2-bbbbbbbb", "three-3-cccccccc"
REFUSED, FAILED = "four-4-dddddddd", "five-5-eeeeeeee"
IDS = (SUSPICIOUS, UNSURE, BENIGN, REFUSED, FAILED)
SIZE = (20_000, 15_000)


def graded(slide: str, path: str, probability: float, **changes: Any) -> Result:
    classes = [
        ClassScore(name="Benign", color=[0, 114, 178], probability=1 - probability),
        ClassScore(name="Malignant", color=[213, 94, 0], probability=probability),
    ]
    told = {"grade": "Malignant" if probability >= 0.5 else "Benign", "confidence": max(probability, 1 - probability)}
    more: dict[str, Any] = {"refer": False, "refer_reason": "", "flags": [], **told, **changes}
    scale = more.pop("scale", cases.make_scale(size=SIZE))
    return cases.make_result(scale, slide=slide, path=path, classes=classes, **more)


def stopped(slide: str, path: str, status: str, code: str) -> Result:
    told = {**cases.NO_VERDICT, "quality": {}, "flags": [], "tissue_mm2": 0.0, "provenance": None}
    return cases.make_result(None, slide=slide, path=path, status=status, code=code, reason=f"{path}: why", **told)


def make_out(out: Path) -> Path:
    """Write OUT as a run leaves it, as far as the page reads it."""
    told = [
        graded(SUSPICIOUS, "one/1.svs", 0.93),
        graded(UNSURE, "one/2.svs", 0.31, refer=True, refer_reason="close to the threshold", out_of_distribution=1.2, flags=["out-of-distribution", "blur"]),
        graded(BENIGN, "three.svs", 0.04),
        stopped(REFUSED, "four.svs", "refused", "E_MPP_MISSING"),
        stopped(FAILED, "five.svs", "failed", "E_CRASH"),
    ]  # fmt: skip
    for result in told:
        write_case(out, result)
    return out


def write_case(out: Path, result: Result) -> None:
    folder = out / "slides" / result.slide
    if result.scale is None:
        cases.make_case(folder, result, None)
    else:
        coords = cases.grid_coords(10, 8, step=448, corner=(896, 448))
        tissue = shapely.MultiPolygon([shapely.box(900, 450, 5000, 4000)])
        picture = np.full((60, 80, 3), 220, np.uint8)
        cases.make_case(folder, result, cases.make_scores(coords), tissue=tissue, picture=picture)
    journal.append(out, cases.make_record(result))


@dataclass
class DrawnTiles:
    """Tiles of one color each, and how often they were asked for; `gone` slides aren't where they lay."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    fault: WsiError | None = None
    ahead: list[TileKey] = field(default_factory=list)

    def has(self, slide: str, /) -> bool:
        return slide in (SUSPICIOUS, UNSURE, BENIGN)

    def look(self, slide: str, /, *, ahead: bool = False) -> View:
        if slide in self.gone or not self.has(slide):
            raise AbsentError("the slide isn't where it lay when it was run")
        levels = tuple(ViewLevel(SIZE[0] // d, SIZE[1] // d, float(d), 256) for d in (1, 4, 16))
        return View(*SIZE, levels, 0.25)

    def tile(self, key: TileKey, /) -> bytes:
        self.asked.append(key)
        if self.fault is not None:
            raise self.fault
        return cases.jpeg(np.full((16, 16, 3), (key.level * 60, key.column % 256, key.row % 256), np.uint8))

    def tile_soon(self, key: TileKey, /) -> Future[bytes]:
        found: Future[bytes] = Future()
        try:
            found.set_result(self.tile(key))
        except WsiError as error:
            found.set_exception(error)
        return found

    def tiles_ahead(self, keys: Sequence[TileKey], _take: Callable[[TileKey, bytes], object], /) -> None:
        self.ahead = list(keys)

    def crop(self, slide: str, piece: Piece, /) -> bytes:
        self.asked.append((slide, piece))
        return cases.jpeg(np.full((piece.px, piece.px, 3), 90, np.uint8))


def open_folder(out: Path) -> ReviewFolder:
    return ReviewFolder(out, lambda: journal.read(out))


def client(out: Path, tiles: DrawnTiles | None = None, **given: Any) -> TestClient:
    """Return a browser that came in by the link."""
    app = make_app(open_folder(out), tiles or DrawnTiles(), token=TOKEN, port=PORT, **given)
    browser = TestClient(app, base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=False)
    entered = browser.get(f"/?token={TOKEN}", follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    return browser


def decide(browser: TestClient, slide: str, **told: Any) -> Any:
    """Send a decision as the page does and return the answer."""
    body = {"who": "A. Miller", "stage": "final", "verdict": "agree", **told}
    headers = {"x-wsi": "1", "origin": f"http://127.0.0.1:{PORT}", "content-type": "application/json"}
    return browser.post(f"/api/cases/{slide}/decisions", content=json.dumps(body), headers=headers)


def drawn(*rings: list[tuple[float, float]], **properties: Any) -> dict[str, Any]:
    """Return a FeatureCollection of polygons."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[list(point) for point in ring]]},
            "properties": properties,
        }
        for ring in rings
    ]
    return {"type": "FeatureCollection", "features": features}


SQUARE: list[tuple[float, float]] = [(1000, 1000), (2000, 1000), (2000, 1500), (1000, 1500), (1000, 1000)]
