"""What the page does when something goes wrong, or asks for a key."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.backend.browser import needs_chromium
from tests.backend.page.visiting import (
    EVERY,
    FILE,
    KEY,
    PHONE,
    axe,
    cards,
    fail_once,
    focused,
    ids,
    query,
    scroll_to_the_end,
    show,
    visit,
)

pytestmark = [needs_chromium, pytest.mark.slow]

SEARCH = "**/api/v1/search"
NEXT_PAGE = re.compile("/api/v1/videos[?].*cursor=")


def test_an_error_names_its_code_and_request_and_can_be_tried_again(failing):
    fail_once(failing, SEARCH, 503, "not_ready")
    failing.goto("/?q=beach")
    alert = failing.get_by_role("alert")
    expect(alert).to_contain_text("Nothing to search yet")
    expect(alert).to_contain_text("not_ready")
    expect(alert).to_contain_text("r-42")
    # Then the server is away, and then it is asked too often.
    failing.route(SEARCH, lambda route: route.abort(), times=1)
    alert.get_by_role("button", name="Try again").click()
    expect(alert).to_contain_text("The server can't be reached")
    fail_once(failing, SEARCH, 429, "rate_limited", **{"Retry-After": "2"})
    alert.get_by_role("button", name="Try again").click()
    again = alert.get_by_role("button")
    expect(again).to_be_disabled()
    expect(again).to_have_text(re.compile(r"Try again in \d s"))
    expect(again).to_be_enabled()
    again.click()
    expect(cards(failing).first).to_contain_text("beach")
    expect(alert).to_have_count(0)


def test_a_page_that_fails_keeps_what_is_shown(failing):
    fail_once(failing, NEXT_PAGE, 503, "overloaded")
    show(failing, "/?seed=3")
    failing.mouse.wheel(0, 20_000)
    expect(failing.get_by_role("alert")).to_contain_text("overloaded")
    expect(cards(failing)).to_have_count(24)
    failing.get_by_role("button", name="Try again").click()
    expect(cards(failing).nth(47)).to_be_attached()


def test_a_new_index_starts_the_list_again(failing):
    fail_once(failing, NEXT_PAGE, 409, "cursor_expired")
    with failing.expect_response(lambda answer: answer.status == 409):
        show(failing, "/?seed=3")
        failing.mouse.wheel(0, 20_000)
    first = ids(failing)[0]
    expect(failing.get_by_role("status")).to_have_text("Discover: 24 videos shown")
    expect(cards(failing).first).to_have_attribute("data-video-id", first)
    scroll_to_the_end(failing)
    assert len(ids(failing)) == len(set(ids(failing))) == EVERY


def test_a_video_that_is_gone_is_said_so(failing):
    failing.goto("/?seed=3&v=none")
    alert = failing.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_contain_text("This video is not here")
    expect(alert).to_contain_text("video_not_found")
    failing.keyboard.press("Escape")
    expect(cards(failing).nth(23)).to_be_attached()


def test_a_thumbnail_that_fails_leaves_a_quiet_place(failing):
    failing.route("**/thumbnail?*", lambda route: route.fulfill(status=404))
    failing.goto("/?q=beach")
    first = cards(failing).first
    expect(first.locator(".thumbnail.is-missing .icon")).to_be_visible()
    expect(first.locator("img")).to_have_css("opacity", "0")


def test_a_picture_that_is_refused_makes_room_for_another(failing):
    failing.goto("/?seed=3")
    fail_once(failing, SEARCH, 422, "picture_rejected")
    failing.locator("#file").set_input_files(FILE)
    alert = failing.get_by_role("alert")
    expect(alert).to_contain_text("This picture can't be read")
    with failing.expect_file_chooser() as chooser:
        alert.get_by_role("button", name="Choose another picture").press("Enter")
    chooser.value.set_files([FILE])
    expect(cards(failing).first.locator(".why")).to_contain_text("Thumbnail #1")
    expect(alert).to_have_count(0)
    assert focused(failing) == "heading"


def test_recommendations_go_on_without_what_is_gone(failing):
    failing.goto("/?like=beach-1&like=none&less=never&less=cricket-1")
    expect(failing.locator("#seeds li").nth(1)).to_contain_text("A video that is gone")
    expect(cards(failing).first).to_contain_text("beach")
    failing.goto("/?like=none&less=cricket-1")
    alert = failing.get_by_role("alert")
    expect(alert).to_contain_text("These videos are not here")
    alert.get_by_role("button", name="Go on without what is gone").press("Enter")
    expect(failing.locator("#heading")).to_have_text("Discover")
    assert "less" not in query(failing)
    assert focused(failing) == "heading"


def test_a_server_that_asks_for_a_key_gets_one(browser, keyed):
    with visit(browser, keyed, failing=True) as page:
        page.goto("/?q=beach")
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("This server asks for a key")
        alert.get_by_label("API key").fill("another")
        alert.get_by_role("button", name="Go on").click()
        expect(alert).to_contain_text("The server refused this key")
        alert.get_by_label("API key").fill(KEY)
        alert.get_by_role("button", name="Go on").click()
        expect(cards(page).first).to_contain_text("beach")
        expect(cards(page).first.locator("img")).to_have_class("is-loaded")
        assert KEY not in page.url


# Which pictures the page holds in memory.
WATCH_MEMORY = """
globalThis.kept = new Set();
const { createObjectURL: make, revokeObjectURL: revoke } = URL;
URL.createObjectURL = (blob) => { const made = make(blob); kept.add(made); return made; };
URL.revokeObjectURL = (made) => { kept.delete(made); revoke(made); };
"""


def test_with_a_key_thumbnails_come_as_they_are_seen_and_are_not_kept(browser, keyed):
    with visit(browser, keyed, width=PHONE, failing=True) as page:
        page.add_init_script(f"sessionStorage.setItem('twinlens-api-key', '{KEY}')")
        page.add_init_script(WATCH_MEMORY)
        asked: list[str] = []
        page.on("request", lambda sent: "/thumbnail?w=" in sent.url and asked.append(sent.url))
        page.route("**/thumbnail?*", lambda route: route.abort())
        page.goto("/?q=beach")
        first = cards(page).first
        expect(first.locator(".is-missing .icon")).to_be_visible()
        expect(cards(page)).to_have_count(24)
        assert 0 < len(asked) < 12
        page.unroute("**/thumbnail?*")
        last = cards(page).nth(23)
        last.scroll_into_view_if_needed()
        expect(last.locator("img")).to_have_class("is-loaded")
        expect(first.locator("img")).not_to_have_class("is-loaded")
        # Back in view, what failed is asked again.
        first.scroll_into_view_if_needed()
        expect(first.locator("img")).to_have_class("is-loaded")
        expect(first.locator(".icon")).to_have_count(0)
        assert page.evaluate("kept.size") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong_with_what_is_refused(browser, served, keyed, scheme):
    asked = {"width": PHONE, "color_scheme": scheme, "failing": True}
    with visit(browser, served, **asked) as page:
        page.goto("/?like=none")
        expect(page.get_by_role("alert")).to_contain_text("These videos are not here")
        assert axe(page) == []
        fail_once(page, SEARCH, 422, "picture_rejected")
        page.locator("#file").set_input_files(FILE)
        expect(page.get_by_role("alert")).to_contain_text("This picture can't be read")
        assert axe(page) == []
    with visit(browser, keyed, **asked) as page:
        page.add_init_script("sessionStorage.setItem('twinlens-api-key', 'another')")
        page.goto("/?q=beach")
        expect(page.get_by_role("alert")).to_contain_text("The server refused this key")
        assert axe(page) == []
