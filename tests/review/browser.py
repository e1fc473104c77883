"""A real browser over a real server: Chromium without a window, `wsi-run review` in a process of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.make import draw_tissue, write_svs
from tests.traps import environment

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIDE = 2300
WAIT_MS = 20_000
RUN_S = 180


def chromium() -> str | None:
    """Return the browser that WSI_CHROMIUM names, or Debian's; None where there is none."""
    named = os.environ.get("WSI_CHROMIUM", "/usr/bin/chromium")
    return shutil.which(named)


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Start Chromium."""
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


def open_page(found: Browser, *, size: tuple[int, int] = (1280, 800), **context: Any) -> tuple[Page, list[str]]:
    """Return a new page, and the list that its complaints go into: errors, warnings and breaches of its policy."""
    page = found.new_context(viewport={"width": size[0], "height": size[1]}, **context).new_page()
    page.set_default_timeout(WAIT_MS)
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


def run(home: Path, *arguments: str | Path) -> str:
    """Run `wsi-run` to its end and return what it wrote to stdout."""
    ended = subprocess.run(
        [sys.executable, "-m", "wsi.cli", *map(str, arguments)],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stdout


def draw_slides(folder: Path) -> Path:
    """Write two slides of one case, one without a scale and an empty file."""
    (folder / "case").mkdir(parents=True)
    for name, seed in (("a", 1), ("b", 2)):
        write_svs(folder / "case" / f"{name}.svs", draw_tissue(SIDE, SIDE, seed=seed))
    write_svs(folder / "no-scale.svs", draw_tissue(600, 600, seed=3), mpp=None)
    (folder / "empty.svs").write_bytes(b"")
    return folder


class Server:
    """`wsi-run review OUT` as long as the block lasts."""

    def __init__(self, home: Path, out: Path, *options: str | Path) -> None:
        self._started = [sys.executable, "-m", "wsi.cli", "review", str(out), "--port", "0", "--no-browser"]
        self._started += map(str, options)
        self._environment = environment(home)
        self.link = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._started, env=self._environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"no link in {line!r}"
        self.link = found[0]
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.communicate(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()


def picture(page: Page, kind: str, x: float, y: float) -> list[int]:
    """Return RGBA of the px of a pane's canvas (tiles or lines) that shows level-0 px (x, y)."""
    found: list[int] = page.evaluate(
        """([kind, x, y]) => {
          const { viewer } = WSI.desk.stage.main;
          const at = viewer.camera.toScreen(x, y);
          const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
          const canvas = viewer.host.querySelector(`canvas.${kind}`);
          pen.drawImage(canvas, -Math.floor(at.x * viewer.dense), -Math.floor(at.y * viewer.dense));
          return [...pen.getImageData(0, 0, 1, 1).data];
        }""",
        [kind, x, y],
    )
    return found


def at_rest(page: Page) -> None:
    """Wait until nothing moves and no tile, heat or outline is waited for."""
    page.wait_for_function(RESTING, polling=30)


RESTING = """() => {
  const { stage: { queue, panes } } = WSI.desk;
  return !queue.underWay.size && !queue.waiting.length && panes.every(({ viewer, item, heat, outlines }) =>
    !viewer.camera.isMoving && !viewer.isAwake && (!item?.heat || heat?.values) && (!item?.outlines || outlines));
}"""
"""Whether all that a page shows is there and still."""

AS_NEW = """async () => {
  const { bar, decision, drafts, draw, list, stage } = WSI.desk;
  const { slide } = list.items.find(({ name }) => name.endsWith("a.svs"));
  drafts.clear();
  stage.main.viewer.slide = null; // or it stays where it is looked at
  draw.reset();
  decision.comment.value = "";
  decision.verdict = null;
  WSI.heatLook.areLinesOn = true;
  WSI.heatLook.kind = "score";
  bar.flick(true);
  bar.setThreshold(0);
  bar.setOpacity(0.5);
  bar.setColors("viridis");
  document.activeElement.blur();
  await WSI.desk.open(slide);
}"""
"""Puts the page back to how it is when the first case was just opened."""

NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, img, dialog, a, summary")]
  .filter((one) => one.checkVisibility())
  .filter((one) => {
    const named = one.getAttribute("aria-label") || one.textContent.trim() || one.title || one.placeholder;
    const labeled = one.labels && [...one.labels].some((label) => label.textContent.trim());
    const silent = one.tagName === "IMG" && one.hasAttribute("alt");
    return !(named || labeled || silent || one.getAttribute("aria-labelledby"));
  })
  .map((one) => one.outerHTML.slice(0, 120))"""
"""Controls and pictures that a screen reader has no name for."""

PALE = """() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const line = [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2];
  };
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const words = [...one.childNodes].filter((node) => node.nodeType === 3 && node.textContent.trim());
    if (!words.length || !one.checkVisibility() || one.matches(":disabled, :disabled *, .skip, option")) continue;
    if (one.closest(".empty")) continue;
    const [text, back] = [light(rgba(getComputedStyle(one).color)), light(ground(one))];
    const ratio = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${one.outerHTML.slice(0, 100)}`);
  }
  return found;
}"""
"""Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3)."""
