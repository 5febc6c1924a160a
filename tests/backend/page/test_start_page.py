"""The start page: shelves, a history that stays in the browser, and a player."""

from __future__ import annotations

import json
import re
import wave
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.backend.browser import needs_chromium
from tests.backend.catalogue import Catalogue
from tests.backend.page.visiting import DESKTOP, PHONE, axe, fits_the_width, visit
from tests.backend.served import Served, publish_embedded
from twinlens.catalog.video import Video

pytestmark = [needs_chromium, pytest.mark.xdist_group("page")]


def shelf(page: Page, heading: str | re.Pattern[str]) -> Locator:
    return page.locator(".shelf").filter(has=page.get_by_role("heading", name=heading))


def ids(shelf: Locator) -> list[str]:
    return shelf.locator("a.card").evaluate_all("all => all.map(one => one.dataset.videoId)")


def watch(page: Page, video_id: str) -> None:
    """Open a video and come back."""
    page.goto(f"/?v={video_id}")
    expect(page.locator("#video-title")).to_have_text(re.compile("film"))
    page.goto("/")


def kept(page: Page) -> dict[str, Any]:
    return json.loads(page.evaluate("localStorage.getItem('twinlens-history')") or "{}")


def test_who_comes_first_sees_what_is_popular_and_new(page: Page) -> None:
    page.goto("/")
    expect(shelf(page, "Popular").locator("a.card").first).to_be_attached()
    expect(shelf(page, "New").locator("a.card").first).to_be_attached()
    expect(shelf(page, "For you")).to_have_count(0)
    assert fits_the_width(page)
    assert axe(page, "#shelves") == []


def test_what_was_watched_brings_more_of_its_kind_and_its_channel(page: Page) -> None:
    watch(page, "cricket-3")
    expect(shelf(page, "Because you watched cricket film number 3")).to_have_count(1)
    expect(shelf(page, "More of cricket channel")).to_have_count(1)
    for_you = shelf(page, "For you")
    expect(for_you.locator("a.card").first).to_be_attached()
    assert any("cricket" in one for one in ids(for_you)[:6])
    shown = page.locator(".shelf a.card").evaluate_all("all => all.map(one => one.dataset.videoId)")
    assert len(shown) == len(set(shown))
    assert axe(page, "#shelves") == []


def test_what_nobody_wants_goes_and_does_not_come_back(page: Page) -> None:
    watch(page, "beach-2")
    for_you = shelf(page, "For you")
    expect(for_you.locator("a.card").first).to_be_attached()
    unwanted = ids(for_you)[0]
    for_you.get_by_role("button").first.click()
    expect(for_you.locator(f"[data-video-id={unwanted}]")).to_have_count(0)
    page.reload()
    expect(for_you.locator("a.card").first).to_be_attached()
    shown = page.locator(".shelf a.card").evaluate_all("all => all.map(one => one.dataset.videoId)")
    assert unwanted not in shown


def test_a_list_that_was_asked_for_has_no_shelves(page: Page) -> None:
    for address in ("/?q=beach", "/?language=si&seed=1"):
        page.goto(address)
        expect(page.locator("#results a.card").first).to_be_attached()
        expect(page.locator("#shelves")).to_be_hidden()


def test_the_history_is_seen_taken_out_of_cleared_and_switched_off(page: Page) -> None:
    watch(page, "beach-1")
    watch(page, "kitchen-2")
    page.get_by_role("button", name="Your history").click()
    rows = page.locator("#history-list .title")
    expect(rows).to_have_text(["kitchen film number 2", "beach film number 1"])
    assert axe(page, "#history") == []
    page.get_by_role("button", name="Take kitchen film number 2 out of the history").click()
    expect(rows).to_have_text(["beach film number 1"])
    page.get_by_role("button", name="Clear it").click()
    expect(page.get_by_text("Nothing yet.")).to_be_visible()
    page.get_by_label("Keep a history").uncheck()
    page.get_by_role("button", name="Close").click()
    watch(page, "beach-1")
    assert kept(page) == {"on": False, "events": []}


