"""The review page in a real browser, over a real run: what a pathologist does, by pointer and by keys."""

import gzip
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.export.test_geojson import check_rules
from tests.flow.test_kinds import model as drawn_model
from tests.review.browser import (
    AS_NEW,
    NAMELESS,
    PALE,
    Server,
    at_rest,
    chromium,
    draw_slides,
    open_page,
    picture,
    run,
)
from tests.review.serving import reviewed
from wsi.export.words import probability
from wsi.results import Result

CHROMIUM = chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; WSI_CHROMIUM may name one"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_slides(tmp_path_factory.mktemp("drawn") / "slides")


@pytest.fixture(scope="module")
def finished(home: Path, slides: Path) -> Path:
    """OUT of a run that nobody has reviewed."""
    out = slides.parent / "OUT"
    run(home, slides, "-o", out, "-q")
    return out


@pytest.fixture(scope="module")
def other(home: Path, finished: Path, slides: Path) -> tuple[Path, Path]:
    """OUT of another model over the same slides, and that model's folder."""
    model = drawn_model(home / "other", "clam-sb", "multiclass")
    out = Path(shutil.copytree(finished, slides.parent / "OUT2"))
    run(home, slides, "-o", out, "-m", model, "-q")
    return out, model


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to decide in."""
    return Path(shutil.copytree(finished, tmp_path / "OUT"))


@pytest.fixture(scope="module")
def shared(home: Path, finished: Path) -> Iterator[Server]:
    """A server for those who only look."""
    with Server(home, finished) as server:
        yield server


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where pictures of the page go: the folder that WSI_SHOTS names, or a temporary one."""
    folder = Path(os.environ.get("WSI_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page(window: Browser) -> Iterator[Page]:
    """A page that must not complain: no error, no warning, no breach of its policy."""
    found, complaints = open_page(window)
    yield found
    found.context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def lasting(window: Browser, shared: Server) -> Iterator[tuple[Page, list[str]]]:
    """A page that stays open for those who only look."""
    found, complaints = open_page(window)
    enter(found, shared.link)
    yield found, complaints
    found.context.close()


@pytest.fixture
def look(lasting: tuple[Page, list[str]]) -> Iterator[Page]:
    """The lasting page as it is when a case was just opened; it must not complain either."""
    found, complaints = lasting
    found.evaluate(AS_NEW)
    found.wait_for_timeout(50)
    at_rest(found)
    yield found
    assert complaints == []


def enter(page: Page, link: str, slide: str = "a.svs") -> None:
    """Come in by the link, open a case and wait until its tiles and heat are there."""
    page.goto(link)
    row(page, slide).click()
    expect(page.locator("#case-title")).to_contain_text(slide)
    at_rest(page)


def row(page: Page, name: str) -> Locator:
    return page.locator(".case", has_text=name)


def leave(page: Page) -> None:
    """Ask nothing more of a server that ends."""
    at_rest(page)
    page.goto("about:blank")


def slide_id(page: Page) -> str:
    return str(page.evaluate("() => WSI.desk.item.slide"))


def center(page: Page) -> tuple[float, float]:
    at = page.evaluate("() => { const { x, y } = WSI.desk.stage.main.viewer.camera; return [x, y]; }")
    return at[0], at[1]


def look_at(page: Page, x: float, y: float, scale: float) -> None:
    """Put level-0 px (x, y) into the middle at a scale in CSS px a level-0 px."""
    page.evaluate(
        """([x, y, scale]) => { const { viewer } = WSI.desk.stage.main;
          viewer.camera.rest(); Object.assign(viewer.camera, { x, y, scale }); viewer.redraw(); }""",
        [x, y, scale],
    )
    page.wait_for_timeout(100)
    at_rest(page)


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return where level-0 px (x, y) lies in the window."""
    at = page.evaluate(
        """([x, y]) => { const { viewer } = WSI.desk.stage.main; const box = viewer.host.getBoundingClientRect();
          const at = viewer.camera.toScreen(x, y); return [box.left + at.x, box.top + at.y]; }""",
        [x, y],
    )
    return at[0], at[1]


def test_link_opens_the_worklist_with_research_use_only_and_what_was_refused(
    page: Page, shared: Server, shots: Path
) -> None:
    enter(page, shared.link)
    assert "token" not in page.url
    expect(page.get_by_text("Research use only. Not for diagnosis.")).to_be_visible()
    assert page.locator(".case").count() == 4
    expect(row(page, "no-scale.svs")).to_contain_text("refused E_MPP_MISSING")
    expect(row(page, "empty.svs")).to_contain_text("refused E_UNREADABLE")
    page.screenshot(path=shots / "worklist.png")
    row(page, "empty.svs").click()
    expect(page.locator("#evidence")).to_contain_text("the file is empty")
    expect(page.locator("#evidence")).to_contain_text("Next step: Check that the file is whole")
    expect(page.locator("#decision")).to_be_hidden()
    page.screenshot(path=shots / "refused.png")


def test_slide_is_drawn_px_for_px_where_the_file_has_it(look: Page, slides: Path) -> None:
    look.keyboard.press("h")
    look.keyboard.press("o")
    with tifffile.TiffFile(slides / "case" / "a.svs") as file:
        pixels = file.pages[0].asarray()
    for x, y in ((740, 780), (800, 900), (1500, 1400), (40, 40)):
        look_at(look, x, y, 1.0)
        shown = picture(look, "tiles", x + 0.5, y + 0.5)[:3]
        assert np.abs(np.array(shown) - pixels[y, x]).max() <= 6, "two JPEG decoders round differently"


def test_heat_has_each_tiles_color_and_follows_threshold_opacity_and_map(look: Page, shots: Path) -> None:
    look.keyboard.press("o")
    look.get_by_label("Layer of the heat").select_option("attention")
    expect(look.locator("#heatbar")).to_contain_text("attention (where the model looked; not a probability)")
    told = look.evaluate(
        """async () => { const { item, stage } = WSI.desk; const grid = item.heat;
          const bytes = [...await WSI.desk.store.heat(item, "attention")];
          const hottest = bytes.indexOf(Math.max(...bytes));
          return { byte: bytes[hottest], x: grid.x0 + (hottest % grid.columns + 0.5) * grid.step_x,
            y: grid.y0 + (Math.floor(hottest / grid.columns) + 0.5) * grid.step_y }; }"""
    )
    share = (told["byte"] - 1) / 254
    for colormap in ("viridis", "magma", "cividis"):
        look.get_by_label("Color map").select_option(colormap)
        at_rest(look)
        red, green, blue, alpha = picture(look, "lines", told["x"], told["y"])
        assert alpha == pytest.approx(127.5, abs=1), "half opaque"
        expected = look.evaluate("([name, share]) => WSI.colorOf(name, share)", [colormap, share])
        assert np.abs(np.array([red, green, blue]) - expected).max() <= 2, "premultiplied by alpha"
        look.screenshot(path=shots / f"heat-{colormap}.png")
    look.get_by_label("Opacity").fill("100")
    at_rest(look)
    assert picture(look, "lines", told["x"], told["y"])[3] == 255
    look.get_by_label("Threshold").fill(str(told["byte"] - 1))
    at_rest(look)
    assert picture(look, "lines", told["x"], told["y"])[3] == 255, "at the threshold is shown"
    expect(look.locator(".reading")).to_contain_text("1 of")
    look.screenshot(path=shots / "threshold.png")
    look.keyboard.press(".")
    at_rest(look)
    assert picture(look, "lines", told["x"], told["y"])[3] == 0, "below it is clear"


def test_heat_flicks_off_and_on_by_one_key(look: Page) -> None:
    look.keyboard.press("o")

    def painted() -> bool:
        at_rest(look)
        return bool(
            look.evaluate(
                """() => { const canvas = document.querySelector("canvas.lines");
                  const pen = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
              pen.drawImage(canvas, 0, 0);
              return pen.getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean); }"""
            )
        )

    assert painted()
    look.keyboard.press("h")
    assert not painted()
    look.keyboard.press("h")
    assert painted()


def test_colors_of_the_maps_rise_in_luminance_all_the_way(look: Page) -> None:
    for name in ("viridis", "magma", "cividis"):
        colors = look.evaluate("(name) => [...Array(256).keys()].map((at) => WSI.colorOf(name, at / 255))", name)
        linear = np.array(colors) / 255
        linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
        assert (np.diff(linear @ [0.2126, 0.7152, 0.0722]) > -1e-3).all()


def test_click_on_a_tile_of_the_gallery_flies_there(look: Page, shots: Path) -> None:
    tile = look.evaluate("() => WSI.desk.item.top[0]")
    look.locator(".gallery .tile").first.click()
    look.wait_for_timeout(100)
    at_rest(look)
    x, y = center(look)
    assert (x, y) == pytest.approx((tile["x"] + tile["size_x"] / 2, tile["y"] + tile["size_y"] / 2), abs=0.5)
    look.screenshot(path=shots / "gallery.png")


def test_wheel_zooms_about_the_pointer_and_dragging_moves_with_it(look: Page) -> None:
    x, y = 600, 400
    point = look.evaluate("""([x, y]) => { const { viewer } = WSI.desk.stage.main;
      const box = viewer.host.getBoundingClientRect(); const at = viewer.camera.toSlide(x - box.left, y - box.top);
      return [at.x, at.y]; }""", [x, y])  # fmt: skip
    look.mouse.move(x, y)
    look.mouse.wheel(0, -600)
    look.wait_for_timeout(100)
    at_rest(look)
    assert on_screen(look, *point) == pytest.approx((x, y), abs=0.5)
    look.mouse.down()
    look.mouse.move(x - 60, y - 40, steps=4)
    look.wait_for_timeout(120)
    look.mouse.up()
    at_rest(look)
    assert on_screen(look, *point) == pytest.approx((x - 60, y - 40), abs=1)


def test_magnification_keys_show_what_they_say(look: Page) -> None:
    for key, power in (("1", 5), ("2", 10), ("3", 20), ("4", 40)):
        look.keyboard.press(key)
        look.wait_for_timeout(100)
        at_rest(look)
        scale = look.evaluate("() => WSI.desk.stage.main.viewer.camera.scale")
        assert 0.5 / scale == pytest.approx(10 / power), "µm a px on the screen: 10 at 1×"
        expect(look.locator(".ruler")).to_contain_text(f"{power}×")


def test_turned_slide_keeps_pointer_and_px_together(look: Page) -> None:
    x, y = on_screen(look, 900, 700)
    middle = on_screen(look, *center(look))
    look.keyboard.press("r")
    look.wait_for_timeout(100)
    at_rest(look)
    assert on_screen(look, 900, 700) == pytest.approx((middle[0] - (y - middle[1]), middle[1] + (x - middle[0])), abs=1)


def test_two_slides_of_a_case_move_as_one(look: Page, shots: Path) -> None:
    look.keyboard.press("v")
    look.locator(".beside").wait_for()
    look.wait_for_function("() => WSI.desk.stage.other?.item")  # then both are aligned, which ends a flight
    at_rest(look)
    look.keyboard.press("2")
    look.wait_for_timeout(100)
    at_rest(look)
    poses = look.evaluate(
        "() => WSI.desk.stage.panes.map(({ viewer: { camera } }) => [camera.x, camera.y, camera.scale])"
    )
    assert poses[0] == pytest.approx(poses[1])
    assert poses[0][2] == pytest.approx(0.5), "10× at 0.5 µm a px: the flight came to its end"
    look.screenshot(path=shots / "side-by-side.png")


POSES = """() => WSI.desk.stage.panes.map(({ viewer: { camera } }) => [camera.x, camera.y, camera.scale, camera.rotation])"""


def split(page: Page) -> None:
    """Put a second pane beside the first."""
    page.keyboard.press("v")
    page.wait_for_function("() => WSI.desk.stage.other?.item")
    at_rest(page)


def test_other_model_stands_beside_over_the_same_px_and_moves_along(
    page: Page, finished: Path, other: tuple[Path, Path], shots: Path
) -> None:
    with reviewed(finished, beside=other[0], model=other[1]) as link:
        enter(page, link)
        page.keyboard.press("2")
        page.wait_for_timeout(100)
        at_rest(page)
        at = center(page)
        split(page)
        assert center(page) == pytest.approx(at), "it opens where the person looks"
        page.keyboard.press("r")
        page.keyboard.press("3")
        page.wait_for_timeout(100)
        at_rest(page)
        poses = page.evaluate(POSES)
        assert poses[0] == pytest.approx(poses[1])
        assert poses[0][2:] == pytest.approx([1.0, np.pi / 2])
        hot, own = (page.evaluate("(at) => [...WSI.desk.stage.panes[at].heat.values]", pane) for pane in (1, 0))
        assert (len(hot), hot == own) == (len(own), False), "the other model's heat on the same grid"
        told = Result.model_validate_json((other[0] / "slides" / slide_id(page) / "result.json").read_bytes())
        captions = page.locator(".caption")
        expect(captions.first).to_contain_text("tumor 1")
        expect(captions.last.locator("option:checked")).to_have_text("tiny 1")
        expect(captions.last).to_contain_text(f"{told.grade}, P(")
        expect(page.locator("details.model").last).to_contain_text("About the other model")
        page.screenshot(path=shots / "other-model.png")
        page.keyboard.press("k")
        expect(page.locator("#case-title")).to_contain_text("b.svs")
        page.wait_for_function("() => WSI.desk.stage.other?.item?.slide === WSI.desk.item.slide")
        page.get_by_label("On the right").select_option(label="case/a.svs")
        expect(captions.first).to_contain_text("b.svs")
        page.keyboard.press("v")
        expect(page.locator(".pane")).to_have_count(1)
        leave(page)


def test_blind_review_hides_the_other_model_too(page: Page, out: Path, other: tuple[Path, Path]) -> None:
    with reviewed(out, beside=other[0], blind=True, reviewer="B. Blind") as link:
        enter(page, link)
        split(page)
        expect(page.locator(".caption").last).to_contain_text("AI hidden until your own read")
        assert page.evaluate("() => WSI.desk.stage.other.heat") is None
        page.locator(".grades").get_by_text("not malignant", exact=True).click()
        page.get_by_role("button", name="Record and show the AI").click()
        expect(page.locator(".headline")).to_contain_text("P(malignant)")
        page.wait_for_function("() => WSI.desk.stage.other?.heat?.values")
        expect(page.locator(".caption").last).to_contain_text("P(")
        leave(page)


def test_blind_review_hides_the_ai_until_the_own_read(page: Page, out: Path, shots: Path) -> None:
    with reviewed(out, blind=True, reviewer="B. Blind") as link:
        enter(page, link)
        text = page.locator("body").inner_text()
        hidden = Result.model_validate_json((out / "slides" / slide_id(page) / "result.json").read_bytes())
        told = [probability(one.probability) for one in hidden.classes]
        assert not [one for one in (*told, "P(malignant)", "Look first", "Highest") if one in text]
        assert "probability" not in page.evaluate("() => JSON.stringify([WSI.desk.item, WSI.desk.list.items])")
        expect(page.locator("#heatbar")).to_contain_text("The heat is shown after your own read")
        expect(row(page, "a.svs")).to_contain_text("AI hidden until your own read")
        page.screenshot(path=shots / "blind.png")
        page.get_by_role("button", name="Record and show the AI").click()
        expect(page.locator("#messages")).to_contain_text("Choose the grade that you see")
        page.locator(".grades").get_by_text("not malignant", exact=True).click()
        page.get_by_role("button", name="Record and show the AI").click()
        expect(page.locator(".headline")).to_contain_text("P(malignant)")
        expect(page.locator(".history")).to_contain_text("B. Blind read it alone: not malignant")
        expect(row(page, "b.svs")).to_contain_text("AI hidden until your own read")
        leave(page)


def test_drawn_disagreement_survives_a_restart_and_reaches_qupath(
    page: Page, home: Path, out: Path, slides: Path, shots: Path
) -> None:
    ring = [(500.0, 600.0), (900.0, 520.0), (1100.0, 900.0), (600.0, 1000.0)]
    with reviewed(out, slides=slides) as link:
        enter(page, link)
        slide = slide_id(page)
        page.keyboard.press("x")
        page.keyboard.press("d")
        for x, y in ring:
            page.mouse.click(*on_screen(page, x, y))
        page.screenshot(path=shots / "drawing.png")
        page.keyboard.press("Enter")
        page.get_by_label("Your name").fill("A. Miller")
        page.locator(".grades").get_by_text("malignant", exact=True).click()
        page.get_by_label("Class of outline 1").select_option("not malignant")
        page.get_by_label("Comment").fill("Reactive; see outline <1>.")
        page.screenshot(path=shots / "disagree.png")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#messages")).to_contain_text("Recorded as no. 1")
        expect(row(page, "a.svs")).to_contain_text("disagreed")
        leave(page)
    with reviewed(out, slides=slides) as link:
        enter(page, link)
        expect(page.locator(".history")).to_contain_text("A. Miller disagreed: malignant · 1 outline")
        expect(page.locator(".history")).to_contain_text("Reactive; see outline <1>.")
        page.screenshot(path=shots / "after-restart.png")
        leave(page)
    run(home, "export", out)
    drawn = drawn_objects(out, slide)
    assert [feature["properties"]["classification"]["name"] for feature in drawn] == ["not malignant"]
    found = np.array(drawn[0]["geometry"]["coordinates"][0])
    near = np.abs(found[:, None] - np.array(ring)[None]).max(axis=2).min(axis=0)
    assert near.max() < 4, "a CSS px is three px of the slide here"


def drawn_objects(out: Path, slide: str) -> list[dict[str, Any]]:
    """Return the drawn objects of a slide's file for QuPath, all of whose objects keep QuPath's rules."""
    (path,) = (out / "slides" / slide).glob("*.geojson.gz")
    content = json.loads(gzip.decompress(path.read_bytes()))
    scale = Result.model_validate_json((path.parent / "result.json").read_bytes()).scale
    assert scale is not None
    check_rules(content, scale)
    return [one for one in content["features"] if one["properties"].get("name", "").startswith("Drawn")]


def test_case_is_reviewed_with_keys_alone(page: Page, out: Path) -> None:
    with reviewed(out, reviewer="K. Board") as link:
        page.goto(link)
        expect(page.locator("#case-title")).to_contain_text("case/")
        first = slide_id(page)
        page.keyboard.press("d")
        expect(page.locator(".pane")).to_be_focused()
        for key in ("ArrowRight", "ArrowDown", "ArrowLeft"):
            page.keyboard.press(" ")
            page.keyboard.press(key)
            at_rest(page)
        page.keyboard.press("Enter")
        expect(page.locator(".drawn")).to_contain_text("Outline 1")
        page.keyboard.press("u")
        page.keyboard.press("g")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#messages")).to_contain_text("Recorded as no. 1")
        expect(page.get_by_role("button", name="Next to review")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#case-title")).to_contain_text("b.svs" if "case_a" in first else "a.svs")
        page.keyboard.press("a")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#messages")).to_contain_text("Recorded as no. 2")
        page.keyboard.press("n")
        expect(page.locator("#messages")).to_contain_text("All cases shown here are reviewed")
        leave(page)


def test_tab_reaches_every_part_and_the_focus_shows(look: Page) -> None:
    look.evaluate("() => document.activeElement.blur()")
    parts = set()
    for _ in range(70):
        look.keyboard.press("Tab")
        part, width = look.evaluate(
            """() => { const one = document.activeElement;
              return [one.closest("[id]")?.id, getComputedStyle(one).outlineWidth]; }"""
        )
        parts.add(part)
        assert part is None or float(width.removesuffix("px")) >= 2, f"no visible focus in {part}"
    assert {"worklist", "stage-tools", "heatbar", "evidence", "decision"} <= parts


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_controls_have_names_and_texts_have_contrast(
    window: Browser, shared: Server, shots: Path, scheme: Literal["light", "dark"]
) -> None:
    page, complaints = open_page(window, color_scheme=scheme)
    enter(page, shared.link)
    page.keyboard.press("x")
    page.locator("details.model summary").click()
    page.locator("details.filters summary").click()
    page.screenshot(path=shots / f"{scheme}.png")
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(PALE) == []
    page.keyboard.press("?")
    page.screenshot(path=shots / f"help-{scheme}.png")
    assert page.evaluate(PALE) == []
    page.context.close()
    assert complaints == []


def test_tablet_opens_the_worklist_as_a_drawer_and_targets_are_large(
    window: Browser, shared: Server, shots: Path
) -> None:
    page, complaints = open_page(window, size=(1024, 768), has_touch=True)
    page.goto(shared.link)
    page.locator("#case-title").wait_for()
    expect(page.locator("#worklist")).to_be_hidden()
    page.screenshot(path=shots / "tablet.png")
    page.get_by_role("button", name="Cases").tap()
    row(page, "b.svs").tap()
    expect(page.locator("#case-title")).to_contain_text("b.svs")
    expect(page.locator("#worklist")).to_be_hidden()
    small = page.evaluate(
        """() => [...document.querySelectorAll("button")].filter((one) => one.checkVisibility())
          .filter((one) => Math.min(one.offsetWidth, one.offsetHeight) < 24).map((one) => one.outerHTML)"""
    )
    assert small == [], "WCAG 2.2, 2.5.8: 24 px"
    page.context.close()
    assert complaints == []


class Fingers:
    """Fingers on a touch screen, told by Chromium's own protocol; places in CSS px of the window."""

    def __init__(self, page: Page) -> None:
        self._page, self._wire = page, page.context.new_cdp_session(page)
        self._down: dict[int, tuple[float, float]] = {}

    def put(self, finger: int, x: float, y: float) -> None:
        self._down[finger] = (x, y)
        self._tell("touchStart", self._down)

    def move(self, *places: tuple[float, float], steps: int = 10) -> None:
        """Move the fingers that are down, in their order, to these places along straight lines."""
        start = np.array(list(self._down.values()))
        for share in np.linspace(1 / steps, 1, steps):
            now = start + share * (np.array(places) - start)
            self._down = {finger: (x, y) for finger, (x, y) in zip(self._down, now.tolist(), strict=True)}
            self._tell("touchMove", self._down)

    def lift(self, finger: int) -> None:
        self._tell("touchEnd", {finger: self._down.pop(finger)})

    def _tell(self, kind: str, fingers: dict[int, tuple[float, float]]) -> None:
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in fingers.items()]
        self._wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pinch(self, start: list[tuple[float, float]], end: list[tuple[float, float]]) -> None:
        """Put two fingers down, move them and lift them."""
        for finger, place in enumerate(start):
            self.put(finger, *place)
        self.move(*end)
        for finger in range(len(start)):
            self.lift(finger)
        at_rest(self._page)


