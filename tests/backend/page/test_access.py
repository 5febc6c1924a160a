"""Keyboard, screen readers, themes, and what axe finds."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.backend.browser import needs_chromium
from tests.backend.page.visiting import DESKTOP, PHONE, VIEWS, axe, cards, visit

pytestmark = [needs_chromium, pytest.mark.slow]


def test_the_keyboard_is_enough(desktop):
    desktop.goto("/?q=cricket")
    expect(cards(desktop).nth(8)).to_be_visible()
    desktop.keyboard.press("Tab")
    expect(desktop.get_by_role("link", name="Skip to the videos")).to_be_focused()
    desktop.keyboard.press("/")
    expect(desktop.get_by_label("Search by words")).to_be_focused()
    desktop.keyboard.press("ArrowDown")
    expect(cards(desktop).first).to_be_focused()
    desktop.keyboard.press("ArrowRight")
    expect(cards(desktop).nth(1)).to_be_focused()
    columns = desktop.locator("#results").evaluate(
        "it => getComputedStyle(it).gridTemplateColumns.split(' ').length"
    )
    assert columns > 3
    desktop.keyboard.press("ArrowDown")
    expect(cards(desktop).nth(1 + columns)).to_be_focused()
    desktop.keyboard.press("Home")
    expect(cards(desktop).first).to_be_focused()
    desktop.keyboard.press("Enter")
    expect(desktop.locator("#video-title")).to_be_focused()
    desktop.keyboard.press("Escape")
    expect(cards(desktop).first).to_be_focused()


def test_a_screen_reader_is_told_what_came(desktop):
    desktop.goto("/?q=beach")
    expect(desktop.get_by_role("status")).to_have_text("“beach”: 24 videos shown")
    desktop.get_by_label("Search by words").fill("cricket")
    expect(desktop.get_by_role("status")).to_contain_text("“cricket”")


def test_light_and_dark_can_be_switched_and_are_remembered(browser, served):
    ground = "getComputedStyle(document.body).backgroundColor"
    with visit(browser, served, color_scheme="dark") as page:
        page.goto("/?seed=3")
        switch = page.get_by_role("button", name="Dark colours")
        expect(switch).to_have_attribute("aria-pressed", "true")
        dark = page.evaluate(ground)
        switch.click()
        expect(switch).to_have_attribute("aria-pressed", "false")
        light = page.evaluate(ground)
        assert light != dark
        page.reload()
        assert page.evaluate(ground) == light


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(browser, served, width, scheme):
    with visit(browser, served, width=width, color_scheme=scheme) as page:
        for view, address in VIEWS.items():
            page.goto(address)
            page.wait_for_load_state("networkidle")
            if view in ("search", "nothing") and not page.locator("#refine").is_visible():
                page.locator("#refine-button").click()
            if view == "video":
                expect(page.locator("#related a.card").first).to_be_visible()
            assert axe(page) == [], view


def test_motion_is_left_out_where_it_is_not_wanted(browser, served):
    with visit(browser, served) as page:
        page.goto("/?q=beach&v=beach-1")
        expect(page.locator("#related a.card").first).to_be_visible()
        assert page.evaluate("document.getAnimations().length") == 0
        assert page.locator(".thumbnail img").first.evaluate(
            "it => getComputedStyle(it).transitionDuration"
        ) in ("0s", "0s, 0s")