def test_nothing_is_sent_before_someone_agrees_and_then_in_batches(phone: Page) -> None:
    sent: list[dict[str, Any]] = []
    phone.on(
        "request", lambda asked: asked.url.endswith("/events") and sent.append(asked.post_data_json)
    )
    watch(phone, "beach-1")
    expect(shelf(phone, "For you")).to_have_count(1)
    assert sent == []
    phone.get_by_role("button", name="Your history").click()
    phone.get_by_label("Let this site learn from what I watch").check()
    phone.get_by_role("button", name="Close").click()
    with phone.expect_response("**/api/v1/events") as answered:
        shelf(phone, "For you").locator("a.card").first.click()
        expect(phone.locator("#video-title")).to_be_visible()
    assert answered.value.json()["accepted"] == 1
    [event] = sent[0]["events"]
    assert event["type"] == "click"
    assert event["person_id"] == phone.evaluate("localStorage.getItem('twinlens-person')")
    phone.goto("/")
    phone.get_by_role("button", name="Your history").click()
    phone.get_by_label("Let this site learn from what I watch").uncheck()
    assert phone.evaluate("localStorage.getItem('twinlens-person')") is None


def test_a_page_without_tls_keeps_a_history_too(phone: Page) -> None:
    # What browsers take from a page that came over plain HTTP from another machine.
    phone.add_init_script("delete Crypto.prototype.randomUUID")
    watch(phone, "beach-1")
    expect(shelf(phone, "Because you watched beach film number 1")).to_have_count(1)
    assert [event["video_id"] for event in kept(phone)["events"]] == ["beach-1"]


class Media(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a sound of twelve seconds is served, which a browser plays as it plays a film."""
    folder: Path = tmp_path_factory.mktemp("media")
    with wave.open(str(folder / "clip.wav"), "wb") as clip:
        clip.setnchannels(1)
        clip.setsampwidth(1)
        clip.setframerate(8000)
        clip.writeframes(bytes([128]) * 8000 * 12)
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: Media(*given, directory=str(folder))
    )
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/clip.wav"
    server.shutdown()
    server.server_close()


class Playable(Catalogue):
    """The small catalogue, each video at the address of a media file."""

    url = ""

    def videos(self) -> list[Video]:
        return [
            replace(video, values={**video.values, "url": self.url}) for video in super().videos()
        ]


@pytest.fixture(scope="module")
def playing(media: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    catalogue = Playable(per_subject=4)
    catalogue.url = media
    with Served(publish_embedded(catalogue, tmp_path_factory.mktemp("playing"))) as served:
        yield served


@pytest.mark.parametrize("width", [PHONE, pytest.param(DESKTOP, marks=pytest.mark.slow)])
def test_a_film_is_played_goes_on_where_it_was_left_and_none_is_played_twice(
    browser: Browser, playing: Served, media: str, width: int
) -> None:
    with visit(browser, playing, width=width, elsewhere=media.rsplit("/", 1)[0]) as page:
        page.goto("/?v=beach-1")
        film = page.locator("video.player")
        expect(film).to_have_js_property("readyState", 4)
        page.get_by_label("Play the next one by itself").check()
        film.evaluate("film => { film.muted = true; film.playbackRate = 4; return film.play(); }")
        page.wait_for_function("() => document.querySelector('video.player').currentTime > 7")
        film.evaluate("film => film.pause()")
        [event] = [one for one in kept(page)["events"] if one["type"] == "watch"]
        assert 6 < event["watched_s"] <= event["duration_s"] == 12
        page.goto("/")
        expect(shelf(page, "Continue").locator("a.card")).to_have_count(1)
        shelf(page, "Continue").locator("a.card").click()
        expect(film).to_have_js_property("readyState", 4)
        assert film.evaluate("film => film.currentTime") > 6
        played = ["beach-1"]
        for _ in range(4):
            film.evaluate("""film => {
                film.muted = true; film.currentTime = 11.5; return film.play();
            }""")
            page.wait_for_function(
                "before => new URLSearchParams(location.search).get('v') !== before", arg=played[-1]
            )
            expect(film).to_have_js_property("readyState", 4)
            played.append(page.evaluate("new URLSearchParams(location.search).get('v')"))
        assert len(set(played)) == len(played)
        assert fits_the_width(page)
