"""An opened video: its explanation, its link and its neighbours."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Route, expect

from tests.backend.browser import needs_chromium
from tests.backend.catalogue import ODD_ID, ODD_TITLE
from tests.backend.page.visiting import cards, query, show

pytestmark = [needs_chromium, pytest.mark.slow]


@pytest.mark.parametrize("last", ["video", "list"])
def test_a_shared_link_explains_the_opened_video(page, last):
    held: list[Route] = []
    answers = {"video": "**/api/v1/videos/beach-1", "list": "**/api/v1/search"}
    page.route(answers[last], lambda route: held.append(route))
    page.goto("/?q=beach&v=beach-1")
    dialog = page.get_by_role("dialog")
    if last == "list":
        expect(dialog.get_by_role("heading", level=2)).to_have_text("beach film number 1")
    else:
        expect(cards(page).first).to_be_attached()
    expect(dialog.get_by_role("table")).to_have_count(0)
    held[0].continue_()
    why = dialog.get_by_role("table", name=re.compile("Why it is number [0-9]+ in the list"))
    expect(why).to_be_visible()
    expect(dialog.get_by_role("heading", level=2)).to_be_focused()


def test_a_shared_link_explains_a_video_far_down_the_list(phone):
    show(phone, "/?q=film")
    down = phone.request.post("/api/v1/search", data={"text": "film", "limit": 100}).json()["hits"]
    phone.goto(f"/?q=film&v={quote(down[80]['video']['video_id'], safe='')}")
    expect(phone.get_by_role("table", name="Why it is number 81 in the list")).to_be_visible()
    # The list behind it is as short as it was, and its next page leaves the explanation there.
    phone.evaluate("document.getElementById('more').click()")
    expect(cards(phone).nth(47)).to_be_attached()
    expect(phone.get_by_role("table", name="Why it is number 81 in the list")).to_be_visible()


def test_a_link_to_a_video_can_be_shared_and_its_title_is_text(page):
    page.goto(f"/?seed=3&v={quote(ODD_ID, safe='')}")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text(ODD_TITLE)
    assert page.locator("b").count() == 0
    expect(page.locator("#related a.card")).to_have_count(12)
    page.get_by_role("button", name="Show more").last.click()
    expect(page.locator("#related a.card")).to_have_count(24)
    expect(page.locator("#related a.card").nth(12)).to_be_focused()
    page.get_by_role("button", name="Close the video").click()
    expect(dialog).to_be_hidden()
    expect(cards(page).nth(23)).to_be_attached()
    assert query(page) == {"seed": ["3"]}


def test_closing_goes_back_over_all_that_was_opened(phone):
    phone.goto("/?q=cricket")
    cards(phone).first.click()
    phone.locator("#related a.card").first.click()
    phone.locator("#related a.card").first.click()
    expect(phone.locator("#related a.card").first).to_be_visible()
    phone.keyboard.press("Escape")
    expect(phone.get_by_role("dialog")).to_be_hidden()
    expect(phone).to_have_url(re.compile(r"\?q=cricket$"))
    phone.keyboard.press("Escape")
    phone.go_forward()
    expect(phone.get_by_role("dialog")).to_be_visible()


def test_titles_stand_in_their_own_language(desktop):
    desktop.goto(f"/?seed=3&v={quote(ODD_ID, safe='')}")
    # Its language is not known: the script tells.
    expect(desktop.locator("#video-title")).to_have_attribute("lang", "si")
    height, size = desktop.locator("#video-title").evaluate(
        "it => [getComputedStyle(it).lineHeight, getComputedStyle(it).fontSize].map(parseFloat)"
    )
    assert height / size >= 1.5
    languages = desktop.evaluate(
        """async () => {
            const { languageOf } = await import("/static/format.js");
            const titles = [["plain", "en"], ["ක්‍රිකට්", "en"], ["தமிழ்", null],
                ["नेपाली", "ne"], ["x", null]];
            return titles.map(([text, given]) => languageOf(text, given));
        }"""
    )
    assert languages == ["en", "si", "ta", "ne", ""]
