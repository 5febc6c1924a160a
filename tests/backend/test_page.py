"""The page in a real browser: the main paths, at a phone's width and a desktop's."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from stores.generations import DataDir
from tests.backend.catalogue import COLOURS, ODD_ID, ODD_TITLE, picture_bytes
from tests.backend.served import Served, publish_embedded

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
expect.set_options(timeout=20_000)  # machines that run tests are busy ones
pytestmark = pytest.mark.skipif(
    # In CI its absence is a failure, not a reason to skip.
    CHROMIUM is None and "TWINLENS_TEST_REQUIRE_CHROMIUM" not in os.environ,
    reason="no chromium here: apt-get install chromium, as .ci/run does",
)


@pytest.fixture(scope="module")
def served(catalogue, tmp_path_factory) -> Iterator[Served]:
    data = DataDir(tmp_path_factory.mktemp("page"))
    publish_embedded(catalogue, data, "g1")
    with Served(data) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(params=[390, 1440])
def page(browser, served, request) -> Iterator[Page]:
    """A page that fails its test for a console error or a request to another host."""
    origin = f"http://127.0.0.1:{served.port}"
    context = browser.new_context(viewport={"width": request.param, "height": 900}, base_url=origin)
    context.set_default_timeout(30_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda sent: sent.url.startswith((origin, "blob:")) or wrong.append(sent.url),
    )
    yield page
    context.close()
    assert wrong == []


def fits_the_width(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_search_open_and_go_back(page):
    page.goto("/")
    expect(page.get_by_role("status")).to_contain_text("31 videos")
    assert fits_the_width(page)
    page.get_by_label("Search by words").fill("kitchen film")
    cards = page.locator("#hits a.card")
    expect(cards.first).to_contain_text("kitchen film")
    expect(page).to_have_url(re.compile(r"\?q=kitchen\+film$"))
    expect(cards).to_have_count(24)
    expect(cards.first.locator(".why")).to_contain_text("title #")
    assert fits_the_width(page)

    title = cards.first.locator(".title").inner_text()
    cards.first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.get_by_role("heading", name="You may also like")).to_be_visible()
    expect(page.locator("#hits a.card").first).to_contain_text("kitchen")
    assert title not in page.locator("#hits .title").all_inner_texts()
    assert fits_the_width(page)

    page.go_back()
    expect(page.locator("#video")).to_be_hidden()
    expect(page.locator("#hits a.card").first).to_contain_text("kitchen film")
    expect(page.get_by_label("Search by words")).to_have_value("kitchen film")


def test_thumbnails_are_really_drawn(page):
    page.goto("/?q=beach")
    image = page.locator("#hits img").first
    expect(image).to_be_visible()
    # Not wait_for_function, which evaluates text in the page: its content policy forbids that.
    expect(image).to_have_js_property("naturalWidth", 48)


def test_more_hits_come_on_demand(page):
    page.goto("/?q=film")
    cards = page.locator("#hits a.card")
    expect(cards).to_have_count(24)
    page.get_by_role("button", name="Show more").click()
    expect(cards).to_have_count(31)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    links = cards.evaluate_all("links => links.map(link => link.href)")
    assert len(set(links)) == 31


def test_search_by_a_picture_and_take_it_back(page):
    page.goto("/")
    upload = {
        "name": "red.png",
        "mimeType": "image/png",
        "buffer": picture_bytes(COLOURS["kitchen"], shade=4),
    }
    page.locator("#file").set_input_files(upload)
    cards = page.locator("#hits a.card")
    expect(cards.first).to_contain_text("kitchen film number 4")
    expect(cards.first.locator(".why")).to_have_text("thumbnail #1")
    expect(page.get_by_alt_text("Your picture")).to_be_visible()
    page.get_by_role("button", name="Remove the picture").click()
    expect(cards).to_have_count(0)
    expect(page.get_by_role("status")).to_contain_text("31 videos")


def test_a_picture_can_be_dropped(page):
    page.goto("/")
    expect(page.get_by_role("status")).to_contain_text("31 videos")
    content = list(picture_bytes(COLOURS["cricket"], shade=2))
    page.evaluate(
        """content => {
            const transfer = new DataTransfer();
            const bytes = new Uint8Array(content);
            transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
            const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new DragEvent("dragover", options));
            document.body.dispatchEvent(new DragEvent("drop", options));
        }""",
        content,
    )
    expect(page.locator("#hits a.card").first).to_contain_text("cricket film number 2")
    expect(page.locator("#drop")).to_be_hidden()


def test_titles_are_text_and_links_can_be_shared(page):
    page.goto(f"/?v={quote(ODD_ID, safe='')}")
    expect(page.get_by_role("heading", level=1)).to_have_text(ODD_TITLE)
    assert page.locator("main b").count() == 0
    expect(page.locator("#hits a.card")).to_have_count(24)


def test_the_keyboard_is_enough(page):
    page.goto("/?q=cricket")
    expect(page.locator("#hits a.card").first).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Search by words")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#hits a.card").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_blank_results_say_so(page):
    page.route("**/api/v1/search", lambda route: route.fulfill(
        json={"hits": [], "next_cursor": None, "borrowed_from": []}))  # fmt: skip
    page.goto("/?q=anything")
    expect(page.get_by_role("status")).to_contain_text("Nothing found")


def test_an_error_is_said_and_can_be_tried_again(browser, served):
    # A context of its own: the browser itself notes a failed request on the console.
    page = browser.new_context(base_url=f"http://127.0.0.1:{served.port}").new_page()
    page.goto("/?v=none")
    expect(page.get_by_role("status")).to_contain_text("no video 'none' in this index")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(browser, served, scheme):
    context = browser.new_context(base_url=f"http://127.0.0.1:{served.port}", color_scheme=scheme)
    page = context.new_page()
    page.goto("/?q=beach")
    expect(page.locator("#hits .details").first).to_be_visible()
    for selector in ("#hits .title", "#hits .details", ".by-title", ".by-thumbnail", ".brand"):
        ink, ground = page.evaluate(
            """selector => [
                getComputedStyle(document.querySelector(selector)).color,
                getComputedStyle(document.documentElement).backgroundColor,
            ]""",
            selector,
        )
        assert contrast(ink, ground) >= 4.5, selector
    context.close()


def contrast(one: str, other: str) -> float:
    """The contrast of two CSS colours. Source: WCAG 2.2, relative luminance."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