@pytest.fixture
def tablet(window: Browser, shared: Server) -> Iterator[Page]:
    """A page on a touch screen, its first case open; it must not complain."""
    page, complaints = open_page(window, size=(1024, 768), has_touch=True)
    page.goto(shared.link)
    page.locator("#case-title").wait_for()
    at_rest(page)
    yield page
    page.context.close()
    assert complaints == []


def slide_at(page: Page, x: float, y: float) -> list[float]:
    """Return the level-0 px under a place in the window."""
    found: list[float] = page.evaluate(
        """([x, y]) => { const { viewer } = WSI.desk.stage.main; const box = viewer.host.getBoundingClientRect();
          const at = viewer.camera.toSlide(x - box.left, y - box.top); return [at.x, at.y]; }""",
        [x, y],
    )
    return found


def test_two_fingers_zoom_about_their_middle_and_move_with_it(tablet: Page) -> None:
    scale = tablet.evaluate("() => WSI.desk.stage.main.viewer.camera.scale")
    middle = slide_at(tablet, 350, 350)
    Fingers(tablet).pinch([(300, 350), (400, 350)], [(230, 380), (430, 380)])
    assert tablet.evaluate("() => WSI.desk.stage.main.viewer.camera.scale") == pytest.approx(2 * scale, rel=1e-3)
    assert on_screen(tablet, *middle) == pytest.approx((330, 380), abs=0.5)
    middle = slide_at(tablet, 300, 400)
    Fingers(tablet).pinch([(200, 300), (400, 500)], [(250, 350), (350, 450)])
    assert tablet.evaluate("() => WSI.desk.stage.main.viewer.camera.scale") == pytest.approx(scale, rel=1e-3)
    assert on_screen(tablet, *middle) == pytest.approx((300, 400), abs=0.5)
    assert tablet.evaluate("() => window.visualViewport.scale") == 1, "the page itself isn't zoomed"


