"""Events over HTTP: kept once, bad ones named, and open to nobody but whom the site vouches for."""

from __future__ import annotations

import hmac
import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.backend.catalogue import ODD_ID
from twinlens.backend import event_api
from twinlens.events import sqlite_log
from twinlens.events.event import EventType
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.stores.generations import DataDir

URL = "/api/v1/events"
SECRET = "a-secret-0123456789"
ADMIN = "an-admin-key-0123456789"
READ = "a-reading-key-0123456789"
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path):
    log = SqliteEventLog(tmp_path / EVENTS_FILE)
    yield log
    log.close()


@pytest.fixture
def client(client_of, log):
    return client_of(events=log, person_secret=SECRET)


def event(event_id: str = "e1", **fields: Any) -> dict[str, Any]:
    return {
        "type": "watch",
        "event_id": event_id,
        "person_id": "p1",
        "at": "2026-11-28T10:00:00Z",
        "video_id": "v1",
        **fields,
    }


@pytest.fixture(autouse=True)
def _noon(monkeypatch):
    """The clock of the server stands at noon of the 28th."""
    monkeypatch.setattr(event_api, "read_now", lambda: NOON)


def post(client, *events: object, **more: Any):
    return client.post(URL, json={"events": list(events), **more})


def token(person_id: str, *, expires: int | None = None, secret: str = SECRET) -> str:
    # As docs/api.md says.
    expires = int(time.time()) + 3600 if expires is None else expires
    signature = hmac.new(secret.encode(), f"{expires}:{person_id}".encode(), "sha256").hexdigest()
    return f"{expires}.{signature}"


def of(person_id: str, **options: Any) -> dict[str, str]:
    return {"X-Person-Token": token(person_id, **options)}


def test_events_are_kept_once(client, log):
    assert post(client, event("e1"), event("e2", type="like")).get_json() == {
        "accepted": 2,
        "known": 0,
        "not_kept": 0,
        "rejected": [],
    }
    assert post(client, event("e1"), event("e3")).get_json()["known"] == 1
    assert [one.event_id for one in log.read_person("p1")] == ["e1", "e2", "e3"]


def test_what_is_accepted_is_there_for_another_process_at_once(client, log, tmp_path):
    post(client, event("e1"))
    other = SqliteEventLog(tmp_path / EVENTS_FILE)
    assert [one.event_id for one in other.read_person("p1")] == ["e1"]
    other.close()


def test_bad_events_are_named_and_the_others_are_kept(client, log):
    answer = post(
        client,
        event("e1"),
        event("e2", type="wach"),
        event("e3", watched_s=-1),
        event("e4", video_id=None),
        "no object",
        event("e1", video_id="v2"),
        event("a/b"),
        event("e5", at="2026-11-28T12:05:01Z"),
        event("e6", colour="red"),
        event("e7", type="search", text="cats", video_id=None),
    )
    assert answer.status_code == 200
    said = answer.get_json()
    assert (said["accepted"], said["not_kept"]) == (1, 1)
    assert [(one["index"], one["code"], one["field"]) for one in said["rejected"]] == [
        (1, "unknown_type", "type"),
        (2, "bad_value", "watched_s"),
        (3, "field_missing", "video_id"),
        (4, "malformed", None),
        (5, "event_conflict", "event_id"),
        (6, "id_invalid", "event_id"),
        (7, "time_out_of_range", "at"),
        (8, "unknown_field", "colour"),
    ]
    assert log.count() == 1


def test_a_call_of_which_nothing_is_valid_is_refused(client, log):
    answer = post(client, event(watched_s=700_000), event(type=None))
    assert answer.status_code == 422
    problem = answer.get_json()
    assert problem["code"] == "validation_failed"
    assert [one["field"] for one in problem["errors"]] == ["events.0.watched_s", "events.1.type"]
    assert log.count() == 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "json_invalid"),
        (b"[]", 422, "validation_failed"),
        (b'{"events": []}', 422, "validation_failed"),
        (b'{"events": {}}', 422, "validation_failed"),
        (b'{"events": [{}], "sent": 1}', 422, "validation_failed"),
        (b'{"events": [{}], "sent_at": "now"}', 422, "validation_failed"),
        (b'{"events": [' + b",".join([b"{}"] * 1001) + b"]}", 422, "validation_failed"),
        (b'{"events": ["' + b"x" * 1024 * 1024 + b'"]}', 413, "body_too_large"),
        (b'{"events": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "json_invalid"),
        (b'{"events": [{"type": "watch", "watched_s": NaN}]}', 422, "validation_failed"),
        (b'{"events": [{"type": "watch", "at": 1e999, "event_id": 7}]}', 422, "validation_failed"),
        (b'{"events": [{"type": {}, "event_id": "\\ud800"}]}', 400, "json_invalid"),
    ],
)
def test_a_body_that_is_none_is_refused(client, body, status, code):
    answer = client.post(URL, data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)


