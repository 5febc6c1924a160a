"""``POST /api/v1/feed``: whose, of what, on which page, and what is refused."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.backend.asking import body_of, hit_ids, paged_ids, problem, shown_ids
from tests.backend.catalogue import Catalogue
from tests.backend.test_metrics import value
from tests.fakes import MemoryReader
from tests.recommender.drawn_events import watch
from twinlens.backend.access import Policy
from twinlens.backend.app import create_app
from twinlens.encoders.lenses import make_own_lenses
from twinlens.events.event import EventType
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.recommender.pages import Feeds
from twinlens.recommender.popularity import Popularity
from twinlens.search.published import PublishedIndex
from twinlens.stores.generations import DataDir

FEED = "/api/v1/feed"
KEY = "an-admin-key-0123456789"
SECRET = "a secret of the site"
AS_ADMIN = {"X-API-Key": KEY}
HISTORY = [
    {"type": "watch", "event_id": "e1", "video_id": "cricket-3", "watched_s": 60.0},
    {"type": "not_interested", "event_id": "e2", "video_id": "cricket-4"},
]
ASKED = {"events": HISTORY, "limit": 10}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    with closing(SqliteEventLog(tmp_path / EVENTS_FILE)) as log:
        now = datetime.now(UTC)
        log.append([watch("kasun", one, at=now) for one in ("cricket-3", "cricket-7")])
        log.append([watch(f"p{n}", "beach-5", at=now - timedelta(hours=n)) for n in range(5)])
        yield log


@pytest.fixture
def client(catalogue: Catalogue, data: DataDir, log: SqliteEventLog) -> Iterator[FlaskClient]:
    index = PublishedIndex(
        data,
        open_reader=lambda _: MemoryReader(catalogue.stored()),
        open_lenses=lambda *_: make_own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    feeds = Feeds(log=log, popularity=Popularity(log, every_s=0))
    policy = Policy(admin_keys=(KEY,), person_secret=SECRET)
    app = create_app(index, thumbnails=data.thumbnails, policy=policy, feeds=feeds)
    yield app.test_client()
    index.close()


def ask(client: FlaskClient, headers: dict[str, str] | None = None, **body: Any) -> Any:
    return client.post(FEED, json=body, headers=headers)


def ask_kasun(client: FlaskClient, **body: Any) -> Any:
    return ask(client, AS_ADMIN, person_id="kasun", **body)


def test_of_a_history_sent_along_a_feed_is_made_and_nothing_is_kept(client, log):
    before = log.count()
    body = body_of(ask(client, **ASKED, explain=True))
    assert len(body["hits"]) == 10
    assert body["fallback"] == ["no_model"]
    assert body["model"] is None
    assert body["next_cursor"] is None
    assert "cricket-4" not in shown_ids(body)
    assert any("cricket-3" in hit["because"] for hit in body["hits"])
    assert {"fresh", "popular"} <= {name for hit in body["hits"] for name in hit["sources"]}
    assert log.count() == before


def test_later_pages_of_a_history_sent_along_come_by_exclude(client):
    seen: list[str] = []
    while page := hit_ids(ask(client, **ASKED, exclude=seen)):
        assert not set(page) & set(seen)
        seen += page
    assert len(seen) == 30  # all but what is not wanted


def test_a_person_whose_events_are_kept_gets_pages_that_never_repeat(client, log):
    every = paged_ids(lambda cursor: ask_kasun(client, limit=7, **cursor))
    assert len(every) == len(set(every)) == 31
    served = [one for one in log.read_person("kasun") if one.type is EventType.IMPRESSION]
    assert [one.video_id for one in sorted(served, key=lambda one: one.position)] == every
    assert {one.seen for one in served} == {False}


def test_many_at_once_never_see_a_video_twice(client):
    def read(_: int) -> list[str]:
        own = client.application.test_client()
        return paged_ids(lambda cursor: ask_kasun(own, limit=9, **cursor))

    with ThreadPoolExecutor(4) as pool:
        for every in pool.map(read, range(4)):
            assert len(every) == len(set(every)) == 31


def test_what_was_served_sinks_in_the_next_feed_and_is_counted(client):
    first = body_of(ask_kasun(client))
    second = body_of(ask_kasun(client, limit=31))
    assert {hit["shown_before"] for hit in first["hits"]} == {0}
    shown = {hit["video"]["video_id"]: hit["shown_before"] for hit in second["hits"]}
    assert {shown[one] for one in shown_ids(first)} == {1}
    assert first["feed_id"] != second["feed_id"]


def test_only_what_is_asked_for_is_answered(client):
    hit = body_of(ask(client, **ASKED, attributes=["title"]))["hits"][0]
    assert set(hit["video"]) == {"video_id", "title"}
    assert not {"because", "sources"} & set(hit)


def test_a_filter_holds_and_finds_all_there_are(client):
    filter = {"category": ["kitchen"], "language": ["si"]}
    found = body_of(ask(client, events=[], limit=100, filter=filter))["hits"]
    assert {hit["video"]["video_id"] for hit in found} == {"kitchen-1", "kitchen-4", "kitchen-7"}


def test_beside_a_video_it_is_like_that_one(client):
    found = hit_ids(ask(client, events=[], surface="related", seed_video_id="kitchen-2", limit=5))
    assert "kitchen-2" not in found
    assert sum(one.startswith("kitchen") for one in found) >= 2
    gone = ask(client, events=[], surface="related", seed_video_id="gone")
    assert problem(gone, "video_not_found")["errors"][0]["field"] == "seed_video_id"


def test_an_unknown_person_has_a_feed_that_says_so(client):
    body = body_of(ask(client, AS_ADMIN, person_id="nobody"))
    assert body["fallback"] == ["no_model", "unknown_person", "no_history"]
    assert len(body["hits"]) == 20


def test_a_stored_person_takes_an_admin_key_or_a_token_of_theirs(client, client_of):
    problem(ask(client, person_id="kasun"), "unauthorized")
    problem(ask(client, {"X-API-Key": "another-key-0123456789"}, person_id="kasun"), "forbidden")
    expires = int(datetime.now(UTC).timestamp()) + 60
    signed = hmac.new(SECRET.encode(), f"{expires}:kasun".encode(), hashlib.sha256).hexdigest()
    token = {"X-Person-Token": f"{expires}.{signed}"}
    assert body_of(ask(client, token, person_id="kasun"))["hits"]
    problem(ask(client, token, person_id="p1"), "forbidden")
    # Where the operator has set neither, nobody has a right.
    problem(ask(client_of(), AS_ADMIN, person_id="kasun"), "forbidden")


def test_foreign_and_expired_cursors_are_problems(client, log):
    cursor = body_of(ask_kasun(client, limit=5))["next_cursor"]
    for other in ({"exclude": ["beach-1"]}, {"explain": True}, {"context": {"language": "ta"}}):
        problem(ask_kasun(client, limit=5, cursor=cursor, **other), "cursor_invalid")
    problem(ask(client, AS_ADMIN, person_id="p1", cursor=cursor), "cursor_invalid")
    problem(ask_kasun(client, cursor=cursor[:-4]), "cursor_invalid")
    log.forget("kasun")
    problem(ask_kasun(client, limit=5, cursor=cursor), "cursor_expired")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "person_id"),
        ({"person_id": "kasun", "events": []}, "person_id"),
        ({"events": [], "limit": 101}, "limit"),
        ({"events": [], "cursor": "x"}, "cursor"),
        ({"events": [], "surface": "attic"}, "surface"),
        ({"events": [], "context": {"age": -1}}, "context.age"),
        ({"events": [], "exclude": ["v"] * 1001}, "exclude"),
        ({"events": [{}] * 501}, "events"),
        ({"events": [HISTORY[0], 7]}, "events.1"),
        ({"events": [{**HISTORY[0], "watched_s": -1.0}]}, "events.0.watched_s"),
        ({"events": [{"type": "watch", "event_id": "e"}]}, "events.0.video_id"),
        ({"events": [{**HISTORY[0], "at": "2001-01-01T00:00:00Z"}]}, "events.0.at"),
        ({"events": [], "sauce": 1}, "sauce"),
    ],
)
def test_what_is_not_valid_is_named(client, body, field):
    said = problem(client.post(FEED, json=body, headers=AS_ADMIN), "validation_failed")
    assert said["errors"][0]["field"] == field


def test_feeds_are_counted_by_what_was_lacking(client):
    ask(client, **ASKED)
    ask(client, AS_ADMIN, person_id="nobody")
    text = client.get("/metrics", headers=AS_ADMIN).text
    assert value(text, "twinlens_feeds_total", lacking="no_model") == 2
    assert value(text, "twinlens_model_trained_timestamp_seconds") == 0