def test_finger_that_stays_after_a_pinch_moves_the_slide_without_a_jump(tablet: Page) -> None:
    fingers = Fingers(tablet)
    fingers.put(0, 300, 300)
    fingers.put(1, 400, 300)
    fingers.move((280, 300), (420, 300))
    fingers.lift(1)
    under = slide_at(tablet, 280, 300)
    fingers.move((330, 320))
    tablet.wait_for_timeout(120)
    fingers.lift(0)
    at_rest(tablet)
    assert on_screen(tablet, *under) == pytest.approx((330, 320), abs=1)


def test_second_finger_makes_a_pinch_of_what_began_as_drawing(tablet: Page) -> None:
    scale = tablet.evaluate("() => WSI.desk.stage.main.viewer.camera.scale")
    tablet.get_by_role("toolbar").get_by_role("button", name="Draw").tap()
    Fingers(tablet).pinch([(300, 350), (400, 350)], [(250, 350), (450, 350)])
    assert tablet.evaluate("() => WSI.desk.draw.draft") == []
    assert tablet.evaluate("() => WSI.desk.stage.main.viewer.camera.scale") == pytest.approx(2 * scale, rel=1e-3)
    for x, y in ((250, 250), (350, 260), (340, 360)):
        tablet.touchscreen.tap(x, y)
    assert len(tablet.evaluate("() => WSI.desk.draw.draft")) == 3


