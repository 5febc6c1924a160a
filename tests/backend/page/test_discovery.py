"""Discovering, scrolling and searching, at a phone's width and a desktop's."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.backend.browser import needs_chromium
from tests.backend.page.visiting import (
    EVERY,
    FILMS,
    cards,
    first_ids,
    fits_the_width,
    ids,
    query,
    scroll_to_the_end,
    scrolled,
    show,
)

pytestmark = needs_chromium


def test_discover_search_open_and_go_back(page):
    page.goto("/")
    expect(page.locator("#summary")).to_have_text(f"{EVERY} videos")
    expect(cards(page).nth(23)).to_be_attached()
    assert fits_the_width(page)
    page.get_by_label("Search by words").fill("kitchen film")
    expect(cards(page).first).to_contain_text("kitchen film")
    expect(page).to_have_url(re.compile(r"\?q=kitchen\+film$"))
    page.get_by_label("Search by words").press("Escape")  # the suggestions
    expect(cards(page).first.locator("mark").first).to_have_text("kitchen")
    expect(cards(page).first.locator(".why")).to_contain_text("Title #")
    assert fits_the_width(page)

    title = cards(page).first.locator(".title").inner_text()
    cards(page).first.click()
    dialog = page.get_by_role("dialog", name=title)
    expect(dialog.get_by_role("heading", level=2)).to_be_focused()
    expect(dialog.get_by_text("Why it is number 1 in the list")).to_be_visible()
    related = page.locator("#related a.card")
    expect(related.first).to_contain_text("kitchen")
    assert title not in related.locator(".title").all_inner_texts()
    assert fits_the_width(page)

    another = related.first.locator(".title").inner_text()
    related.first.click()
    expect(page.get_by_role("dialog", name=another)).to_be_visible()
    page.go_back()
    expect(dialog).to_be_visible()
    page.go_back()
    expect(dialog).to_be_hidden()
    expect(cards(page).first).to_contain_text("kitchen film")
    expect(page.get_by_label("Search by words")).to_have_value("kitchen film")
    page.go_back()
    expect(page.locator("#heading")).to_have_text("Discover")


def test_thumbnails_are_really_drawn_and_nothing_jumps(phone):
    phone.goto("/?q=beach")
    image = cards(phone).locator("img").first
    before = cards(phone).first.bounding_box()
    # Not wait_for_function, which evaluates text in the page: its content policy forbids that.
    expect(image).to_have_class("is-loaded")
    assert image.evaluate("it => it.naturalWidth") > 0
    assert cards(phone).first.bounding_box() == before
    assert image.get_attribute("width")
    assert image.get_attribute("height")


def test_scrolling_brings_every_video_once(page):
    show(page, "/?seed=7")
    scroll_to_the_end(page)
    assert len(ids(page)) == len(set(ids(page))) == EVERY


def test_without_an_observer_a_button_brings_more(desktop):
    desktop.add_init_script("window.IntersectionObserver = class { observe() {} }")
    desktop.add_init_script("window.requestAnimationFrame = () => 0")
    show(desktop, "/?seed=7")
    desktop.get_by_role("button", name="Show more").click()
    expect(cards(desktop)).to_have_count(48)
    expect(cards(desktop).nth(24)).to_be_focused()


def test_a_link_to_a_random_page_shows_the_same_videos(phone):
    phone.goto("/")
    first = first_ids(phone)
    phone.reload()
    assert first_ids(phone) == first
    with phone.expect_response("**/api/v1/videos?*") as answer:
        phone.get_by_role("button", name="Shuffle").click()
    shuffled = [video["video_id"] for video in answer.value.json()["videos"]]
    assert query(phone)["seed"] == [str(answer.value.json()["seed"])]
    expect(cards(phone).first).to_have_attribute("data-video-id", shuffled[0])
    assert first_ids(phone) == shuffled != first
    phone.go_back()
    expect(cards(phone).first).to_have_attribute("data-video-id", first[0])
    assert first_ids(phone) == first


def test_a_busy_page_that_hears_late_of_its_end_goes_on(desktop):
    """The end went out of view and came near again before the page was told of either."""
    desktop.add_init_script("""
        const Observer = IntersectionObserver;
        window.IntersectionObserver = class extends Observer {
            constructor(told, options) {
                const gone = ({ target }) => ({ target, isIntersecting: false });
                super((entries) => told([gone(entries[0]), ...entries]), options);
            }
        };
    """)
    show(desktop, "/?q=film")
    scroll_to_the_end(desktop, FILMS)


def test_going_back_to_a_list_finds_it_as_it_was_left(desktop):
    show(desktop, "/?q=film")
    scroll_to_the_end(desktop, FILMS)
    desktop.mouse.wheel(0, -300)
    expect(desktop.get_by_text("That is all.")).not_to_be_in_viewport()
    left_at = scrolled(desktop)
    desktop.locator("#home").click()
    expect(desktop.locator("#heading")).to_have_text("Discover")
    desktop.go_back()
    expect(cards(desktop)).to_have_count(FILMS)
    assert scrolled(desktop) == left_at > 0


def test_the_latest_letters_win_and_earlier_requests_are_stopped(desktop):
    # Searches only: a picture that goes before it has come is stopped, too.
    stopped: list[str] = []
    desktop.on(
        "requestfailed", lambda sent: stopped.append(sent.post_data) if sent.post_data else None
    )
    held: list[Route] = []
    desktop.route(
        "**/api/v1/search",
        lambda route: (
            held.append(route)
            if '"beach"' in (route.request.post_data or "")
            else route.continue_()
        ),
    )
    desktop.goto("/")
    box = desktop.get_by_label("Search by words")
    with desktop.expect_request(lambda sent: '"beach"' in (sent.post_data or "")):
        box.fill("beach")
    box.fill("cricket")
    # Marked: the random videos from before may well be about cricket, too.
    expect(cards(desktop).first.locator("mark")).to_have_text("cricket")
    assert len(stopped) == 1
    assert '"beach"' in stopped[0]
    expect(desktop).to_have_url(re.compile(r"\?q=cricket$"))
    # Letters typed into one search are one step of history.
    desktop.go_back()
    expect(desktop.locator("#heading")).to_have_text("Discover")


def test_going_back_finds_every_submitted_search(desktop):
    desktop.goto("/")
    box = desktop.get_by_label("Search by words")
    for words in ("cricket", "film"):
        box.fill(words)
        box.press("Enter")
        expect(desktop.locator("#heading")).to_have_text(f"“{words}”")
    desktop.go_back()
    expect(desktop.locator("#heading")).to_have_text("“cricket”")
    expect(box).to_have_value("cricket")
    desktop.go_back()
    expect(desktop.locator("#heading")).to_have_text("Discover")


def test_half_composed_letters_are_not_searched(desktop):
    asked: list[str] = []
    show(desktop, "/?seed=3")
    desktop.on("request", lambda sent: asked.append(sent.url))
    desktop.get_by_label("Search by words").evaluate(
        """box => {
            box.focus();
            box.value = "be";
            box.dispatchEvent(new InputEvent("input", { isComposing: true, bubbles: true }));
        }"""
    )
    desktop.wait_for_timeout(600)
    assert not any(url.endswith("/search") for url in asked)
    desktop.get_by_label("Search by words").evaluate(
        'box => { box.value = "beach"; box.dispatchEvent(new CompositionEvent("compositionend")); }'
    )
    expect(cards(desktop).first).to_contain_text("beach")
