"""How fast the review page colors heat anew, in a real browser: threshold, color map and opacity of 100,000 tiles.

The page is opened as a folder of files with one drawn case. Each time is taken inside Chromium and holds the coloring
of all tiles, the drawing under the camera's transform and reading a px back, so that nothing is put off.
"""

import base64
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from form import Claim, arguments, close, table
from playwright.sync_api import Page, sync_playwright

PAGE = Path(__file__).parents[2] / "wsi" / "review" / "page"
SIDE = 320
"""Tiles along each side: 102,400 in all."""
STEP = 448
FRAME_MS = 1000 / 60
SLACK_MS = 0.5
"""What the clock of the page is coarse by, and a screen's 60 Hz isn't exact by."""
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

RECOLOR = """async (times) => {
  const { stage: { main }, bar } = WSI.desk;
  const pen = main.viewer.above.getContext("2d");
  const found = [];
  for (let turn = 0; turn < times; turn += 1) {
    await new Promise(requestAnimationFrame);
    WSI.heatLook.threshold = (turn % 50) / 60;
    WSI.heatLook.colormap = WSI.colormaps[turn % 3];
    const start = performance.now();
    main.heat.recolor(WSI.heatLook.colormap, WSI.heatLook.threshold);
    main.viewer.drawLines();
    pen.getImageData(0, 0, 1, 1);
    found.push(performance.now() - start);
  }
  return found;
}"""
FRAMES = """async (times) => {
  const { bar } = WSI.desk;
  const found = [];
  let last = await new Promise(requestAnimationFrame);
  for (let turn = 0; turn < times; turn += 1) {
    bar.setThreshold((turn % 50) / 60);
    bar.setOpacity(0.3 + (turn % 30) / 60);
    const now = await new Promise(requestAnimationFrame);
    found.push(now - last);
    last = now;
  }
  return found;
}"""


def write_case(folder: Path) -> None:
    """Write a folder that the page opens: one slide of SIDE x SIDE tiles without px, and its heat."""
    heat = np.random.default_rng(0).integers(1, 256, (SIDE, SIDE), np.uint8)
    px = SIDE * STEP
    layer = {"id": "score", "name": "P(tumor)", "kind": "score", "low": 0.0, "high": 1.0}
    place = {"columns": SIDE, "rows": SIDE, "x0": 0, "y0": 0, "step_x": STEP, "step_y": STEP}
    row: dict[str, Any] = {
        "slide": "s", "name": "s.svs", "status": "ok", "code": "", "reason": "", "thumbnail": False, "viewable": True,
        "refer": False, "refer_reason": "", "flags": [], "out_of_distribution": None, "quality": {}, "tissue_mm2": 100.0,
        "tiles": {"wanted": SIDE * SIDE, "read": SIDE * SIDE, "unreadable": 0}, "suspicion": 0.9, "decision": None,
        "reviewed": False, "ai": {"label": "tumor", "probability": 0.9, "confidence": 0.9, "probabilities": {}},
    }  # fmt: skip
    case = {
        **row, "view": {"width": px, "height": px, "levels": [], "mpp": 0.25}, "view_problem": "", "words": "tumor",
        "hidden": False, "top": [], "bottom": [], "heat": {**place, "layers": [layer]}, "outlines": False,
        "decisions": [], "panes": [], "is_beside": False,
    }  # fmt: skip
    run = {
        "notice": "Research use only.",
        "blind": False,
        "reviewer": "",
        "model": None,
        "beside": None,
        "classes": [],
        "structures": [],
    }
    whole = {"case": case, "outlines": None, "heat": {"score": base64.b64encode(heat.tobytes()).decode()}}
    shutil.copytree(PAGE, folder / "page")
    start = f"window.WSI_DATA = {json.dumps({'run': run, 'cases': [row], 'slides': {'s': whole}})};"
    (folder / "data.js").write_text(start)
    page = (PAGE / "index.html").read_text()
    (folder / "index.html").write_text(page.replace("<!-- data -->", '<script defer src="data.js"></script>'))


def measured(page: Page, times: int) -> tuple[list[float], list[float]]:
    """Return ms to color anew, and ms between frames while threshold and opacity are dragged."""
    page.locator("#case-title").wait_for()
    page.wait_for_timeout(500)
    page.evaluate(RECOLOR, 20)
    return page.evaluate(RECOLOR, times), page.evaluate(FRAMES, times)


def recolor_claims(chromium: str, *, times: int = 240) -> list[Claim]:
    """Measure, print a table and return the claims."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        write_case(Path(name))
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto((Path(name) / "index.html").as_uri())
        recolors, frames = measured(page, times)
        version = browser.version
        browser.close()
    rows = [
        (what, f"{statistics.median(found):.2f}", f"{np.percentile(found, 95):.2f}", f"{max(found):.2f}")
        for what, found in (("color and draw 102,400 tiles anew", recolors), ("between frames while dragging", frames))
    ]
    print(table((f"Chromium {version}, no GPU; ms", "median", "95 %", "most"), rows))
    return [
        Claim("ms to color and draw 102,400 tiles anew, median", statistics.median(recolors), FRAME_MS),
        Claim("ms to color and draw 102,400 tiles anew, 95 %", float(np.percentile(recolors, 95)), FRAME_MS),
        Claim("ms between frames while dragging, median (60 a second)", statistics.median(frames), FRAME_MS + SLACK_MS),
    ]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium", metavar="FILE", help="the browser to measure in")
    asked = parser.parse_args()
    close(recolor_claims(asked.chromium), asked.json)


if __name__ == "__main__":
    main()