def test_search_and_filters_leave_what_was_asked_for(page: Page, shared: Server) -> None:
    enter(page, shared.link)
    page.keyboard.press("/")
    page.keyboard.type("no-scale")
    assert page.locator(".case").count() == 1
    page.get_by_label("Find a case").fill("")
    page.locator(".filters summary").click()
    page.get_by_label("Status").select_option("refused")
    assert page.locator(".case").count() == 2
    expect(page.locator(".filters summary")).to_have_text("Filter (1 on)")
    page.get_by_label("Review").select_option("yes")
    expect(page.locator(".nothing")).to_contain_text("No case answers the filter")


def test_each_filter_leaves_what_it_asks_for(look: Page) -> None:
    def item(name: str, **told: object) -> dict[str, object]:
        plain = {"name": name, "status": "ok", "code": "", "reason": "", "refer": False, "flags": [], "out_of_distribution": None, "reviewed": False}  # fmt: skip
        return {**plain, "ai": {"label": "benign", "confidence": 0.95}, **told}

    items = [
        item("plain"),
        item("partly", status="partial", flags=["blur", "unreadable-tiles"]),
        item("refused", status="refused", ai=None, reviewed=True),
        item("referred", refer=True, ai={"label": "malignant", "confidence": 0.6}),
        item("unlike", flags=["out-of-distribution"]),
        item("far", out_of_distribution=1.3),
    ]

    def left(**asked: str) -> list[str]:
        return list(
            look.evaluate("([items, asked]) => WSI.sift(items, asked, '').map(({ name }) => name)", [items, asked])
        )

    assert left(status="partial") == ["partly"]
    assert left(mark="refer") == ["referred"]
    assert left(mark="unfamiliar") == ["unlike", "far"]
    assert left(mark="quality") == left(mark="blur") == ["partly"]
    assert left(grade="malignant") == left(confidence="unsure") == ["referred"]
    assert left(confidence="sure") == ["plain", "partly", "unlike", "far"]
    assert left(reviewed="yes") == left(status="refused") == ["refused"]
    assert left(mark="quality", status="ok") == []


