"""The page over results made from figures: fingers that cross, answers that come late or not, storage that is full."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.review.browser import at_rest, chromium, open_page
from tests.review.cohort import TOKEN, DrawnTiles, make_out, open_folder
from tests.review.serving import running
from wsi.review import make_app

CHROMIUM = chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; WSI_CHROMIUM may name one"),
]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_out(tmp_path / "OUT")


@pytest.fixture
def page(window: Browser, out: Path) -> Iterator[Page]:
    """The page with the first case open, which never throws; requests may fail."""
    found, complaints = open_page(window)
    make = lambda port: make_app(open_folder(out), DrawnTiles(), token=TOKEN, port=port)
    with running(make, keep_alive_s=1) as port:
        found.goto(f"http://127.0.0.1:{port}/?token={TOKEN}")
        expect(found.locator("#case-title")).to_contain_text("1.svs")
        at_rest(found)
        yield found
        found.context.close()  # with its connections, while the server is there to see them end
    assert [one for one in complaints if not one.startswith("Failed to load resource")] == []


CORNERS = [[5000, 5000], [9000, 5000], [9000, 9000], [5000, 9000]]


def hold_corner(page: Page) -> None:
    """Draw a square and drag a corner of it over the edge beyond, with the button still down."""
    places = page.evaluate(
        """(points) => { const { draw, stage: { main: { viewer } } } = WSI.desk;
          draw.reset([{ id: "1", kind: "", points }]);
          draw.select({ x: 6000, y: 6000 });
          const box = viewer.host.getBoundingClientRect();
          return [[9000, 9000], [3000, 7000]].map(([x, y]) => viewer.camera.toScreen(x, y))
            .map(({ x, y }) => [box.left + x, box.top + y]); }""",
        CORNERS,
    )
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=3)
    assert page.evaluate("() => WSI.shapes.fault(WSI.desk.draw.shapes[0].points)").startswith("The outline crosses")


@pytest.mark.parametrize(("key", "left"), [("Control+z", [CORNERS]), ("Delete", []), ("d", [CORNERS])])
def test_key_during_a_drag_leaves_no_crossing_outline(page: Page, key: str, left: list[list[list[int]]]) -> None:
    hold_corner(page)
    page.keyboard.press(key)
    page.mouse.move(400, 300, steps=3)
    page.mouse.up()
    assert page.evaluate("() => WSI.desk.draw.shapes.map(({ points }) => points)") == left


def test_second_finger_puts_a_dragged_point_back(page: Page) -> None:
    hold_corner(page)
    fingers = [{"x": 500, "y": 300, "id": 1}]
    page.context.new_cdp_session(page).send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": fingers})
    page.mouse.up()
    assert page.evaluate("() => WSI.desk.draw.shapes[0].points") == CORNERS


def go_to(page: Page, name: str) -> None:
    page.locator(".case", has_text=name).click()
    expect(page.locator("#case-title")).to_contain_text(name)


def test_slide_opened_while_the_one_before_still_turns_is_upright(page: Page) -> None:
    page.keyboard.press("r")
    go_to(page, "2.svs")
    at_rest(page)
    assert page.evaluate("() => WSI.desk.stage.main.viewer.camera.rotation") == 0


@pytest.mark.parametrize("when", ["before", "on its way"])
def test_whole_slide_is_seen_when_it_is_turned(page: Page, when: str) -> None:
    if when == "before":
        page.set_viewport_size({"width": 1800, "height": 700})
        page.wait_for_function("() => WSI.desk.stage.main.viewer.camera.height < 700")
        at_rest(page)
    page.keyboard.press("r")
    page.keyboard.press("0")
    if when == "on its way":
        page.set_viewport_size({"width": 1800, "height": 700})
        page.wait_for_function("() => WSI.desk.stage.main.viewer.camera.height < 700")
    page.wait_for_function("() => WSI.desk.stage.main.viewer.camera.rotation !== 0")
    at_rest(page)
    seen, (width, height) = page.evaluate(
        """() => { const { camera } = WSI.desk.stage.main.viewer; const { x, y, width, height } = camera.bounds;
          return [camera.seen(), [x + width, y + height]]; }"""
    )
    assert seen["left"] <= 0 <= width <= seen["right"]
    assert seen["top"] <= 0 <= height <= seen["bottom"]


def test_layer_that_comes_late_is_not_shown_over_the_one_chosen_after_it(page: Page) -> None:
    held: list[Route] = []
    page.route(re.compile("/heat/attention$"), lambda route: held.append(route))
    page.keyboard.press("l")
    page.keyboard.press("l")
    expect(page.get_by_label("Layer of the heat")).to_have_value("score")
    page.wait_for_function("() => WSI.heatLook.kind === 'score'")
    with page.expect_response(re.compile("/heat/attention$")):
        held[0].continue_()
    page.wait_for_timeout(200)
    assert page.evaluate("() => WSI.desk.stage.main.heat.layer.id") == "score"


def split(page: Page) -> None:
    page.keyboard.press("v")
    page.wait_for_function("() => WSI.desk.stage.other?.item")


def test_pane_that_was_closed_asks_for_nothing_and_hears_nothing(page: Page) -> None:
    heard = page.evaluate("() => WSI.desk.stage.main.viewer.heard.length")
    for _ in range(3):
        split(page)
        page.locator(".pane").nth(1).focus()
        page.keyboard.press("3")
        page.wait_for_timeout(60)
        page.keyboard.press("v")
    page.wait_for_timeout(300)
    assert page.evaluate("() => WSI.desk.stage.queue.wanted.size") == 1
    assert page.evaluate("() => WSI.desk.stage.main.viewer.heard.length") == heard


def test_slide_beside_is_the_one_chosen_last_though_another_comes_later(page: Page) -> None:
    held: list[Route] = []
    split(page)
    page.route(re.compile("/api/cases/three[^/]+$"), lambda route: held.append(route))
    beside = page.get_by_label("On the right")
    beside.select_option(label="three.svs")
    beside.select_option(label="one/2.svs")
    page.wait_for_timeout(200)
    held[0].continue_()
    page.wait_for_timeout(300)
    assert page.evaluate("() => WSI.desk.stage.other.item.name") == "one/2.svs"


def test_layer_that_does_not_come_is_told_of_and_not_named(page: Page) -> None:
    page.route(re.compile("/heat/attention$"), lambda route: route.abort())
    page.keyboard.press("l")
    expect(page.locator("#messages")).to_contain_text("The server doesn't answer")
    expect(page.get_by_label("Layer of the heat")).to_have_value("score")


def test_slide_beside_that_does_not_come_is_told_of(page: Page) -> None:
    page.route(re.compile("/api/cases/[^/]+$"), lambda route: route.abort())
    page.keyboard.press("v")
    expect(page.locator("#messages")).to_contain_text("The server doesn't answer")


def test_slide_beside_is_gone_with_its_verdict_while_another_is_waited_for(page: Page) -> None:
    split(page)
    at_rest(page)
    expect(page.locator(".caption").last).to_contain_text("P(")
    page.route(re.compile("/api/cases/three[^/]+$"), lambda route: route.abort())
    page.get_by_label("On the right").select_option(label="three.svs")
    expect(page.locator("#messages")).to_contain_text("The server doesn't answer")
    expect(page.locator(".caption").last).not_to_contain_text("P(")
    assert page.evaluate("() => WSI.desk.stage.other.item") is None


def test_case_whose_heat_does_not_come_stays_open_and_says_so(page: Page) -> None:
    lost = {"error": {"message": "One of its result files is damaged", "next": "Run wsi-run again."}}
    page.route(re.compile("/heat/"), lambda route: route.fulfill(status=409, json=lost))
    go_to(page, "2.svs")
    expect(page.locator("#messages")).to_contain_text("One of its result files is damaged. Run wsi-run again.")
    expect(page.locator(".empty-stage")).to_be_hidden()
    expect(page.locator(".headline")).to_contain_text("P(Malignant)")
    expect(page.locator("#heatbar")).to_contain_text("There is no heat for this case")


def test_decision_that_was_recorded_is_not_said_to_be_lost_with_the_server(page: Page, out: Path) -> None:
    page.route(re.compile("/api/cases$"), lambda route: route.abort())
    page.keyboard.press("a")
    page.get_by_label("Your name").fill("A. Miller")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#messages")).to_contain_text("Recorded as no. 1. The server doesn't answer")
    expect(page.locator("#decision")).to_be_hidden()
    assert len((out / "review" / "decisions.jsonl").read_bytes().splitlines()) == 1


def test_server_that_knows_the_page_no_more_is_told_of_where_tiles_stay_away(page: Page) -> None:
    said = {"error": {"message": "The link that opened this page was another server's.", "next": "Open the link."}}
    page.route(re.compile("/tiles/"), lambda route: route.fulfill(status=403, json=said))
    page.keyboard.press("4")
    expect(page.locator(".lost")).to_contain_text("The link that opened this page was another server's. Open the link.")


def test_case_opens_though_the_browser_has_no_room_for_drafts(page: Page) -> None:
    page.evaluate(
        """() => { Storage.prototype.setItem = () => { throw new DOMException("", "QuotaExceededError"); }; }"""
    )
    page.keyboard.press("a")
    go_to(page, "2.svs")
    expect(page.locator("#messages")).to_contain_text("no room for what isn't recorded yet")
    go_to(page, "1.svs")
    assert page.evaluate("() => WSI.desk.decision.verdict") == "agree"


def test_row_that_is_walked_to_is_not_under_its_groups_title(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 420})
    row, title = page.evaluate(
        """() => { const { list } = WSI.desk; const [item] = list.items;
          list.show([...Array(40).keys()].map((at) => ({ ...item, slide: `s${at}`, name: `${at}`, thumbnail: false })));
          list.list.scrollTop = 1500;
          list.mark("s10");
          return [list.rowOf("s10").getBoundingClientRect().top,
            document.querySelector(".cases h2").getBoundingClientRect().bottom]; }"""
    )
    assert row >= title


@pytest.mark.parametrize("changes", [{"out": "another folder"}, {"reviewer": "Another Person"}])
def test_draft_is_of_one_run_and_one_person(page: Page, changes: dict[str, str]) -> None:
    page.keyboard.press("x")
    page.get_by_label("Comment").fill("of this run")
    page.reload()
    expect(page.get_by_label("Comment")).to_have_value("of this run")
    page.route(re.compile("/api/run$"), lambda route: route.fulfill(json={**route.fetch().json(), **changes}))
    page.reload()
    expect(page.locator("#case-title")).to_contain_text("1.svs")
    assert page.evaluate("() => WSI.desk.drafts.get(WSI.desk.item.slide)") is None


def test_decisions_that_cannot_be_read_are_not_shown_as_none(page: Page, out: Path) -> None:
    (out / "review" / "decisions.jsonl").mkdir(parents=True)
    page.reload()
    expect(page.locator("#stage-panes")).to_contain_text("the decisions so far can't be read")
    expect(page.locator(".case")).to_have_count(0)
