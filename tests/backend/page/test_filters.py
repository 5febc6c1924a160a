"""Filters, order, weights and what is more or less wanted, as the page has them."""

from __future__ import annotations

import json
import re

from playwright.sync_api import expect

from tests.backend.browser import needs_chromium
from tests.backend.page.visiting import EVERY, cards, fits_the_width, focused, ids, query, show
from twinlens.catalog.fields import FIELDS
from twinlens.encoders.lenses import DEFAULT_WEIGHTS

pytestmark = needs_chromium


def test_filters_narrow_and_stand_in_the_address(page):
    page.goto("/?seed=3")
    expect(page.locator("#summary")).to_have_text(f"{EVERY} videos")
    page.get_by_role("button", name="beach", exact=True).click()
    expect(page.locator("#summary")).to_have_text("30 videos")
    assert query(page)["category"] == ["beach"]
    expect(page.get_by_role("button", name="beach", exact=True)).to_be_focused()

    page.locator("#refine-button").click()
    panel = page.get_by_role("dialog", name="Refine")
    views = panel.get_by_role("group", name="Views")
    # The other categories are still offered, counted as without this one filter.
    expect(panel.get_by_label("kitchen")).to_be_visible()
    panel.get_by_label("Sinhala").check()
    expect(page.locator("#summary")).to_have_text("10 videos")
    views.get_by_label("At least").fill("2000")
    views.get_by_label("At least").press("Enter")
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
    views = page.get_by_role("dialog", name="Refine").get_by_role("group", name="Views")
    views.get_by_label("At least").click()
    page.keyboard.type("1000")
    page.keyboard.press("Tab")
    page.keyboard.type("2000")
    expect(views.get_by_label("At most")).to_be_focused()
    # The numbers of the narrower list come while the second one is being typed.
    expect(page.locator("#summary")).to_have_text("60 videos")
    expect(views.get_by_label("At most")).to_have_value("2000")
    page.keyboard.press("Tab")
    expect(page).to_have_url(re.compile("views=1000-2000"))
    assert page.evaluate("document.activeElement.tagName") != "BODY"


def test_what_takes_itself_away_hands_the_focus_on(desktop):
    desktop.goto("/?seed=3&language=si&language=en&views=10-")
    expect(desktop.locator("#chips button").first).to_be_visible()
    assert desktop.locator("#chips button").all_inner_texts()[:3] == [
        "Sinhala",
        "English",
        "10 views or more",
    ]
    desktop.locator("#chips button").first.press("Enter")
    assert focused(desktop) == "Remove filter English"
    expect(desktop.locator("#summary")).to_have_text("27 videos")
    assert focused(desktop) == "Remove filter English"
    desktop.locator("#refine-button").click()
    desktop.get_by_role("button", name="Clear filters").press("Enter")
    assert focused(desktop) == "Close"
    desktop.goto("/?like=beach-1&like=cricket-1")
    seeds = desktop.locator("#seeds button")
    expect(seeds.first).to_have_accessible_name("Remove beach film number 1")
    seeds.first.press("Enter")
    expect(seeds).to_have_count(1)
    expect(seeds.first).to_have_accessible_name("Remove cricket film number 1")
    expect(seeds.first).to_be_focused()
    seeds.first.press("Enter")
    assert focused(desktop) == "heading"


def test_searches_can_be_narrowed_by_what_they_found(desktop):
    desktop.goto("/?q=film+number&language=ta")
    desktop.get_by_role("button", name="cricket", exact=True).click()
    expect(desktop).to_have_url(re.compile("category=cricket"))
    expect(cards(desktop).first).to_contain_text("cricket film")
    expect(cards(desktop)).to_have_count(10)
    desktop.locator("#refine-button").click()
    choice = desktop.locator("label.choice", has_text="English")
    expect(choice.locator(".count")).to_have_text("10")


def test_years_include_the_last_one(desktop):
    desktop.goto("/?seed=3&years=2021-2021")
    expect(desktop.locator("#summary")).to_have_text("18 videos")


def test_the_order_can_be_chosen(phone):
    phone.goto("/?seed=3")
    most_viewed = FIELDS["view_count"].sort_labels[0]
    phone.get_by_label("Order").select_option(most_viewed)
    expect(phone.locator("#heading")).to_have_text(most_viewed)
    expect(cards(phone).first).to_contain_text("number 29")
    assert query(phone) == {"sort": ["view_count:desc"]}