def test_pointer_over_a_tile_tells_its_score_and_beside_the_tissue_nothing(look: Page) -> None:
    tile = look.evaluate("() => WSI.desk.item.top[0]")
    look_at(look, tile["x"], tile["y"], 0.5)
    look.mouse.move(*on_screen(look, tile["x"] + 100, tile["y"] + 100))
    expect(look.locator(".chip")).to_have_text(f"P(malignant) {probability(tile['score'])}".replace("< ", "<\u2009").replace("> ", ">\u2009"))  # fmt: skip
    look.get_by_label("Layer of the heat").select_option("attention")
    look.mouse.move(*on_screen(look, tile["x"] + 110, tile["y"] + 100))
    expect(look.locator(".chip")).to_contain_text("Attention percentile ")
    look_at(look, -200, -200, 0.5)
    look.mouse.move(*on_screen(look, 4, 4))
    expect(look.locator(".chip")).to_be_hidden()


def test_slow_disk_is_told_of_while_it_lasts(page: Page, shared: Server) -> None:
    held: list[Route] = []
    is_slow = True

    def serve(route: Route) -> None:
        held.append(route) if is_slow else route.continue_()

    enter(page, shared.link)
    page.route(re.compile("/tiles/|/api/cases/[^/]+$"), serve)
    page.keyboard.press("4")
    expect(page.locator(".waiting")).to_contain_text("The disk is slow; what is there stays usable")
    row(page, "b.svs").click()
    expect(page.locator(".empty-stage")).to_contain_text("Opening the case. The disk takes its time")
    is_slow = False
    for route in held:
        route.continue_()
    expect(page.locator("#case-title")).to_contain_text("b.svs")
    at_rest(page)
    expect(page.locator(".waiting")).to_be_hidden()