def test_a_thousand_whole_events_are_taken(client):
    events = [
        event(
            f"event-{n}",
            watch_id=f"watch-{n}",
            watched_s=1.5,
            duration_s=60.0,
            query_id="q",
            feed_id="f",
            position=1,
            seen=True,
            chance=0.5,
            surface="home",
            region="LK",
            device="phone",
            language="si",
        )
        for n in range(1000)
    ]
    assert post(client, *events).get_json()["accepted"] == 1000


def test_a_senders_clock_is_corrected(client, log):
    # It is an hour behind, and the call took no time.
    post(client, event("e1", at="2026-11-28T10:30:00+00:00"), sent_at="2026-11-28T11:00:00Z")
    # Tomorrow, by a clock that is a day ahead; the same again, a moment later.
    ahead = event("e2", at="2026-11-29T11:00:00Z")
    assert post(client, ahead, sent_at="2026-11-29T12:00:00Z").get_json()["accepted"] == 1
    assert post(client, ahead, sent_at="2026-11-29T12:00:03Z").get_json()["known"] == 1
    # No time at all is now.
    post(client, event("e3", at=None))
    assert [one.at for one in log.read_person("p1")] == [
        NOON - timedelta(hours=1),
        NOON - timedelta(minutes=30),
        NOON,
    ]


def test_heartbeats_are_one_entry(client, log):
    for seconds in (10, 30, 20):
        post(client, event(f"e{seconds}", watch_id="w", watched_s=seconds))
    [watch] = log.read_person("p1")
    assert watch.watched_s == 30


def test_searches_are_kept_where_the_operator_says_so(client_of, log, monkeypatch):
    search = event("s1", type="search", text="  cats\n ", video_id=None)
    client = client_of(events=log, keep_searches=True)
    assert post(client, search).get_json()["accepted"] == 1
    [kept] = log.read_person("p1")
    assert (kept.type, kept.text) == (EventType.SEARCH, "cats")


def test_events_that_cannot_be_kept_are_to_be_sent_again(client, log, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_log, "_PATIENCE_S", 0.05)
    post(client, event("e1"))
    log.close()
    other = sqlite3.connect(tmp_path / EVENTS_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = post(client, event("e2"))
    other.close()
    assert answer.status_code == 503
    assert answer.get_json()["code"] == "not_ready"
    assert int(answer.headers["Retry-After"]) > 0
    assert post(client, event("e2")).get_json()["accepted"] == 1


def test_events_need_no_index(client_of, log, tmp_path):
    client = client_of(data=DataDir(tmp_path / "none"), events=log, person_secret=SECRET)
    assert client.get("/api/v1/stats").status_code == 503
    assert post(client, event("e1")).status_code == 200
    assert client.get("/api/v1/people/p1", headers=of("p1")).status_code == 200


def test_events_do_not_wait_for_a_turn_and_count_as_requests(client_of, log):
    client = client_of(events=log, searches_at_a_time=0, max_wait_s=0.01, rate_limit=2)
    assert client.get("/api/v1/stats").get_json()["code"] == "overloaded"
    assert post(client, event("e1")).status_code == 200
    assert post(client, event("e2")).status_code == 429
    assert [one.event_id for one in log.read_person("p1")] == ["e1"]


def test_a_history_is_shown_changed_and_forgotten(client, log):
    post(client, event("e2", at="2026-11-28T11:00:00.5Z", watched_s=3.5), event("e1"))
    answer = client.get("/api/v1/people/p1", headers=of("p1"))
    assert answer.get_json() == {
        "person_id": "p1",
        "events": [event("e1"), event("e2", at="2026-11-28T11:00:00.500000Z", watched_s=3.5)],
    }
    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers
    # What it answers can be sent as it is.
    assert post(client, *answer.get_json()["events"]).get_json()["known"] == 2

    one = client.delete("/api/v1/people/p1/events/e1", headers=of("p1"))
    assert one.get_json() == {"removed": 1}
    assert client.delete("/api/v1/people/p1/events/e1", headers=of("p1")).get_json() == {
        "removed": 0
    }
    post(client, event("x", person_id="anon"))
    both = {"X-Person-Token": f"{token('anon')}, {token('p1')}"}
    merged = client.post("/api/v1/people/anon/merge", json={"into": "p1"}, headers=both)
    assert merged.get_json() == {"merged": 1}
    assert client.delete("/api/v1/people/p1", headers=of("p1")).get_json() == {"removed": 2}
    assert client.get("/api/v1/people/p1", headers=of("p1")).get_json()["events"] == []
    assert log.count() == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (of("p1"), 200),
        ({"X-Person-Token": f"nonsense,{token('p1')}"}, 200),
        (of("p2"), 403),
        (of("p1", expires=int(time.time()) - 1), 403),
        (of("p1", secret="another-secret-0123"), 403),
        ({"X-Person-Token": token("p1")[:-1]}, 403),
        ({"X-Person-Token": token("p1").replace(".", "")}, 403),
        ({"X-API-Key": ADMIN}, 200),
        ({"X-API-Key": READ}, 403),
        ({"X-API-Key": READ, **of("p1")}, 200),
        ({"X-API-Key": "unknown"}, 401),
    ],
)
def test_only_an_admin_and_whom_the_site_vouches_for_may_see_a_history(
    client_of, log, headers, status
):
    client = client_of(events=log, person_secret=SECRET, admin_keys=(ADMIN,), api_keys=(READ,))
    for method, path in (
        ("GET", "/api/v1/people/p1"),
        ("DELETE", "/api/v1/people/p1/events/e"),
        ("DELETE", "/api/v1/people/p1"),
    ):
        assert client.open(path, method=method, headers=headers).status_code == status, method
    assert client.get(URL.replace("events", "stats"), headers=of("p1")).status_code == 401


