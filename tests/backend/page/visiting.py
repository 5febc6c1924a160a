"""What the tests of the page share: how it is visited, and what is read from it."""

from __future__ import annotations

import json
import re
import time
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.backend.browser import watched_page
from tests.backend.catalogue import RED
from tests.backend.served import Served

PHONE, DESKTOP = 390, 1440
PER_SUBJECT = 30
FILMS = 3 * PER_SUBJECT
EVERY = FILMS + 1
FILE = {"name": "red.png", "mimeType": "image/png", "buffer": RED}


KEY = "sesame-of-the-page"


def visit(
    browser: Browser, served: Served, *, width: int = DESKTOP, **options: Any
) -> AbstractContextManager[Page]:
    options = {"reduced_motion": "reduce", **options}
    return watched_page(browser, served.url, viewport={"width": width, "height": 900}, **options)


def show(page: Page, address: str) -> None:
    """Go there, and wait until a whole page of videos is shown."""
    page.goto(address)
    expect(cards(page).nth(23)).to_be_attached()


def cards(page: Page) -> Locator:
    return page.locator("#results a.card")


def ids(page: Page) -> list[str]:
    return cards(page).evaluate_all("links => links.map(link => link.dataset.videoId)")


def first_ids(page: Page) -> list[str]:
    """Those of the first page; where the window is large, the next is there at once."""
    expect(cards(page).nth(23)).to_be_attached()
    return ids(page)[:24]


def scroll_to_the_end(page: Page, many: int = EVERY) -> None:
    page.mouse.move(200, 500)
    begun = time.monotonic()
    while cards(page).count() < many:
        assert time.monotonic() - begun < 60, "no more videos come"
        # Again and again: the wheel may be turned before the browser has laid out what came.
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(100)
    expect(page.get_by_text("That is all.")).to_be_visible()
    scrolled(page)


def scrolled(page: Page) -> float:
    """How far the page is scrolled, once it has come to rest."""
    return page.evaluate("""async () => {
        let before, still = 0;
        while (still < 10) {
            await new Promise(requestAnimationFrame);
            still = scrollY === before ? still + 1 : 0;
            before = scrollY;
        }
        return before;
    }""")


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def fits_the_width(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def fail_once(
    page: Page, where: str | re.Pattern[str], status: int, code: str, **headers: str
) -> None:
    """Answer the next request to ``where`` with a problem."""
    body = json.dumps({"status": status, "code": code, "detail": "so", "request_id": "r-42"})
    headers = {"Content-Type": "application/problem+json", **headers}
    page.route(
        where, lambda route: route.fulfill(status=status, headers=headers, body=body), times=1
    )


def axe(page: Page, *places: str) -> list[tuple[str, str, list[str]]]:
    """What axe finds wrong, in all of the page or in ``places``: rule, how bad, the first place."""
    context = {"include": [[place] for place in places]} if places else None
    answer = Axe().run(page, context=context, options={"resultTypes": ["violations"]})
    found = answer.response["violations"]
    return [(one["id"], one["impact"], one["nodes"][0]["target"]) for one in found]


VIEWS = {
    "discover": "/?seed=3",
    "search": "/?q=beach+film&weights=1-2-1",
    "video": "/?q=beach+film&v=beach-1",
    "recommended": "/?like=beach-1&less=cricket-1",
    "nothing": "/?language=xx&seed=1",
    "missing": "/?picture=0123456789ab",
}


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.id")