def test_nothing_is_recorded_for_a_case_that_is_not_open(window: Browser, out: Path, slides: Path) -> None:
    page, _complaints = open_page(window)
    with reviewed(out, slides=slides, reviewer="A. Miller") as link:
        enter(page, link)
        page.route(
            re.compile("/api/cases/[^/]+$"), lambda route: route.abort() if route.request.method == "GET" else None
        )
        row(page, "b.svs").click()
        expect(page.locator(".empty-stage")).to_contain_text("The server doesn't answer")
        expect(page.locator("#decision")).to_be_hidden()
        expect(page.locator("#evidence")).not_to_contain_text("a.svs")
        page.keyboard.press("a")
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(300)
        leave(page)
    page.context.close()
    assert not (out / "review").exists()


def test_who_goes_on_while_a_decision_is_saved_stays_there(page: Page, out: Path, slides: Path) -> None:
    held: list[Route] = []
    with reviewed(out, slides=slides, reviewer="A. Miller") as link:
        enter(page, link)
        page.route(re.compile("/decisions$"), lambda route: held.append(route))
        page.keyboard.press("a")
        page.keyboard.press("Control+Enter")
        row(page, "b.svs").click()
        expect(page.locator("#case-title")).to_contain_text("b.svs")
        for route in held:
            route.continue_()
        expect(page.locator("#messages")).to_contain_text("Recorded as no. 1")
        expect(row(page, "a.svs")).to_contain_text("agreed")
        expect(page.locator("#case-title")).to_contain_text("b.svs")
        leave(page)


