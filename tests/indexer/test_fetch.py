"""Fetching thumbnails from a real server on this machine."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.encoded import picture
from tests.http_server import Answer, serving
from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources import Origin, Reject, Row
from twinlens.catalog.video import Video
from twinlens.indexer.fetch import FetchLimits, ThumbnailFetcher

JPEG = picture()
QUICK = FetchLimits(transfer_timeout_s=2.0, connect_timeout_s=2.0, backoff_s=0.01, attempts=3)


@dataclass
class Site:
    """What the server says, and what it was asked."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0
    lock: Any = field(default_factory=threading.Lock)
    # Set when the test is over, so that slow answers end.
    over: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    def send(handler: BaseHTTPRequestHandler) -> None:
        with site.lock:
            site.asked[handler.path] += 1
            site.at_once += 1
            site.most_at_once = max(site.most_at_once, site.at_once)
        try:
            site.answers.get(handler.path, answer(404))(handler)
        finally:
            with site.lock:
                site.at_once -= 1

    with serving(send) as port:
        site.url = f"http://127.0.0.1:{port}"
        yield site
        site.over.set()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def begin(handler: BaseHTTPRequestHandler, status: int = 200, **headers: object) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def answer(status: int, body: bytes = b"", *, after_s: float = 0.0, **headers: str) -> Answer:
    def send(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(after_s)
        begin(handler, status, Content_Length=len(body), **headers)
        handler.wfile.write(body)

    return send


def in_turn(*answers: Answer) -> Answer:
    left = list(answers)
    return lambda handler: left.pop(0)(handler)


def rows(*urls: str, title: str | None = "a title") -> list[Row | Reject]:
    return [
        Row(Origin("videos.jsonl", n), Video(video_id=f"v{n}", title=title, thumbnail_url=url))
        for n, url in enumerate(urls, start=1)
    ]


def thumbnails(items: list[Row | Reject]) -> list[object]:
    return [item.video.thumbnail if isinstance(item, Row) else item.reason for item in items]


def filled(cache: Path, *urls: str, limits: FetchLimits = QUICK, **more: Any) -> list[object]:
    return thumbnails(list(ThumbnailFetcher(cache, limits=limits).fill(rows(*urls, **more))))


def one_failure(url: str, cache: Path, limits: FetchLimits = QUICK) -> str:
    """Why ``url`` could not be fetched; nothing of it may be left in the cache."""
    notes: list[Reject] = []
    fetcher = ThumbnailFetcher(cache, limits=limits, on_note=notes.append)
    source = rows(url)
    assert list(fetcher.fill(source)) == source
    assert (fetcher.fetched, fetcher.cached, fetcher.failed) == (0, 0, 1)
    (note,) = notes
    assert note.reason is RejectReason.PICTURE_NOT_FETCHED
    assert (note.origin, note.video_id) == (Origin("videos.jsonl", 1), "v1")
    assert note.detail.startswith(url)
    assert not [path for path in cache.rglob("*") if path.is_file()]
    return note.detail.removeprefix(url)


def test_pictures_are_filled_in_and_rows_keep_their_order(site: Site, tmp_path: Path) -> None:
    other = picture("PNG")
    site.answers = {"/late": answer(200, JPEG, after_s=0.1), "/soon": answer(200, other)}
    fetched = rows(site.url + "/late", site.url + "/soon")
    bad = Reject(Origin("videos.jsonl", 9), RejectReason.EMPTY, "nothing")
    titled = Row(Origin("videos.jsonl", 10), Video(video_id="t", title="only a title"))
    local = Row(Origin("f", 1), Video(video_id="l", thumbnail=b"x", thumbnail_url=site.url + "/no"))
    items = list(ThumbnailFetcher(tmp_path).fill([bad, *fetched, titled, local]))
    assert items[0] == bad
    assert thumbnails(items[1:]) == [JPEG, other, None, b"x"]
    assert [item.origin.row for item in items] == [9, 1, 2, 10, 1]
    assert "/no" not in site.asked


def test_what_was_fetched_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    site.answers = {"/a": answer(200, JPEG)}
    first, second = ThumbnailFetcher(tmp_path), ThumbnailFetcher(tmp_path)
    assert thumbnails(list(first.fill(rows(site.url + "/a")))) == [JPEG]
    assert thumbnails(list(second.fill(rows(site.url + "/a")))) == [JPEG]
    assert site.asked["/a"] == 1
    assert (first.fetched, first.cached, second.fetched, second.cached) == (1, 0, 0, 1)


def test_a_picture_is_on_the_disk_before_it_is_taken_for_good(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.answers = {"/a": answer(200, JPEG)}
    files: list[tuple[str, int]] = []

    def note(descriptor: int) -> None:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
            files.append((file.name[0], os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", note)
    assert filled(tmp_path, site.url + "/a") == [JPEG]
    assert files == [(".", len(JPEG))], "whole, and not yet under its name"


def test_a_failure_is_asked_for_again_by_the_next_run(site: Site, tmp_path: Path) -> None:
    site.answers = {"/a": in_turn(answer(404), answer(200, JPEG))}
    assert "404" in one_failure(site.url + "/a", tmp_path)
    assert site.asked["/a"] == 1, "a picture that is not there is not asked for thrice"
    assert filled(tmp_path, site.url + "/a") == [JPEG]
    gone = filled(tmp_path, site.url + "/gone", title=None)
    assert gone == [RejectReason.PICTURE_NOT_FETCHED], "without a title it costs the row"


def senseless(when: str) -> Answer:
    head = f"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: {when}\r\n\r\n"
    return lambda handler: handler.wfile.write(head.encode())


@pytest.mark.parametrize(
    ("first", "after_s"),
    [
        *((answer(status), 0) for status in (429, 500, 503)),
        (answer(429, Retry_After="1"), 0.95),
        *((senseless(when), 0) for when in ("soon", "-5", "٣", "")),
    ],
)
def test_a_passing_trouble_is_tried_again_when_the_server_says(
    site: Site, tmp_path: Path, first: Answer, after_s: float
) -> None:
    site.answers = {"/a": in_turn(first, answer(200, JPEG))}
    started = time.monotonic()
    assert filled(tmp_path, site.url + "/a") == [JPEG]
    assert time.monotonic() - started >= after_s
    assert site.asked["/a"] == 2


def cut(*, stated: bool) -> Answer:
    whole = picture(size=(320, 180))

    def send(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, Connection="close", **({"Content_Length": len(whole)} if stated else {}))
        handler.wfile.write(whole[: len(whole) // 2])

    return send


@pytest.mark.parametrize(
    ("given", "said", "asked"),
    [
        (answer(500), "500", QUICK.attempts),
        # Nobody waits for an hour.
        (answer(503, Retry_After="3600"), "come back", 1),
        (answer(503, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT"), "come back", 1),
        (cut(stated=True), "", QUICK.attempts),
        (cut(stated=False), "", 1),
        (answer(200, b"<html>please log in", Content_Type="image/jpeg"), "no picture", 1),
        (answer(302, Location="/a"), "redirects", QUICK.redirects + 1),
        (answer(302, Location=f"file://{__file__}"), "unsupported protocol", 1),
    ],
)
def test_a_lasting_trouble_is_told(
    site: Site, tmp_path: Path, given: Answer, said: str, asked: int
) -> None:
    site.answers = {"/a": given}
    assert said in one_failure(site.url + "/a", tmp_path)
    assert site.asked["/a"] == asked


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/a.jpg", "http://[::1", "http://a:99999/", "http://xn--\u0e01.\u0661/"],
)
def test_an_address_where_nobody_listens_or_that_is_none(tmp_path: Path, url: str) -> None:
    one_failure(url, tmp_path)


def test_redirects_are_followed(site: Site, tmp_path: Path) -> None:
    site.answers = {"/a": answer(302, Location="/b"), "/c": answer(200, JPEG)}
    site.answers["/b"] = answer(301, Location=f"{site.url}/c")
    assert filled(tmp_path, site.url + "/a") == [JPEG]


def test_too_much_is_not_read(site: Site, tmp_path: Path) -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        begin(handler, Connection="close")
        while not site.over.is_set():
            sent += handler.wfile.write(b"x" * 65536)

    site.answers = {"/a": endless}
    limits = FetchLimits(max_bytes=200_000, backoff_s=0.01)
    assert "200000 bytes" in one_failure(site.url + "/a", tmp_path, limits)
    assert sent < 50_000_000, "the rest stayed in the server's hands"
    assert site.asked["/a"] == 1


def test_a_slow_drip_and_a_silent_server_end_in_time(site: Site, tmp_path: Path) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        begin(handler, Content_Length=1_000_000)
        while not site.over.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    site.answers = {"/a": drip, "/silent": lambda _: site.over.wait(30)}
    limits = FetchLimits(transfer_timeout_s=0.3, backoff_s=0.01, attempts=2)
    started = time.monotonic()
    assert "timed out" in one_failure(site.url + "/a", tmp_path, limits)
    assert "timed out" in one_failure(site.url + "/silent", tmp_path, limits)
    assert time.monotonic() - started < 15  # not the 30 s of the silent one
    assert site.asked["/a"] == 2


@pytest.mark.parametrize("limits", [{"concurrency": 0}, {"attempts": 0}])
def test_limits_under_which_nothing_would_come_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="fewer than one"):
        FetchLimits(**limits)


def test_no_more_at_once_than_allowed_and_no_further_ahead(site: Site, tmp_path: Path) -> None:
    taken = 0

    def source() -> Iterator[Row | Reject]:
        nonlocal taken
        for row in rows(*(f"{site.url}/{n}" for n in range(40))):
            taken += 1
            yield row

    site.answers = {f"/{n}": answer(200, JPEG, after_s=0.03) for n in range(40)}
    fetcher = ThumbnailFetcher(tmp_path, limits=FetchLimits(concurrency=4))
    for done, item in enumerate(fetcher.fill(source()), start=1):
        assert isinstance(item, Row)
        assert item.video.thumbnail == JPEG
        assert taken - done < 8
    assert fetcher.fetched == 40
    assert 2 <= site.most_at_once <= 4


def test_waiting_for_others_does_not_count_as_the_servers_time(site: Site, tmp_path: Path) -> None:
    site.answers = {f"/{n}": answer(200, JPEG, after_s=0.5) for n in range(4)}
    limits = FetchLimits(concurrency=2, transfer_timeout_s=0.9, attempts=1)
    assert filled(tmp_path, *(f"{site.url}/{n}" for n in range(4)), limits=limits) == [JPEG] * 4


def test_leaving_early_lets_go_at_once(site: Site, tmp_path: Path) -> None:
    site.answers = {"/0": answer(200, JPEG)} | {
        f"/{n}": (lambda _: site.over.wait(30)) for n in range(1, 40)
    }
    filling = ThumbnailFetcher(tmp_path).fill(rows(*(f"{site.url}/{n}" for n in range(40))))
    next(filling)
    started = time.monotonic()
    filling.close()
    assert time.monotonic() - started < 2.0
    assert not [t for t in threading.enumerate() if t.name == "thumbnails"]


def test_a_source_that_breaks_off_says_so_through_the_fetcher(site: Site, tmp_path: Path) -> None:
    def broken() -> Iterator[Row | Reject]:
        yield from rows(site.url + "/a")
        raise SourceError("gone")

    with pytest.raises(SourceError, match="gone"):
        list(ThumbnailFetcher(tmp_path, limits=QUICK).fill(broken()))


def test_a_cache_that_cannot_be_written_ends_the_job(site: Site, tmp_path: Path) -> None:
    site.answers = {"/a": answer(200, JPEG)}
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cache of thumbnails"):
        list(ThumbnailFetcher(tmp_path / "file").fill(rows(site.url + "/a")))
