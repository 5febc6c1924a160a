"""Searching by a picture: chosen, dropped, pasted or linked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.backend.browser import needs_chromium
from tests.backend.catalogue import COLOURS, RED, picture_bytes
from tests.backend.page.visiting import EVERY, FILE, cards, fits_the_width, show

pytestmark = [needs_chromium, pytest.mark.slow]


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
    desktop.goto("/?q=beach")
    expect(cards(desktop).first).to_contain_text("beach")
    given = {"content": list(RED), "name": "image.png"}
    assert desktop.evaluate(PASTE_WITH_TEXT, {**given, "text": "tea\t12\ncoffee\t9"}) is False
    assert desktop.evaluate(PASTE_WITH_TEXT, {**given, "text": "/home/me/image.png"}) is True
    expect(desktop.get_by_alt_text("Your picture")).to_be_visible()
    # The picture is the only step since then: the cells have made none.
    desktop.go_back()
    expect(desktop).to_have_url(re.compile(r"\?q=beach$"))
    expect(desktop.get_by_alt_text("Your picture")).to_be_hidden()


@pytest.mark.parametrize("how", ["paste", "drop"])
def test_a_picture_can_be_dropped_and_pasted(page, how):
    show(page, "/?seed=3")
    content = list(picture_bytes(COLOURS["cricket"], shade=2))
    page.evaluate(SEND, {"content": content, "how": how, "type": "image/png"})
    expect(cards(page).first).to_contain_text("cricket film number 2")
    expect(page.locator("#drop")).to_be_hidden()


def test_what_is_no_picture_is_refused_with_a_word(desktop):
    show(desktop, "/?seed=3")
    desktop.evaluate(SEND, {"content": [65, 66], "how": "drop", "type": "text/plain"})
    expect(desktop.get_by_role("alert")).to_contain_text("That is not a picture.")
    desktop.get_by_role("button", name="Back to the videos").click()
    expect(cards(desktop).nth(23)).to_be_attached()


def test_a_format_that_the_server_lacks_is_sent_as_one_it_has(desktop):
    desktop.goto("/?seed=3")
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="48" height="36"/>'
    desktop.locator("#file").set_input_files(
        {"name": "a.svg", "mimeType": "image/svg+xml", "buffer": drawing}
    )
    # Chromium draws SVG for an <img> only: whatever comes, someone is told or served.
    expect(desktop.locator("#results .why, [role=alert]").first).to_be_visible()


def test_a_link_with_a_picture_of_elsewhere_asks_for_it(phone):
    phone.goto("/?picture=0123456789ab&q=beach")
    expect(phone.get_by_role("heading", name="This search is by a picture")).to_be_visible()
    phone.get_by_role("button", name="Search without it").click()
    expect(cards(phone).first).to_contain_text("beach")
