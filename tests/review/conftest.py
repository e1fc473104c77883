"""A browser for the tests that look at the page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.review.browser import browser, chromium


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    found = chromium()
    assert found is not None
    with browser(found) as opened:
        yield opened
