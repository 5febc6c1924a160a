"""The documentation in a real browser, at a phone's width and a desktop's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.backend.browser import needs_chromium
from tests.backend.page.visiting import DESKTOP, PHONE, axe, fits_the_width, visit
from twinlens.backend.app import ROUTES
from twinlens.backend.problem_kinds import Code

pytestmark = [needs_chromium, pytest.mark.slow]

# Swagger UI's own: the button that opens an operation has the link to it inside. Without deep links
# there would be none of either.
NOT_OURS = {"nested-interactive"}


@pytest.fixture(params=[(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"])
def page(browser, served, request) -> Iterator[Page]:
    width, scheme = request.param
    with visit(browser, served, width=width, color_scheme=scheme) as page:
        yield page


def test_every_operation_is_shown_and_one_can_be_tried(page):
    policies = []
    page.on(
        "response",
        lambda got: (
            got.url.endswith("/docs") and policies.append(got.headers["content-security-policy"])
        ),
    )
    page.goto("/docs")
    expect(page.locator(".opblock")).to_have_count(len(ROUTES))
    assert fits_the_width(page)
    assert len(policies) == 1
    assert "unsafe" not in policies[0]

    page.locator("#operations-search-search .opblock-summary-control").click()
    operation = page.locator("#operations-search-search")
    expect(operation.locator(".responses-table").first).to_be_visible()
    assert fits_the_width(page)
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("textarea").fill(json.dumps({"text": "kitchen film", "limit": 1}))
    operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table")
    expect(live.locator(".response-col_status").last).to_contain_text("200")
    expect(live).to_contain_text("kitchen film")


def test_the_ground_follows_the_readers_scheme(page):
    page.goto("/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    ground, dark = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor,"
        " matchMedia('(prefers-color-scheme: dark)').matches]"
    )
    brightness = sum(int(part) for part in ground.strip("rgb()").split(",")[:3]) / 3
    assert (brightness < 64) if dark else (brightness > 192)


def test_a_problem_leads_to_its_place(page):
    page.goto(f"/docs/errors#{Code.NOT_READY}")
    expect(page.locator(f"section#{Code.NOT_READY}")).to_be_in_viewport()
    expect(page.locator("section")).to_have_count(len(Code))
    assert fits_the_width(page)
    page.get_by_role("link", name="TwinLens API").click()
    expect(page.locator(".opblock").first).to_be_visible()


def seriously_wrong(page: Page, *places: str) -> list[tuple[str, str, list[str]]]:
    return [
        found
        for found in axe(page, *places)
        if found[1] in {"serious", "critical"} and found[0] not in NOT_OURS
    ]


@pytest.mark.parametrize("path", ["/docs", "/docs/errors"])
def test_axe_finds_nothing_serious(page, path):
    page.goto(path)
    if path == "/docs":
        expect(page.locator(".opblock")).to_have_count(len(ROUTES))
    assert seriously_wrong(page) == []


def test_axe_finds_nothing_serious_in_what_is_opened(page):
    page.goto("/docs")
    search, by_query, thumbnail = (
        f"#operations-{name}"
        for name in ("search-search", "search-searchByQuery", "videos-thumbnail")
    )
    for operation in (search, by_query, thumbnail):
        page.locator(f"{operation} .opblock-summary-control").click()
        expect(page.locator(f"{operation} .responses-table").first).to_be_visible()
    operation = page.locator(search)
    operation.get_by_role("button", name="Try it out").click()
    # A name that is made up for a field says what it is for.
    operation.get_by_role("textbox", name="Request body").fill('{"text": "film", "limit": 1}')
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_be_visible()
    # Of what has been opened each kind of part once: examples in the long tables are all alike.
    asked = [f"{search} .opblock-section", f"{search} .live-responses-table"]
    assert seriously_wrong(page, *asked, f"{by_query} .opblock-section", thumbnail) == []