def test_a_merge_takes_a_token_of_either(client, log):
    for headers in (of("anon"), of("p1")):
        answer = client.post("/api/v1/people/anon/merge", json={"into": "p1"}, headers=headers)
        assert answer.status_code == 403


def test_without_keys_and_secret_histories_are_off(client_of, log):
    client = client_of(events=log)
    for headers in ({}, of("p1"), of("p1", secret="")):
        problem = client.get("/api/v1/people/p1", headers=headers).get_json()
        assert (problem["status"], problem["code"]) == (403, "forbidden")
        assert "admin_keys" in problem["detail"]
        assert "person_secret" in problem["detail"]


def test_no_path_of_a_person_is_logged(client, caplog):
    caplog.set_level("INFO", logger="twinlens.backend.requests")
    client.get("/api/v1/people/somebody", headers=of("somebody"))
    client.get("/api/v1/people/somebody/else/entirely")
    assert len(caplog.records) == 2
    for record in caplog.records:
        assert "somebody" not in json.dumps(vars(record), default=str)
    assert caplog.records[0].path == "/api/v1/people/<person_id>"


@pytest.mark.parametrize("person_id", ["a%00b", "x" * 257, "%2E%2E", "a%0Ab"])
def test_what_is_no_id_is_nobody(client_of, log, person_id):
    client = client_of(events=log, admin_keys=(ADMIN,))
    answer = client.get(f"/api/v1/people/{person_id}", headers={"X-API-Key": ADMIN})
    assert answer.status_code == 404


def test_any_id_that_may_be_kept_can_be_forgotten(client_of, log):
    client = client_of(events=log, admin_keys=(ADMIN,))
    odd = ODD_ID.replace("/", "")
    post(client, event(odd, person_id=odd))
    path = f"/api/v1/people/{quote(odd, safe='')}"
    headers = {"X-API-Key": ADMIN}
    assert len(client.get(path, headers=headers).get_json()["events"]) == 1
    removed = client.delete(f"{path}/events/{quote(odd, safe='')}", headers=headers)
    assert removed.get_json() == {"removed": 1}


def test_events_are_counted_by_what_became_of_them(client):
    post(client, event("e1"), event("e1"), event("e2", watched_s=-1))
    text = client.get("/metrics").text
    for outcome, count in (("accepted", 1), ("known", 1), ("rejected", 1), ("not_kept", 0)):
        assert f'twinlens_events_total{{outcome="{outcome}"}} {count}.0' in text
