"""How fast the review page colors heat anew, in a real browser: threshold, color map and opacity of 100,000 tiles.

The page is opened as a folder of files with one drawn case. Each time is taken inside Chromium and holds the coloring
of all tiles, the drawing under the camera's transform and reading a px back, so that nothing is put off.
"""

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from form import Claim, arguments, close, table
from playwright.sync_api import Page, sync_playwright

from wsi.engine import journal
from wsi.review import Desk, View, ViewLevel, write_static

sys.path.insert(0, str(Path(__file__).absolute().parents[2]))
SIDE = 320
"""Tiles along each side: 102,400 in all."""
STEP = 448
PX = SIDE * STEP
COARSE = 64
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
    """Write a run's folder with one slide of SIDE x SIDE tiles, and the page of it."""
    from tests.export import cases
    from tests.review import cohort

    @dataclass
    class Glass(cohort.DrawnTiles):
        """A slide of which the coarsest level alone is stored."""

        def look(self, slide: str, /, *, ahead: bool = False) -> View:
            del slide, ahead
            return View(PX, PX, (ViewLevel(PX // COARSE, PX // COARSE, float(COARSE), 256),), 0.25)

    out = folder / "OUT"
    scale = cases.make_scale(size=(PX, PX))
    result = cohort.graded(cohort.SUSPICIOUS, "s.svs", 0.93, scale=scale)
    score = np.random.default_rng(0).random(SIDE * SIDE)
    cases.make_case(
        out / "slides" / result.slide, result, cases.make_scores(cases.grid_coords(SIDE, SIDE, step=STEP), score)
    )
    journal.append(out, cases.make_record(result))
    write_static(Desk(cohort.open_folder(out), Glass()), folder / "page")


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
        page.goto((Path(name) / "page" / "index.html").as_uri())
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
