"""A real browser for the tests, and pages of it that notice what should not happen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# The same browser without its own windows and menus, where there is one, takes a third less time.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    # In CI its absence is a failure, not a reason to skip.
    CHROMIUM is None and "TWINLENS_TEST_REQUIRE_CHROMIUM" not in os.environ,
    reason="no chromium here: apt-get install chromium-headless-shell, as .ci/run does",
)
expect.set_options(timeout=20_000)  # machines that run tests are busy ones


@contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def watched_page(
    browser: Browser,
    origin: str,
    *,
    failing: bool = False,
    elsewhere: str | None = None,
    **options: Any,
) -> Iterator[Page]:
    """A page that fails its test for a console error or a request to another host.

    Where requests are ``failing`` on purpose, the browser itself notes them on the console. Media
    may come from ``elsewhere``.
    """
    context = browser.new_context(base_url=origin, **options)
    context.set_default_timeout(30_000)
    page = context.new_page()
    wrong: list[str] = []
    if not failing:
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    known = (origin, "blob:", "data:", elsewhere or origin)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda sent: sent.url.startswith(known) or wrong.append(sent.url))
    yield page
    context.close()
    assert wrong == []
