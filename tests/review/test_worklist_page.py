"""The worklist and the model's words as the page shows them, over results made from figures."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.review.browser import browser, chromium, open_page
from tests.review.cohort import BENIGN, TOKEN, DrawnTiles, client, decide, make_out, open_folder
from tests.review.serving import running
from wsi.review import make_app

CHROMIUM = chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; WSI_CHROMIUM may name one"),
]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """The page over a run one of whose slides is reviewed; it must not complain."""
    assert CHROMIUM is not None
    out = make_out(tmp_path / "OUT")
    decide(client(out), BENIGN)
    make = lambda port: make_app(open_folder(out), DrawnTiles(), token=TOKEN, port=port)
    with running(make, keep_alive_s=1) as port, browser(CHROMIUM) as window:
        found, complaints = open_page(window)
        found.goto(f"http://127.0.0.1:{port}/?token={TOKEN}")
        yield found
        found.goto("about:blank")
        assert complaints == []


def test_groups_stand_in_their_order_and_marks_tell_who_stands_out(page: Page) -> None:
    titles, names = page.locator(".cases h2"), page.locator(".cases .name")
    expect(titles).to_have_text(["Look first 1", "The rest 1", "Reviewed 1", "Without a result 2"])
    expect(names).to_have_text(["one/1.svs", "one/2.svs", "three.svs", "four.svs", "five.svs"])
    expect(page.locator(".case", has_text="2.svs")).to_contain_text("refer")
    expect(page.locator(".case", has_text="2.svs")).to_contain_text("unlike training")


def test_model_whose_card_is_not_here_is_not_said_to_be_silent(page: Page) -> None:
    page.locator(".case", has_text="1.svs").click()
    about = page.locator("details.model")
    about.locator("summary").click()
    expect(about).to_contain_text("This model's card isn't here: start with --model FOLDER")
    expect(about).not_to_contain_text("not said")


def test_refused_slide_tells_how_it_can_be_seen(page: Page) -> None:
    page.locator(".case", has_text="four.svs").click()
    expect(page.locator("#evidence .trouble")).to_contain_text("Give the pixel size in µm with --mpp")
    expect(page.locator("#evidence .trouble")).to_contain_text("Start with --slides and the folder that was run.")
