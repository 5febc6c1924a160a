"""The page, the documentation and the client below `/twin/`, behind Debian's nginx."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.backend.browser import needs_chromium, watched_page
from tests.backend.page.visiting import cards
from tests.backend.proxied import NEEDS_NGINX, proxied
from tests.backend.served import Served
from twinlens.stores.generations import DataDir

pytestmark = [needs_chromium, NEEDS_NGINX, pytest.mark.xdist_group("page"), pytest.mark.slow]

# What docs/operations.md says to change in deploy/nginx.conf, and what another proxy would say.
FIXED = {"location / {": "location /twin/ {", '"type":"/docs': '"type":"/twin/docs'}
FORWARDED = FIXED | {
    "proxy_pass http://twinlens;": "proxy_pass http://twinlens/;",
    'X-Forwarded-Prefix ""': "X-Forwarded-Prefix /twin",
}


@pytest.fixture(scope="module", params=["by the setting", "by the proxy"])
def behind(many: DataDir, request, tmp_path_factory) -> Iterator[str]:
    """The address of the proxy."""
    by_setting = request.param == "by the setting"
    settings = {"path_prefix": "/twin"} if by_setting else {}
    with (
        Served(many, trusted_proxies="1", **settings) as served,
        proxied(
            tmp_path_factory.mktemp("nginx"),
            backend=served.port,
            changes=FIXED if by_setting else FORWARDED,
        ) as port,
    ):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def visited(browser: Browser, behind: str) -> Iterator[Page]:
    """A page that fails its test for a request that leaves `/twin/`, or is answered 4xx."""
    lost: list[str] = []
    with watched_page(browser, behind, viewport={"width": 390, "height": 900}) as page:
        page.on("response", lambda one: one.status < 400 or lost.append(one.url))
        page.on("request", lambda one: note_outside(one.url, behind, lost))
        yield page
    assert lost == []


def note_outside(url: str, behind: str, lost: list[str]) -> None:
    if url.startswith(behind) and not url.startswith(f"{behind}/twin"):
        lost.append(url)


def test_the_page_works(browser: Browser, behind: str) -> None:
    with visited(browser, behind) as page:
        page.goto("/twin")
        expect(page).to_have_url(re.compile(rf"^{behind}/twin/\?seed=\d+$"))
        shelf = page.locator(".shelf a.card")
        expect(shelf.first).to_be_attached()
        page.locator("#text").fill("beach film")
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{behind}/twin/?q=beach+film")
        picture = cards(page).first.locator("img").first
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("one => one.naturalWidth") > 0
        cards(page).first.click()
        expect(page.locator("#video-title")).to_have_text("beach film number 0")
        page.reload()
        expect(page.locator("#video-title")).to_have_text("beach film number 0")
        page.keyboard.press("Escape")
        page.locator("#home").click()
        expect(page).to_have_url(re.compile(rf"^{behind}/twin/\?seed=\d+$"))
        assert page.evaluate("Object.keys(localStorage).sort()") == [
            "twinlens-history-/twin/",
            "twinlens-searches-/twin/",
        ]
        assert page.evaluate("document.querySelector('use').getBBox().width") > 0


def test_the_documentation_works(browser: Browser, behind: str) -> None:
    with visited(browser, behind) as page:
        page.goto("/twin/docs")
        expect(page.get_by_text("/api/v1/search").first).to_be_visible()
        expect(page.locator(".servers option")).to_have_text("/twin")
        page.goto("/twin/docs/errors")
        page.get_by_role("link", name="TwinLens API").click()
        expect(page).to_have_url(f"{behind}/twin/docs")


def test_the_client_and_problems_work(browser: Browser, behind: str) -> None:
    with watched_page(browser, behind, failing=True) as page:
        page.goto("/twin/healthz")
        for base in (f"{behind}/twin", "/twin/", "."):
            found = page.evaluate(
                """async (baseUrl) => {
                    const { TwinLens } = await import("/twin/static/client.js");
                    const twinlens = new TwinLens({ baseUrl });
                    const { hits } = await twinlens.search({ text: "beach film", limit: 1 });
                    const picture = await fetch(twinlens.thumbnailUrl(hits[0].video));
                    return [hits[0].video.thumbnail_url, picture.status];
                }""",
                base,
            )
            assert found == ["/twin/api/v1/videos/beach-0/thumbnail", 200]
        for path, code in (("nowhere", "not_found"), ("?" + "x" * 9000, "request_line_too_long")):
            said = page.request.get(f"/twin/{path}")
            problem = json.loads(said.text())
            assert problem["type"] == f"/twin/docs/errors#{code}"
