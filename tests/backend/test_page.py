"""The page in a real browser: the main paths, at a phone's width and a desktop's."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.backend.browser import launched, needs_chromium, watched_page
from tests.backend.catalogue import COLOURS, ODD_ID, ODD_TITLE, Catalogue, picture_bytes
from tests.backend.served import Served, publish_embedded
from twinlens.encoders.lenses import DEFAULT_WEIGHTS
from twinlens.stores.generations import DataDir

pytestmark = needs_chromium
PHONE, DESKTOP = 390, 1440
PER_SUBJECT = 30
EVERY = 3 * PER_SUBJECT + 1
PIXEL = {"red": picture_bytes(COLOURS["kitchen"], shade=4)}
FILE = {"name": "red.png", "mimeType": "image/png", "buffer": PIXEL["red"]}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    data = DataDir(tmp_path_factory.mktemp("page"))
    publish_embedded(Catalogue(per_subject=PER_SUBJECT), data, "g1")
    with Served(data) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def visit(
    browser: Browser, served: Served, *, width: int = DESKTOP, **options: Any
) -> AbstractContextManager[Page]:
    origin = f"http://127.0.0.1:{served.port}"
    return watched_page(browser, origin, viewport={"width": width, "height": 900}, **options)


@pytest.fixture(params=[PHONE, DESKTOP])
def page(browser, served, request) -> Iterator[Page]:
    with visit(browser, served, width=request.param) as page:
        yield page


@pytest.fixture
def phone(browser, served) -> Iterator[Page]:
    with visit(browser, served, width=PHONE) as page:
        yield page


@pytest.fixture
def desktop(browser, served) -> Iterator[Page]:
    with visit(browser, served) as page:
        yield page


@pytest.fixture
def failing_page(browser, served) -> Iterator[Page]:
    with visit(browser, served, failing=True) as page:
        yield page


def cards(page: Page) -> Locator:
    return page.locator("#results a.card")


def ids(page: Page) -> list[str]:
    return cards(page).evaluate_all("links => links.map(link => link.dataset.videoId)")


def first_ids(page: Page) -> list[str]:
    """Those of the first page; where the window is large, the next is there at once."""
    expect(cards(page).nth(23)).to_be_attached()
    return ids(page)[:24]


def scroll_to_the_end(page: Page) -> None:
    page.mouse.move(200, 500)
    begun = time.monotonic()
    while cards(page).count() < EVERY:
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


def problem(route: Route, status: int, code: str, **headers: str) -> None:
    route.fulfill(
        status=status,
        headers={"Content-Type": "application/problem+json", **headers},
        body=json.dumps({"status": status, "code": code, "detail": "so", "request_id": "r-42"}),
    )


# ---- the main paths


def test_discover_search_open_and_go_back(page):
    page.goto("/")
    expect(page.locator("#summary")).to_have_text(f"{EVERY} videos")
    expect(cards(page).nth(23)).to_be_attached()
    assert fits_the_width(page)
    page.get_by_label("Search by words").fill("kitchen film")
    expect(cards(page).first).to_contain_text("kitchen film")
    expect(page).to_have_url(re.compile(r"\?q=kitchen\+film$"))
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
    page = phone
    page.goto("/?q=beach")
    image = cards(page).locator("img").first
    before = cards(page).first.bounding_box()
    # Not wait_for_function, which evaluates text in the page: its content policy forbids that.
    expect(image).to_have_class("is-loaded")
    assert image.evaluate("it => it.naturalWidth") > 0
    assert cards(page).first.bounding_box() == before
    assert image.get_attribute("width")
    assert image.get_attribute("height")


def test_scrolling_brings_every_video_once(page):
    page.goto("/?seed=7")
    expect(cards(page).nth(23)).to_be_attached()
    scroll_to_the_end(page)
    assert len(ids(page)) == len(set(ids(page))) == EVERY


def test_without_an_observer_a_button_brings_more(desktop):
    page = desktop
    page.add_init_script("window.IntersectionObserver = class { observe() {} }")
    page.add_init_script("window.requestAnimationFrame = () => 0")
    page.goto("/?seed=7")
    expect(cards(page).nth(23)).to_be_attached()
    page.get_by_role("button", name="Show more").click()
    expect(cards(page)).to_have_count(48)
    expect(cards(page).nth(24)).to_be_focused()


def test_a_link_to_a_random_page_shows_the_same_videos(phone):
    page = phone
    page.goto("/")
    first = first_ids(page)
    page.reload()
    assert first_ids(page) == first
    with page.expect_response("**/api/v1/videos?*") as answer:
        page.get_by_role("button", name="Shuffle").click()
    shuffled = [video["video_id"] for video in answer.value.json()["videos"]]
    assert query(page)["seed"] == [str(answer.value.json()["seed"])]
    expect(cards(page).first).to_have_attribute("data-video-id", shuffled[0])
    assert first_ids(page) == shuffled != first
    page.go_back()
    expect(cards(page).first).to_have_attribute("data-video-id", first[0])
    assert first_ids(page) == first


def test_a_busy_page_that_hears_late_of_its_end_goes_on(desktop):
    """The end went out of view and came near again before the page was told of either."""
    page = desktop
    page.add_init_script("""
        const Observer = IntersectionObserver;
        window.IntersectionObserver = class extends Observer {
            constructor(told, options) {
                const gone = ({ target }) => ({ target, isIntersecting: false });
                super((entries) => told([gone(entries[0]), ...entries]), options);
            }
        };
    """)
    page.goto("/?q=film")
    expect(cards(page).nth(23)).to_be_attached()
    scroll_to_the_end(page)


def test_going_back_to_a_list_finds_it_as_it_was_left(desktop):
    page = desktop
    page.goto("/?q=film")
    expect(cards(page).nth(23)).to_be_attached()
    scroll_to_the_end(page)
    page.mouse.wheel(0, -300)
    expect(page.get_by_text("That is all.")).not_to_be_in_viewport()
    left_at = scrolled(page)
    page.locator("#home").click()
    expect(page.locator("#heading")).to_have_text("Discover")
    page.go_back()
    expect(cards(page)).to_have_count(EVERY)
    assert scrolled(page) == left_at > 0


def test_the_latest_letters_win_and_earlier_requests_are_stopped(desktop):
    page = desktop
    # Searches only: a picture that goes before it has come is stopped, too.
    stopped: list[str] = []
    page.on(
        "requestfailed",
        lambda sent: stopped.append(sent.post_data) if sent.post_data else None,
    )
    held: list[Route] = []
    page.route(
        "**/api/v1/search",
        lambda route: (
            held.append(route)
            if '"beach"' in (route.request.post_data or "")
            else route.continue_()
        ),
    )
    page.goto("/")
    box = page.get_by_label("Search by words")
    with page.expect_request(lambda sent: '"beach"' in (sent.post_data or "")):
        box.fill("beach")
    box.fill("cricket")
    # Marked: the random videos from before may well be about cricket, too.
    expect(cards(page).first.locator("mark")).to_have_text("cricket")
    assert len(stopped) == 1
    assert '"beach"' in stopped[0]
    expect(page).to_have_url(re.compile(r"\?q=cricket$"))
    # Letters typed into one search are one step of history.
    page.go_back()
    expect(page.locator("#heading")).to_have_text("Discover")


def test_going_back_finds_every_submitted_search(desktop):
    page = desktop
    page.goto("/")
    box = page.get_by_label("Search by words")
    for words in ("cricket", "film"):
        box.fill(words)
        box.press("Enter")
        expect(page.locator("#heading")).to_have_text(f"“{words}”")
    page.go_back()
    expect(page.locator("#heading")).to_have_text("“cricket”")
    expect(box).to_have_value("cricket")
    page.go_back()
    expect(page.locator("#heading")).to_have_text("Discover")


def test_half_composed_letters_are_not_searched(desktop):
    page = desktop
    asked: list[str] = []
    page.goto("/?seed=3")
    expect(cards(page).nth(23)).to_be_attached()
    page.on("request", lambda sent: asked.append(sent.url))
    page.get_by_label("Search by words").evaluate(
        """box => {
            box.focus();
            box.value = "be";
            box.dispatchEvent(new InputEvent("input", { isComposing: true, bubbles: true }));
        }"""
    )
    page.wait_for_timeout(600)
    assert not any(url.endswith("/search") for url in asked)
    page.get_by_label("Search by words").evaluate(
        'box => { box.value = "beach"; box.dispatchEvent(new CompositionEvent("compositionend")); }'
    )
    expect(cards(page).first).to_contain_text("beach")


# ---- pictures


def test_search_by_a_picture_and_take_it_back(page):
    page.goto("/?seed=3")
    page.locator("#file").set_input_files(FILE)
    expect(cards(page).first).to_contain_text("kitchen film number 4")
    expect(cards(page).first.locator(".why")).to_have_text("Thumbnail #1")
    expect(page.get_by_alt_text("Your picture")).to_be_visible()
    assert fits_the_width(page)

    page.get_by_label("Search by words").fill("number 7")
    expect(page.locator("#heading")).to_have_text("“number 7”, like your picture")
    expect(cards(page).first.locator(".why")).to_contain_text("Words #")
    page.reload()
    expect(page.get_by_alt_text("Your picture")).to_be_visible()
    expect(page.locator("#heading")).to_have_text("“number 7”, like your picture")

    page.get_by_label("Clear the words").click()
    page.get_by_role("button", name="Remove the picture").click()
    expect(page.locator("#summary")).to_have_text(f"{EVERY} videos")
    expect(page.get_by_alt_text("Your picture")).to_be_hidden()


SEND = """({ content, how, type }) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(content)], "a", { type }));
    const options = { bubbles: true, cancelable: true };
    if (how === "paste") {
        document.body.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: transfer, ...options }));
    } else {
        for (const name of ["dragover", "drop"]) {
            document.body.dispatchEvent(
                new DragEvent(name, { dataTransfer: transfer, ...options }));
        }
    }
}"""


PASTE_WITH_TEXT = """({ content, text, name }) => {
    const transfer = new DataTransfer();
    transfer.setData("text/plain", text);
    transfer.items.add(new File([new Uint8Array(content)], name, { type: "image/png" }));
    const pasted = new ClipboardEvent(
        "paste", { clipboardData: transfer, bubbles: true, cancelable: true });
    document.getElementById("text").dispatchEvent(pasted);
    return pasted.defaultPrevented;
}"""


def test_pasted_cells_stay_text_and_a_copied_file_is_a_picture(desktop):
    page = desktop
    page.goto("/?q=beach")
    expect(cards(page).first).to_contain_text("beach")
    given = {"content": list(PIXEL["red"]), "name": "image.png"}
    assert page.evaluate(PASTE_WITH_TEXT, {**given, "text": "tea\t12\ncoffee\t9"}) is False
    assert page.evaluate(PASTE_WITH_TEXT, {**given, "text": "/home/me/image.png"}) is True
    expect(page.get_by_alt_text("Your picture")).to_be_visible()
    # The picture is the only step since then: the cells have made none.
    page.go_back()
    expect(page).to_have_url(re.compile(r"\?q=beach$"))
    expect(page.get_by_alt_text("Your picture")).to_be_hidden()


@pytest.mark.parametrize("how", ["paste", "drop"])
def test_a_picture_can_be_dropped_and_pasted(page, how):
    page.goto("/?seed=3")
    expect(cards(page).nth(23)).to_be_attached()
    content = list(picture_bytes(COLOURS["cricket"], shade=2))
    page.evaluate(SEND, {"content": content, "how": how, "type": "image/png"})
    expect(cards(page).first).to_contain_text("cricket film number 2")
    expect(page.locator("#drop")).to_be_hidden()


def test_what_is_no_picture_is_refused_with_a_word(desktop):
    page = desktop
    page.goto("/?seed=3")
    expect(cards(page).nth(23)).to_be_attached()
    page.evaluate(SEND, {"content": [65, 66], "how": "drop", "type": "text/plain"})
    expect(page.get_by_role("alert")).to_contain_text("That is not a picture.")
    page.get_by_role("button", name="Back to the videos").click()
    expect(cards(page).nth(23)).to_be_attached()


def test_a_format_that_the_server_lacks_is_sent_as_one_it_has(desktop):
    page = desktop
    page.goto("/?seed=3")
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="48" height="36"/>'
    page.locator("#file").set_input_files(
        {"name": "a.svg", "mimeType": "image/svg+xml", "buffer": drawing}
    )
    # Chromium draws SVG for an <img> only: whatever comes, someone is told or served.
    expect(page.locator("#results .why, [role=alert]").first).to_be_visible()


def test_a_link_with_a_picture_of_elsewhere_asks_for_it(phone):
    page = phone
    page.goto("/?picture=0123456789ab&q=beach")
    expect(page.get_by_role("heading", name="This search is by a picture")).to_be_visible()
    page.get_by_role("button", name="Search without it").click()
    expect(cards(page).first).to_contain_text("beach")


# ---- filters and ranking


def test_filters_narrow_and_stand_in_the_address(page):
    page.goto("/?seed=3")
    expect(page.locator("#summary")).to_have_text(f"{EVERY} videos")
    page.get_by_role("button", name="beach", exact=True).click()
    expect(page.locator("#summary")).to_have_text("30 videos")
    assert query(page)["category"] == ["beach"]
    expect(page.get_by_role("button", name="beach", exact=True)).to_be_focused()

    page.locator("#refine-button").click()
    panel = page.get_by_role("dialog", name="Refine")
    # The other categories are still offered, counted as without this one filter.
    expect(panel.get_by_label("kitchen")).to_be_visible()
    panel.get_by_label("Sinhala").check()
    expect(page.locator("#summary")).to_have_text("10 videos")
    panel.get_by_label("At least").fill("2000")
    panel.get_by_label("At least").press("Enter")
    expect(page.locator("#summary")).to_have_text("3 videos")
    panel.get_by_label("Under 4 min").check()
    expect(page.locator("#summary")).to_have_text("0 videos")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_attached()
    assert fits_the_width(page)
    assert query(page)["language"] == ["si"]
    assert query(page)["views"] == ["2000-"]
    assert query(page)["length"] == ["-240"]

    page.reload()
    expect(page.locator("#summary")).to_have_text("0 videos")
    page.get_by_role("button", name="Clear the filters").press("Enter")
    assert focused(page) == "heading"
    expect(page.locator("#summary")).to_have_text(f"{EVERY} videos")
    assert focused(page) == "heading"
    page.go_back()
    expect(page.locator("#summary")).to_have_text("0 videos")


def test_two_numbers_are_filled_in_one_after_the_other(page):
    page.goto("/?seed=3")
    expect(page.locator("#summary")).to_have_text(f"{EVERY} videos")
    page.locator("#refine-button").click()
    panel = page.get_by_role("dialog", name="Refine")
    panel.get_by_label("At least").click()
    page.keyboard.type("1000")
    page.keyboard.press("Tab")
    page.keyboard.type("2000")
    expect(panel.get_by_label("At most")).to_be_focused()
    # The numbers of the narrower list come while the second one is being typed.
    expect(page.locator("#summary")).to_have_text("60 videos")
    expect(panel.get_by_label("At most")).to_have_value("2000")
    page.keyboard.press("Tab")
    expect(page).to_have_url(re.compile("views=1000-2000"))
    assert page.evaluate("document.activeElement.tagName") != "BODY"


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.id")


def test_what_takes_itself_away_hands_the_focus_on(desktop):
    page = desktop
    page.goto("/?seed=3&language=si&language=en&views=10-")
    expect(page.locator("#chips button").first).to_be_visible()
    assert page.locator("#chips button").all_inner_texts()[:3] == [
        "Sinhala",
        "English",
        "10 views or more",
    ]
    page.locator("#chips button").first.press("Enter")
    assert focused(page) == "Remove filter English"
    expect(page.locator("#summary")).to_have_text("27 videos")
    assert focused(page) == "Remove filter English"
    page.locator("#refine-button").click()
    page.get_by_role("button", name="Clear filters").press("Enter")
    assert focused(page) == "Close"
    page.goto("/?like=beach-1&like=cricket-1")
    seeds = page.locator("#seeds button")
    expect(seeds.first).to_have_accessible_name("Remove beach film number 1")
    seeds.first.press("Enter")
    expect(seeds).to_have_count(1)
    assert focused(page) == "Remove cricket film number 1"
    seeds.first.press("Enter")
    assert focused(page) == "heading"


def test_searches_can_be_narrowed_by_what_they_found(desktop):
    page = desktop
    page.goto("/?q=film+number&language=ta")
    page.get_by_role("button", name="cricket", exact=True).click()
    expect(page).to_have_url(re.compile("category=cricket"))
    expect(cards(page).first).to_contain_text("cricket film")
    expect(cards(page)).to_have_count(10)
    page.locator("#refine-button").click()
    choice = page.locator("label.choice", has_text="English")
    expect(choice.locator(".count")).to_have_text("10")


def test_years_include_the_last_one(desktop):
    page = desktop
    page.goto("/?seed=3&years=2021-2021")
    expect(page.locator("#summary")).to_have_text("18 videos")


def test_the_order_can_be_chosen(phone):
    page = phone
    page.goto("/?seed=3")
    page.get_by_label("Order").select_option("Most viewed")
    expect(page.locator("#heading")).to_have_text("Most viewed")
    expect(cards(page).first).to_contain_text("number 29")
    assert query(page) == {"sort": ["view_count:desc"]}


def test_weights_are_asked_and_stand_in_the_address(page):
    page.goto("/?q=beach+film")
    expect(cards(page).first).to_be_visible()
    page.locator("#refine-button").click()
    slider = page.get_by_role("slider", name="Words")
    assert slider.input_value() == str(int(DEFAULT_WEIGHTS["words"]))
    with page.expect_request("**/api/v1/search") as asked:
        slider.press("Home")
    assert json.loads(asked.value.post_data)["weights"] == {"title": 1, "words": 0, "thumbnail": 1}
    expect(page).to_have_url(re.compile("weights=1-0-1"))
    expect(cards(page).first.locator(".why")).not_to_contain_text("Words")
    page.get_by_role("slider", name="Title").press("Home")
    # Something has to rank: the last one can't be switched off.
    page.get_by_role("slider", name="Thumbnail").press("Home")
    expect(page).to_have_url(re.compile("weights=0-0-0.5"))
    page.get_by_role("button", name="Back to the defaults").press("Enter")
    assert focused(page) == "weight-title"
    expect(page).to_have_url(re.compile(r"\?q=beach\+film$"))
    expect(cards(page).first.locator(".why")).to_contain_text("Words")
    assert focused(page) == "weight-title"


def test_a_slider_that_moves_is_asked_where_it_rests(desktop):
    page = desktop
    page.goto("/?q=beach+film")
    expect(cards(page).first.locator(".why")).to_be_visible()
    page.locator("#refine-button").click()
    asked: list[dict[str, float]] = []
    page.on(
        "request",
        lambda sent: (
            sent.url.endswith("/search") and asked.append(json.loads(sent.post_data)["weights"])
        ),
    )
    labels = page.evaluate(
        """() => ["title", "words", "words"].map((lens, at) => {
            const slider = document.getElementById(`weight-${lens}`);
            slider.value = at + 2;
            slider.dispatchEvent(new InputEvent("input", { bubbles: true }));
            return document.getElementById(`weight-${lens}-value`).textContent;
        })"""
    )
    assert labels == ["×2", "×3", "×4"]
    expect(page).to_have_url(re.compile("weights=2-4-1"))
    assert asked == [{"title": 2, "words": 4, "thumbnail": 1}]
    # What is done meanwhile takes the sliders along.
    page.evaluate(
        """() => {
            const slider = document.getElementById("variety");
            slider.value = 0.3;
            slider.dispatchEvent(new InputEvent("input", { bubbles: true }));
            document.getElementById("fold").click();
        }"""
    )
    assert query(page) == {
        "q": ["beach film"],
        "weights": ["2-4-1"],
        "variety": ["0.3"],
        "reuploads": ["fold"],
    }


SLIDE = """() => {
    const slider = document.getElementById("weight-title");
    slider.value = 7;
    slider.dispatchEvent(new InputEvent("input", { bubbles: true }));
    %s
}"""


def test_what_is_done_right_after_sliding_takes_it_along(desktop):
    page = desktop
    page.goto("/?q=beach+film")
    expect(cards(page).first.locator(".why")).to_be_visible()
    page.locator("#refine-button").click()
    page.evaluate(SLIDE % 'document.querySelector("#results a.card").click();')
    assert query(page)["weights"] == ["7-5-1"]
    expect(page.get_by_role("dialog").get_by_role("table")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="beach")).to_have_count(0)
    assert query(page) == {"q": ["beach film"], "weights": ["7-5-1"]}
    expect(page.get_by_role("slider", name="Title")).to_have_value("7")

    page.goto("/?q=beach+film")
    expect(cards(page).first.locator(".why")).to_be_visible()
    page.get_by_label("Search by words").fill("cricket film")
    page.evaluate(SLIDE % 'document.getElementById("search").requestSubmit();')
    assert query(page) == {"q": ["cricket film"], "weights": ["7-5-1"]}


def test_more_and_less_of_a_video_recommend(page):
    page.goto("/?seed=3")
    cards(page).first.click()
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#heading")).to_have_text("Recommended")
    (liked,) = query(page)["like"]
    expect(cards(page).first.locator(".why")).to_contain_text("#")
    assert liked not in ids(page)
    disliked = ids(page)[3]
    cards(page).nth(3).click()
    page.get_by_role("button", name="Less like this").click()
    expect(page.locator("#seeds li")).to_have_count(2)
    expect(page.locator(f'#results [data-video-id="{disliked}"]')).to_have_count(0)
    assert query(page) == {"like": [liked], "less": [disliked]}
    page.locator("#seeds button").first.click()
    expect(page.locator("#heading")).to_have_text("Discover")
    assert set(query(page)) == {"seed"}


def test_a_recommendation_names_what_it_is_like(page):
    page.goto("/?like=beach-1&like=cricket-1")
    likes = {"beach film number 1", "cricket film number 1"}
    expect(cards(page).first.locator("cite")).to_have_text(re.compile("film number 1$"))
    expect(cards(page).first.locator(".because")).to_have_text(re.compile("^Like "))
    assert set(cards(page).locator("cite").all_inner_texts()) == likes
    cards(page).first.click()
    note = page.get_by_role("dialog").locator(".note")
    expect(note).to_contain_text(re.compile("^Recommended by .* film number 1"))
    assert fits_the_width(page)
    # With a single one each card would say the same.
    page.goto("/?like=beach-1")
    expect(cards(page).first.locator(".why")).to_be_visible()
    expect(cards(page).locator(".because")).to_have_count(0)
    cards(page).first.click()
    expect(note).to_have_text("Recommended by beach film number 1.")


ADDRESSES = [
    "",
    "?q=tea+country",
    "?seed=12&v=abc",
    "?q=%E0%B6%9A&category=A+%26+B&category=C&language=si&channel=x&tag=y",
    "?length=240-1200&views=1000-&years=-2020&sort=view_count%3Adesc",
    "?q=a&weights=0-2.5-10&variety=0.3&reuploads=fold&v=%3Fx%3D1%26y%23",
    "?like=a&like=b&less=c",
    "?q=a&picture=0123456789ab",
]


def test_an_address_is_read_and_written_as_it_was(desktop):
    page = desktop
    page.goto("/?seed=1")
    written = page.evaluate(
        """async addresses => {
            const { readView, writeView } = await import("/static/address.js");
            return addresses.map((address) => writeView(readView(address)));
        }""",
        ADDRESSES,
    )
    assert written == ADDRESSES
    # What can't be understood is left out, not an error.
    assert page.evaluate(
        """async () => {
            const { readView, writeView } = await import("/static/address.js");
            return writeView(readView(
                "?weights=0-0-0&variety=9&length=x&views=&sort=no&seed=-4&years=1-2-3&other=1"));
        }"""
    ) == ""  # fmt: skip
    # Recommendations are by videos alone: beside words or a picture there are none to be by.
    assert page.evaluate(
        """async () => {
            const { readView, writeView } = await import("/static/address.js");
            return ["?q=a&like=b&less=c", "?picture=0123456789ab&like=b", "?less=c",
                "?like=a&less=a"].map((address) => writeView(readView(address)));
        }"""
    ) == ["?q=a", "?picture=0123456789ab", "", "?like=a"]
    weights = page.evaluate("import('/static/address.js').then(it => it.DEFAULT_WEIGHTS)")
    assert weights == {str(name): weight for name, weight in DEFAULT_WEIGHTS.items()}


def test_the_address_says_no_more_than_what_is_shown(desktop):
    page = desktop
    with page.expect_request("**/api/v1/search") as asked:
        page.goto("/?q=beach&like=kitchen-1&less=cricket-1&other=1#results")
    assert "video_id" not in json.loads(asked.value.post_data)
    expect(page).to_have_url(re.compile(r"/\?q=beach#results$"))


# ---- an opened video


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
    page = phone
    page.goto("/?q=film")
    expect(cards(page).nth(23)).to_be_attached()
    down = page.request.post("/api/v1/search", data={"text": "film", "limit": 100}).json()["hits"]
    page.goto(f"/?q=film&v={quote(down[80]['video']['video_id'], safe='')}")
    expect(page.get_by_role("table", name="Why it is number 81 in the list")).to_be_visible()
    # The list behind it is as short as it was, and its next page leaves the explanation there.
    page.evaluate("document.getElementById('more').click()")
    expect(cards(page).nth(47)).to_be_attached()
    expect(page.get_by_role("table", name="Why it is number 81 in the list")).to_be_visible()


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
    page = phone
    page.goto("/?q=cricket")
    cards(page).first.click()
    page.locator("#related a.card").first.click()
    page.locator("#related a.card").first.click()
    expect(page.locator("#related a.card").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"\?q=cricket$"))
    page.keyboard.press("Escape")
    page.go_forward()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_titles_stand_in_their_own_language(desktop):
    page = desktop
    page.goto(f"/?seed=3&v={quote(ODD_ID, safe='')}")
    # Its language is not known: the script tells.
    expect(page.locator("#video-title")).to_have_attribute("lang", "si")
    height, size = page.locator("#video-title").evaluate(
        "it => [getComputedStyle(it).lineHeight, getComputedStyle(it).fontSize].map(parseFloat)"
    )
    assert height / size >= 1.5
    languages = page.evaluate(
        """async () => {
            const { languageOf } = await import("/static/format.js");
            const titles = [["plain", "en"], ["ක්‍රිකට්", "en"], ["தமிழ்", null],
                ["नेपाली", "ne"], ["x", null]];
            return titles.map(([text, given]) => languageOf(text, given));
        }"""
    )
    assert languages == ["en", "si", "ta", "ne", ""]


# ---- keyboard, themes, accessibility


def test_the_keyboard_is_enough(desktop):
    page = desktop
    page.goto("/?q=cricket")
    expect(cards(page).nth(8)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the videos")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Search by words")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(cards(page).first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(cards(page).nth(1)).to_be_focused()
    columns = page.locator("#results").evaluate(
        "it => getComputedStyle(it).gridTemplateColumns.split(' ').length"
    )
    assert columns > 3
    page.keyboard.press("ArrowDown")
    expect(cards(page).nth(1 + columns)).to_be_focused()
    page.keyboard.press("Home")
    expect(cards(page).first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#video-title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(cards(page).first).to_be_focused()


def test_a_screen_reader_is_told_what_came(desktop):
    page = desktop
    page.goto("/?q=beach")
    expect(page.get_by_role("status")).to_have_text("“beach”: 24 videos shown")
    page.get_by_label("Search by words").fill("cricket")
    expect(page.get_by_role("status")).to_contain_text("“cricket”")


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


def axe(page: Page) -> list[tuple[str, str, list[str]]]:
    """What axe finds wrong: the rule, how bad, and the first place."""
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["impact"], one["nodes"][0]["target"]) for one in found]


VIEWS = {
    "discover": "/?seed=3",
    "search": "/?q=beach+film&weights=1-2-1",
    "video": "/?q=beach+film&v=beach-1",
    "recommended": "/?like=beach-1&less=cricket-1",
    "nothing": "/?language=xx&seed=1",
    "missing": "/?picture=0123456789ab",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_axe_finds_nothing_wrong(browser, served, width, scheme):
    with visit(browser, served, width=width, color_scheme=scheme, reduced_motion="reduce") as page:
        for view, address in VIEWS.items():
            page.goto(address)
            page.wait_for_load_state("networkidle")
            if view in ("search", "nothing") and not page.locator("#refine").is_visible():
                page.locator("#refine-button").click()
            if view == "video":
                expect(page.locator("#related a.card").first).to_be_visible()
            assert axe(page) == [], view


def test_motion_is_left_out_where_it_is_not_wanted(browser, served):
    with visit(browser, served, reduced_motion="reduce") as page:
        page.goto("/?q=beach&v=beach-1")
        expect(page.locator("#related a.card").first).to_be_visible()
        assert page.evaluate("document.getAnimations().length") == 0
        assert page.locator(".thumbnail img").first.evaluate(
            "it => getComputedStyle(it).transitionDuration"
        ) in ("0s", "0s, 0s")


# ---- what can go wrong


def test_an_error_names_its_code_and_request_and_can_be_tried_again(failing_page):
    page = failing_page
    page.route("**/api/v1/search", lambda route: problem(route, 503, "not_ready"), times=1)
    page.goto("/?q=beach")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Nothing to search yet")
    expect(alert).to_contain_text("not_ready")
    expect(alert).to_contain_text("r-42")
    alert.get_by_role("button", name="Try again").click()
    expect(cards(page).first).to_contain_text("beach")
    expect(alert).to_have_count(0)


def test_a_server_that_is_away_is_said_so(failing_page):
    failing_page.route("**/api/v1/search", lambda route: route.abort(), times=1)
    failing_page.goto("/?q=beach")
    expect(failing_page.get_by_role("alert")).to_contain_text("The server can't be reached")
    failing_page.get_by_role("button", name="Try again").click()
    expect(cards(failing_page).first).to_contain_text("beach")


def test_a_limited_rate_is_waited_out(failing_page):
    page = failing_page
    page.route(
        "**/api/v1/search",
        lambda route: problem(route, 429, "rate_limited", **{"Retry-After": "2"}),
        times=1,
    )
    page.goto("/?q=beach")
    again = page.get_by_role("alert").get_by_role("button")
    expect(again).to_be_disabled()
    expect(again).to_have_text(re.compile(r"Try again in \d s"))
    expect(again).to_be_enabled()
    again.click()
    expect(cards(page).first).to_contain_text("beach")


def test_a_page_that_fails_keeps_what_is_shown(failing_page):
    page = failing_page
    page.route(
        re.compile("/api/v1/videos[?].*cursor="),
        lambda route: problem(route, 503, "overloaded"),
        times=1,
    )
    page.goto("/?seed=3")
    expect(cards(page).nth(23)).to_be_attached()
    page.mouse.wheel(0, 20_000)
    expect(page.get_by_role("alert")).to_contain_text("overloaded")
    expect(cards(page)).to_have_count(24)
    page.get_by_role("button", name="Try again").click()
    expect(cards(page).nth(47)).to_be_attached()


def test_a_new_index_starts_the_list_again(failing_page):
    page = failing_page
    page.route(
        re.compile("/api/v1/videos[?].*cursor="),
        lambda route: problem(route, 409, "cursor_expired"),
        times=1,
    )
    with page.expect_response(lambda answer: answer.status == 409):
        page.goto("/?seed=3")
        expect(cards(page).nth(23)).to_be_attached()
        page.mouse.wheel(0, 20_000)
    first = ids(page)[0]
    expect(page.get_by_role("status")).to_have_text("Discover: 24 videos shown")
    expect(cards(page).first).to_have_attribute("data-video-id", first)
    scroll_to_the_end(page)
    assert len(ids(page)) == len(set(ids(page))) == EVERY


def test_a_video_that_is_gone_is_said_so(failing_page):
    failing_page.goto("/?seed=3&v=none")
    alert = failing_page.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_contain_text("This video is not here")
    expect(alert).to_contain_text("video_not_found")
    failing_page.keyboard.press("Escape")
    expect(cards(failing_page).nth(23)).to_be_attached()


def test_a_thumbnail_that_fails_leaves_a_quiet_place(failing_page):
    failing_page.route("**/thumbnail?*", lambda route: route.fulfill(status=404))
    failing_page.goto("/?q=beach")
    first = cards(failing_page).first
    expect(first.locator(".thumbnail.is-missing .icon")).to_be_visible()
    expect(first.locator("img")).to_have_css("opacity", "0")


def test_a_picture_that_is_refused_makes_room_for_another(failing_page):
    page = failing_page
    page.goto("/?seed=3")
    page.route("**/api/v1/search", lambda route: problem(route, 422, "picture_rejected"), times=1)
    page.locator("#file").set_input_files(FILE)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This picture can't be read")
    with page.expect_file_chooser() as chooser:
        alert.get_by_role("button", name="Choose another picture").press("Enter")
    chooser.value.set_files([FILE])
    expect(cards(page).first.locator(".why")).to_contain_text("Thumbnail #1")
    expect(alert).to_have_count(0)
    assert focused(page) == "heading"


def test_recommendations_go_on_without_what_is_gone(failing_page):
    page = failing_page
    page.goto("/?like=beach-1&like=none&less=never&less=cricket-1")
    expect(page.locator("#seeds li").nth(1)).to_contain_text("A video that is gone")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Not all of these videos are here")
    alert.get_by_role("button", name="Go on without what is gone").press("Enter")
    expect(cards(page).first).to_contain_text("beach")
    assert query(page) == {"like": ["beach-1"], "less": ["cricket-1"]}
    assert focused(page) == "heading"
    page.goto("/?like=none&less=cricket-1")
    alert.get_by_role("button", name="Go on without what is gone").click()
    expect(page.locator("#heading")).to_have_text("Discover")
    assert "less" not in query(page)


KEY = "sesame-of-the-page"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory) -> Iterator[Served]:
    data = DataDir(tmp_path_factory.mktemp("keyed"))
    publish_embedded(Catalogue(per_subject=PER_SUBJECT), data, "g1")
    with Served(data, api_keys=KEY) as served:
        yield served


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
    asked = {"width": PHONE, "color_scheme": scheme, "reduced_motion": "reduce", "failing": True}
    with visit(browser, served, **asked) as page:
        page.goto("/?like=beach-1&like=none")
        expect(page.get_by_role("alert")).to_contain_text("Not all of these videos are here")
        assert axe(page) == []
        page.route("**/api/v1/search", lambda route: problem(route, 422, "picture_rejected"))
        page.locator("#file").set_input_files(FILE)
        expect(page.get_by_role("alert")).to_contain_text("This picture can't be read")
        assert axe(page) == []
    with visit(browser, keyed, **asked) as page:
        page.add_init_script("sessionStorage.setItem('twinlens-api-key', 'another')")
        page.goto("/?q=beach")
        expect(page.get_by_role("alert")).to_contain_text("The server refused this key")
        assert axe(page) == []