def test_weights_are_asked_and_stand_in_the_address(page):
    show(page, "/?q=beach+film")
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
    show(desktop, "/?q=beach+film")
    desktop.locator("#refine-button").click()
    asked: list[dict[str, float]] = []
    desktop.on(
        "request",
        lambda sent: (
            sent.url.endswith("/search") and asked.append(json.loads(sent.post_data)["weights"])
        ),
    )
    labels = desktop.evaluate(
        """() => ["title", "words", "words"].map((lens, at) => {
            const slider = document.getElementById(`weight-${lens}`);
            slider.value = at + 2;
            slider.dispatchEvent(new InputEvent("input", { bubbles: true }));
            return document.getElementById(`weight-${lens}-value`).textContent;
        })"""
    )
    assert labels == ["×2", "×3", "×4"]
    expect(desktop).to_have_url(re.compile("weights=2-4-1"))
    assert asked == [{"title": 2, "words": 4, "thumbnail": 1}]
    # What is done meanwhile takes the sliders along.
    desktop.evaluate(
        """() => {
            const slider = document.getElementById("variety");
            slider.value = 0.3;
            slider.dispatchEvent(new InputEvent("input", { bubbles: true }));
            document.getElementById("fold").click();
        }"""
    )
    assert query(desktop) == {
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
    show(desktop, "/?q=beach+film")
    desktop.locator("#refine-button").click()
    desktop.evaluate(SLIDE % 'document.querySelector("#results a.card").click();')
    assert query(desktop)["weights"] == ["7-5-1"]
    expect(desktop.get_by_role("dialog").get_by_role("table")).to_be_visible()
    desktop.keyboard.press("Escape")
    expect(desktop.get_by_role("dialog", name="beach")).to_have_count(0)
    assert query(desktop) == {"q": ["beach film"], "weights": ["7-5-1"]}
    expect(desktop.get_by_role("slider", name="Title")).to_have_value("7")

    show(desktop, "/?q=beach+film")
    desktop.get_by_label("Search by words").fill("cricket film")
    desktop.evaluate(SLIDE % 'document.getElementById("search").requestSubmit();')
    assert query(desktop) == {"q": ["cricket film"], "weights": ["7-5-1"]}


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
    show(page, "/?like=beach-1")
    expect(cards(page).locator(".because")).to_have_count(0)
    cards(page).first.click()
    expect(note).to_have_text("Recommended by beach film number 1.")


AS_THEY_ARE = [
    "",
    "?q=tea+country",
    "?seed=12&v=abc",
    "?q=%E0%B6%9A&category=A+%26+B&category=C&language=si&channel=x&tag=y",
    "?length=240-1200&views=1000-&years=-2020&sort=view_count%3Adesc",
    "?q=a&weights=0-2.5-10&variety=0.3&reuploads=fold&v=%3Fx%3D1%26y%23",
    "?like=a&like=b&less=c",
    "?q=a&picture=0123456789ab",
]
WRITTEN_ANEW = {
    # What can't be understood is left out, not an error.
    "?weights=0-0-0&variety=9&length=x&views=&sort=no&seed=-4&years=1-2-3&other=1": "",
    # Recommendations are by videos alone: beside words or a picture there are none to be by.
    "?q=a&like=b&less=c": "?q=a",
    "?picture=0123456789ab&like=b": "?picture=0123456789ab",
    "?less=c": "",
    # A link from before a lens was added; each lens that it lacks has its own weight.
    "?weights=2-5": "?weights=2-5-1",
    "?weights=2-5-1-1": "",
    "?like=a&less=a": "?like=a",
}


def test_an_address_is_read_and_written_as_it_was(desktop):
    desktop.goto("/?seed=1")
    expected = {address: address for address in AS_THEY_ARE} | WRITTEN_ANEW
    written = desktop.evaluate(
        """async addresses => {
            const { readView, writeView } = await import("/static/address.js");
            return addresses.map((address) => writeView(readView(address)));
        }""",
        [*expected],
    )
    assert dict(zip(expected, written, strict=True)) == expected
    weights = desktop.evaluate("import('/static/lenses.js').then(it => it.DEFAULT_WEIGHTS)")
    assert weights == {str(name): weight for name, weight in DEFAULT_WEIGHTS.items()}


def test_the_address_says_no_more_than_what_is_shown(desktop):
    with desktop.expect_request("**/api/v1/search") as asked:
        desktop.goto("/?q=beach&like=kitchen-1&less=cricket-1&other=1#results")
    assert "video_id" not in json.loads(asked.value.post_data)
    expect(desktop).to_have_url(re.compile(r"/\?q=beach#results$"))
