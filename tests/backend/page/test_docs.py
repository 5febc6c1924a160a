"""The documentation in a real browser, at a phone's width and a desktop's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.backend.browser import needs_chromium, watched_page
from tests.backend.served import Served, publish_embedded
from twinlens.backend.app import ROUTES
from twinlens.backend.problem_kinds import Code
from twinlens.stores.generations import DataDir

pytestmark = needs_chromium

# Swagger UI's own: the button that opens an operation has the link to it inside. Without deep links
# there would be none of either.
NOT_OURS = {"nested-interactive"}


@pytest.fixture(scope="module")
def served(catalogue, tmp_path_factory) -> Iterator[Served]:
    data = DataDir(tmp_path_factory.mktemp("docs"))
    publish_embedded(catalogue, data, "g1")
    with Served(data) as served:
        yield served


@pytest.fixture(params=[(390, "dark"), (1440, "light")], ids=["phone", "desktop"])
def page(browser, served, request) -> Iterator[Page]:
    width, scheme = request.param
    with watched_page(
        browser,
        f"http://127.0.0.1:{served.port}",
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
    ) as page:
        yield page


def fits_the_width(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


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


def seriously_wrong(page: Page) -> list[tuple[str, str]]:
    return [
        (one["id"], node["html"][:200])
        for one in Axe().run(page).response["violations"]
        if one["impact"] in {"serious", "critical"} and one["id"] not in NOT_OURS
        for node in one["nodes"]
    ]


def test_axe_finds_nothing_serious(page):
    page.emulate_media(reduced_motion="reduce")
    page.goto("/docs")
    expect(page.locator(".opblock")).to_have_count(len(ROUTES))
    assert seriously_wrong(page) == []
    for name in ("search-search", "search-searchByQuery", "videos-thumbnail"):
        page.locator(f"#operations-{name} .opblock-summary-control").click()
        expect(page.locator(f"#operations-{name} .responses-table").first).to_be_visible()
    operation = page.locator("#operations-search-search")
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_be_visible()
    # A name that is made up for a field says what it is for.
    expect(operation.get_by_role("textbox", name="Request body")).to_be_visible()
    assert seriously_wrong(page) == []
    page.goto("/docs/errors")
    assert seriously_wrong(page) == []
