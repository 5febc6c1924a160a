"""The list under the box: what it offers, the keyboard, what a screen reader is told, the past."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.backend.browser import needs_chromium
from tests.backend.page.visiting import (
    DESKTOP,
    PHONE,
    axe,
    cards,
    fail_once,
    fits_the_width,
    query,
    visit,
)

pytestmark = needs_chromium


def box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Search by words")


def options(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Suggestions").get_by_role("option")


def typed(page: Page, text: str) -> None:
    box(page).press_sequentially(text)
    expect(options(page).first).to_be_visible()


def test_the_keyboard_chooses_and_a_screen_reader_hears_which(page):
    page.goto("/?seed=3")
    expect(box(page)).to_have_attribute("aria-expanded", "false")
    typed(page, "kitch")
    expect(box(page)).to_have_attribute("aria-expanded", "true")
    expect(options(page)).to_have_count(8)
    expect(options(page).first).to_have_accessible_name("kitchen channel Channel, 30 videos")
    expect(options(page).nth(1)).to_have_accessible_name("kitchen Tag, 30 videos")
    expect(options(page).nth(2).locator("img")).to_be_visible()
    assert fits_the_width(page)

    box(page).press("ArrowUp")  # to the last one
    expect(options(page).last).to_have_attribute("aria-selected", "true")
    box(page).press("ArrowDown")  # and back to the box
    expect(box(page)).not_to_have_attribute("aria-activedescendant", re.compile("."))
    box(page).press("ArrowDown")
    expect(options(page).first).to_have_attribute("aria-selected", "true")
    expect(box(page)).to_have_attribute("aria-activedescendant", "suggestion-0")
    expect(box(page)).to_be_focused()
    box(page).press("Enter")
    expect(options(page)).to_have_count(0)
    expect(page).to_have_url(re.compile(r"channel=kitchen\+channel"))
    expect(box(page)).to_have_value("")
    expect(cards(page).first).to_contain_text("kitchen")


def test_a_title_leads_to_its_video_and_escape_closes_the_list(phone):
    phone.goto("/?seed=3")
    typed(phone, "beach film")
    box(phone).press("Escape")
    expect(options(phone)).to_have_count(0)
    expect(box(phone)).to_have_value("beach film")
    box(phone).press("Alt+ArrowDown")
    expect(options(phone).first).to_be_visible()
    options(phone).filter(has_text="film number 29").click()
    expect(phone.get_by_role("dialog", name="beach film number 29")).to_be_visible()
    assert query(phone) == {"q": ["beach film number 29"], "v": ["beach-29"]}


def test_the_quotes_and_dashes_of_a_title_demand_nothing(phone):
    title = {"kind": "title", "text": "beach -film “-number” 3", "video_id": "beach-3"}
    title |= {"thumbnail_url": None, "videos": None}
    answer = {"suggestions": [title], "did_you_mean": None}
    phone.route("**/api/v1/suggest*", lambda route: route.fulfill(json=answer))
    phone.goto("/?seed=3")
    typed(phone, "bea")
    options(phone).first.click()
    expect(phone.get_by_role("dialog", name="beach film number 3")).to_be_visible()
    assert query(phone)["q"][0].split() == ["beach", "film", "number", "3"]


def test_what_was_meant_is_offered(phone):
    phone.goto("/?seed=3")
    typed(phone, "kitchne film")
    expect(options(phone).first).to_have_accessible_name("Did you mean kitchen film")
    options(phone).first.click()
    expect(phone).to_have_url(re.compile(r"\?q=kitchen\+film$"))


def test_what_was_searched_for_is_kept_here_and_can_be_forgotten(phone):
    phone.goto("/?seed=3")
    for words in ("cricket night", "beach"):
        box(phone).fill(words)
        box(phone).press("Enter")
        expect(options(phone)).to_have_count(0)
    box(phone).fill("cri")
    expect(options(phone).first).to_have_accessible_name("cricket night , searched before")
    box(phone).fill("")
    expect(options(phone)).to_have_count(2)
    phone.keyboard.press("Tab")  # past the picture's button
    phone.keyboard.press("Tab")
    expect(phone.get_by_role("button", name="Clear recent searches")).to_be_focused()
    phone.keyboard.press("Enter")
    expect(options(phone)).to_have_count(0)
    expect(box(phone)).to_be_focused()
    phone.reload()
    box(phone).click()
    expect(options(phone)).to_have_count(0)


def test_who_keeps_no_history_keeps_no_searches(phone):
    phone.goto("/?seed=3")
    phone.get_by_role("button", name="Your history").click()
    phone.get_by_label("Keep a history").uncheck()
    phone.keyboard.press("Escape")
    box(phone).fill("beach")
    box(phone).press("Enter")
    box(phone).fill("")
    box(phone).click()
    expect(options(phone)).to_have_count(0)


def test_without_suggestions_the_page_searches_all_the_same(failing):
    fail_once(failing, "**/api/v1/suggest*", 404, "no_suggestions")
    failing.goto("/?seed=3")
    box(failing).fill("kitchen")
    expect(cards(failing).first).to_contain_text("kitchen")
    expect(options(failing)).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(browser, served, width, scheme):
    with visit(browser, served, width=width, color_scheme=scheme) as page:
        page.goto("/?seed=3")
        box(page).fill("beach")
        box(page).press("Enter")
        box(page).fill("")
        typed(page, "b")
        box(page).press("ArrowDown")
        expect(page.locator("#heading")).to_have_text("“b”")
        expect(page.locator("#results")).not_to_have_class(re.compile("is-old"))
        assert axe(page) == []