def test_draft_outlives_other_cases_and_a_reload(page: Page, out: Path, slides: Path) -> None:
    with reviewed(out, slides=slides, blind=True, reviewer="B. Blind") as link:
        enter(page, link)
        page.locator(".grades").get_by_text("malignant", exact=True).click()
        page.keyboard.press("d")
        page.mouse.click(*on_screen(page, 500, 600))
        page.mouse.click(*on_screen(page, 900, 520))
        row(page, "b.svs").click()
        expect(page.locator("#case-title")).to_contain_text("b.svs")
        assert page.evaluate("() => WSI.desk.decision.picked") is None
        row(page, "a.svs").click()
        expect(page.locator("#case-title")).to_contain_text("a.svs")
        page.reload()
        expect(page.locator("#case-title")).to_contain_text("a.svs")
        at_rest(page)
        assert page.evaluate("() => WSI.desk.decision.picked") == "malignant"
        page.keyboard.press("Control+Enter")
        expect(page.locator("#messages")).to_contain_text(
            "An outline isn't closed. An outline needs three points or more"
        )
        page.mouse.click(*on_screen(page, 900, 1000))
        page.keyboard.press("Control+Enter")
        expect(page.locator(".history")).to_contain_text("B. Blind read it alone: malignant · 1 outline")
        expect(page.locator(".drawn")).to_contain_text("Outline 1")  # what the final decision goes on from
        assert page.evaluate("() => WSI.desk.drafts.get(WSI.desk.item.slide)") is None
        leave(page)


def test_own_read_may_be_that_one_cannot_tell(page: Page, out: Path, slides: Path) -> None:
    with reviewed(out, slides=slides, blind=True, reviewer="B. Blind") as link:
        enter(page, link)
        page.keyboard.press("u")
        page.keyboard.press("Control+Enter")
        expect(page.locator(".history")).to_contain_text("B. Blind read it alone: can't tell")
        page.keyboard.press("x")
        label = page.evaluate("() => WSI.desk.item.ai.label")
        page.locator(".grades").get_by_text(label, exact=True).click()
        page.keyboard.press("Control+Enter")
        expect(page.locator("#messages")).to_contain_text("That is the model's grade")
        leave(page)


def test_slide_that_vanishes_while_it_is_looked_at_is_told_of(window: Browser, shared: Server) -> None:
    page, _complaints = open_page(window)
    gone = {"error": {"message": "The slide isn't where it lay", "next": "Bring it back."}}
    enter(page, shared.link)
    page.route(re.compile("/tiles/"), lambda route: route.fulfill(status=404, json=gone))
    page.keyboard.press("4")
    expect(page.locator(".lost")).to_contain_text("The slide isn't where it lay. Bring it back.")
    page.unroute_all()
    look_at(page, 900, 700, 0.5)
    expect(page.locator(".lost")).to_be_hidden()
    page.context.close()


def test_decision_keeps_the_place_that_is_looked_at(page: Page, out: Path, slides: Path) -> None:
    with reviewed(out, slides=slides, reviewer="A. Miller") as link:
        enter(page, link)
        look_at(page, 900, 700, 1.0)
        page.keyboard.press("a")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#messages")).to_contain_text("Recorded as no. 1")
        at_rest(page)
        assert center(page) == (900, 700)
        leave(page)


def test_keys_act_on_the_pane_with_the_focus_and_magnify_both_that_are_tied(look: Page) -> None:
    split(look)
    look.get_by_label("move as one").uncheck()
    look.locator(".pane").nth(1).focus()
    before = look.evaluate(POSES)
    look.keyboard.press("r")
    look.keyboard.press("+")
    at_rest(look)
    left, right = look.evaluate(POSES)
    assert left == before[0]
    assert right[2] > before[1][2]
    look.get_by_label("move as one").check()
    look.locator(".pane").nth(1).focus()
    look.keyboard.press("3")
    look.wait_for_timeout(100)
    at_rest(look)
    assert [pose[2] for pose in look.evaluate(POSES)] == pytest.approx([1.0, 1.0]), "20× at 0.5 µm a px"


