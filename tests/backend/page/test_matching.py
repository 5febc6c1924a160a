"""The page says when nothing fits, and shows what does where something does."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.backend.browser import needs_chromium
from tests.backend.page.visiting import axe, cards, fits_the_width, ids

pytestmark = [needs_chromium, pytest.mark.xdist_group("page")]


def test_where_nothing_fits_the_nearest_are_shown_as_such(page: Page) -> None:
    page.goto("/?q=xqzvw+jjkpf")
    expect(page.get_by_role("heading", name="No video fits")).to_be_visible()
    expect(page.locator("#state")).to_contain_text("These come nearest.")
    expect(cards(page).first).to_be_attached()
    assert fits_the_width(page)
    assert axe(page, "main") == []
    page.goto("/?q=cricket+film+number+3")
    expect(cards(page).first).to_have_attribute("data-video-id", "cricket-3")
    expect(page.get_by_role("heading", name="No video fits")).to_have_count(0)


def test_what_does_not_fit_is_left_out_where_something_does(phone: Page) -> None:
    phone.goto("/?q=odd+ක්‍රිකට්")
    expect(cards(phone).first).to_be_attached()
    expect(phone.locator("#more")).to_be_hidden()
    assert len(ids(phone)) < 24


def test_what_a_rule_pins_is_shown_whether_it_fits_or_not(phone: Page) -> None:
    def pin(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["hits"][0] |= {"match": 0.0, "pinned": True}
        body["hits"][1] |= {"match": 0.0}
        route.fulfill(response=response, json=body)

    phone.route("**/api/v1/search", pin)
    phone.goto("/?q=cricket+film+number+3")
    expect(cards(phone).first).to_have_attribute("data-video-id", "cricket-3")