def test_outline_that_crosses_itself_is_not_kept(look: Page) -> None:
    look.keyboard.press("d")
    for x, y in ((500, 500), (900, 900), (900, 500), (500, 900)):
        look.mouse.click(*on_screen(look, x, y))
    look.keyboard.press("Enter")
    expect(look.locator("#messages")).to_contain_text("crosses itself")
    look.keyboard.press("Backspace")
    look.keyboard.press("Enter")
    expect(look.locator(".drawn")).to_contain_text("Outline 1")
    look.keyboard.press("Control+z")
    expect(look.locator(".drawn")).to_be_empty()


def test_freehand_line_becomes_an_outline_whose_points_move_and_go(look: Page) -> None:
    look.keyboard.press("d")
    x, y = on_screen(look, 1000, 1000)
    look.mouse.move(x + 80, y)
    look.mouse.down()
    for angle in np.linspace(0, 1.9 * np.pi, 40):
        look.mouse.move(x + 80 * np.cos(angle), y + 80 * np.sin(angle))
    look.mouse.up()
    expect(look.locator(".drawn")).to_contain_text("Outline 1")
    ring = look.evaluate("() => WSI.desk.draw.shapes[0].points")
    area = look.evaluate("(points) => WSI.shapes.area(points)", ring)
    scale = look.evaluate("() => WSI.desk.stage.main.viewer.camera.scale")
    assert area * scale**2 == pytest.approx(np.pi * 80**2, rel=0.04), "a circle of 80 CSS px"
    look.mouse.move(*on_screen(look, *ring[0]))
    look.mouse.down()
    look.mouse.move(x + 140, y, steps=3)
    look.mouse.up()
    moved = look.evaluate("() => WSI.desk.draw.shapes[0].points[0]")
    assert on_screen(look, *moved) == pytest.approx((x + 140, y), abs=1)
    look.keyboard.press("Delete")
    expect(look.locator(".drawn")).to_be_empty()


def test_folder_opens_from_the_disk_and_hands_the_decision_out(
    page: Page, home: Path, finished: Path, other: tuple[Path, Path], tmp_path: Path, shots: Path
) -> None:
    folder = tmp_path / "STATIC"
    told = run(home, "review", finished, "--static", folder, "--static-mpx", "1", "--beside", other[0])
    assert "2 slides without the levels above 1 million px" in told
    page.goto((folder / "index.html").as_uri())
    row(page, "b.svs").click()
    expect(page.locator("#case-title")).to_contain_text("b.svs")
    page.wait_for_timeout(300)
    at_rest(page)
    expect(page.locator("#heatbar")).to_contain_text("all")
    assert page.evaluate("() => WSI.desk.stage.cache.tiles.size") > 0, "tiles came from the folder"
    assert page.locator(".gallery .missing").count() == 0
    page.screenshot(path=shots / "static.png")
    split(page)
    expect(page.locator(".caption option:checked")).to_have_text("tiny 1")
    assert page.evaluate("() => WSI.desk.stage.other.heat.values.length") > 0
    expect(page.locator(".ruler").first).not_to_contain_text("finer levels")
    page.keyboard.press("4")
    expect(page.locator(".ruler").first).to_contain_text("finer levels aren't in this folder")
    page.keyboard.press("a")
    page.get_by_label("Your name").fill("S. Tick")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()
    (entry,) = json.loads(download.value.path().read_text())
    assert (entry["who"], entry["verdict"], entry["stage"]) == ("S. Tick", "agree", "final")


def test_empty_folder_says_what_to_do(page: Page, tmp_path: Path, shots: Path) -> None:
    (tmp_path / "EMPTY").mkdir()
    with reviewed(tmp_path / "EMPTY") as link:
        page.goto(link)
        expect(page.locator("#worklist")).to_contain_text("This folder holds no case yet. Run wsi-run SLIDES -o OUT")
        page.screenshot(path=shots / "empty.png")


def test_vanished_slide_and_lost_server_are_told_of_and_nothing_typed_is_lost(
    window: Browser, out: Path, slides: Path, tmp_path: Path, shots: Path
) -> None:
    page, _complaints = open_page(window)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(slides, elsewhere)
    (elsewhere / "case" / "a.svs").unlink()
    shutil.rmtree(out / "qupath")
    with reviewed(out, slides=elsewhere) as link:
        enter(page, link)
        expect(page.locator("#evidence .trouble")).to_contain_text(re.compile("start with --slides", re.IGNORECASE))
        thumbnail = picture(page, "tiles", 700, 800)
        assert thumbnail[0] > thumbnail[1] + 20, "the overview's tissue, pink, stands in for the tiles"
        expect(page.locator(".headline")).to_contain_text("P(malignant)")
        page.screenshot(path=shots / "vanished.png")
        page.keyboard.press("u")
        page.get_by_label("Your name").fill("A. Miller")
        page.get_by_label("Comment").fill("is this still here")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#messages")).to_contain_text("Not recorded. The server doesn't answer")
    assert page.get_by_label("Comment").input_value() == "is this still here"
    page.screenshot(path=shots / "lost-server.png")
    page.context.close()
