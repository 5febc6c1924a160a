"""What every event log does, whatever it is kept in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from tests.events.conftest import NOW
from tests.events.made import AT, make
from twinlens.events.event import Event, EventType
from twinlens.events.log import EVENT_SCHEMA, FrozenFeed
from twinlens.events.tables import from_table, to_table

FULL = Event(
    type=EventType.WATCH,
    event_id="e",
    person_id="ප්‍රියා",
    at=datetime(2026, 11, 28, 10, 0, 0, 123456, tzinfo=UTC),
    video_id="v'?%s",
    watch_id="w",
    watched_s=41.3,
    duration_s=60.0,
    query_id="q",
    feed_id="f",
    position=3,
    seen=False,
    chance=0.25,
    surface="home",
    text="පාන්",
    undoes="x",
    region="LK",
    device="tv",
    language="si",
)


def scan(log, **options):
    return [e for table, _ in log.scan(**options) for e in from_table(table)]


def test_an_event_comes_back_as_it_was_after_the_log_is_opened_again(open_log):
    log = open_log()
    assert log.append([FULL]) == (1, 0, [])
    log.close()
    log.close()
    again = open_log()
    assert again.read_person(FULL.person_id) == [FULL]
    [(table, _)] = again.scan()
    assert table.schema == EVENT_SCHEMA
    assert table.equals(to_table([FULL]))


def test_a_log_of_nothing_answers(log):
    assert log.append([]) == (0, 0, ())
    assert log.count() == 0
    assert log.read_person("p1") == []
    assert log.read_person("p1", limits={EventType.WATCH: 3}) == []
    assert list(log.scan()) == []
    assert log.remove("p1", "e1") is False
    assert log.merge("p1", "p2") == 0
    assert log.forget("p1") == 0
    assert log.prune(NOW) == 0
    assert log.read_frozen("f") is None


def test_the_same_event_again_changes_nothing_and_another_of_its_id_is_a_conflict(log):
    first = make("e1", "like")
    assert log.append([first, first, make("e2", "click")]) == (2, 1, [])
    assert log.append([first]) == (0, 1, [])
    # A clock that was corrected anew, and a number as a table has it.
    assert log.append([replace(first, at=AT + timedelta(milliseconds=30))]) == (0, 1, [])
    log.append([replace(FULL, watch_id=None)])
    [rounded] = from_table(to_table([replace(FULL, watch_id=None)]))
    assert log.append([rounded]) == (0, 1, [])
    others = [
        replace(first, video_id="v2"),
        make("e3", "like"),
        replace(first, type=EventType.DISLIKE),
        replace(first, person_id="p2"),
    ]
    assert log.append(others) == (1, 0, [0, 2, 3])
    assert log.read_person("p1")[0] == first
    assert log.count() == 4


def test_heartbeats_are_one_entry_with_the_most_seconds_and_the_first_moment(log):
    beats = [make(f"e{n}", watch_id="w", watched_s=10.0 * n, minutes=n) for n in range(1, 6)]
    late = replace(beats[0], event_id="late", watched_s=None, duration_s=90.0)

    assert log.append([beats[2], beats[1]]) == (2, 0, [])
    assert log.append([beats[4]]) == (1, 0, [])
    assert log.append([beats[0], beats[3], late]) == (2, 1, [])
    assert log.append(beats) == (0, 5, [])

    assert log.read_person("p1") == [
        replace(beats[2], at=beats[0].at, watched_s=50.0, duration_s=90.0)
    ]
    assert log.append([make("x", watch_id="w", video_id="v2", watched_s=99.0)]) == (0, 0, [0])
    assert log.append([make("y", watch_id="w", person_id="p2", watched_s=1.0)]) == (1, 0, [])
    assert log.count() == 2


def test_events_of_a_person_are_in_order_of_time_however_they_came(log):
    log.append([make("b", minutes=5), make("c", minutes=9), make("n1", at=None)])
    log.append([make("a", minutes=1), make("c2", minutes=9), make("n2", at=None)])
    log.append([make("x", person_id="p2")])
    assert [e.event_id for e in log.read_person("p1")] == ["n1", "n2", "a", "b", "c", "c2"]


def test_limits_take_the_latest_of_each_type_that_is_named(log):
    log.append(
        [make(f"w{n}", minutes=n) for n in range(5)]
        + [make(f"l{n}", "like", minutes=n) for n in range(5)]
        + [make("s", "search", text="a"), make("n", "like", at=None)]
    )
    limits = {EventType.WATCH: 2, EventType.LIKE: 9, EventType.CLICK: 4}
    assert [e.event_id for e in log.read_person("p1", limits=limits)] == [
        *("n", "l0", "l1", "l2"),
        *("w3", "l3", "w4", "l4"),
    ]
    assert log.read_person("p1", limits={}) == []


def test_scanning_goes_on_behind_a_place_and_meets_what_has_changed(log):
    log.append([make("w1", watch_id="w", watched_s=1.0), make("l1", "like"), make("l2", "like")])
    pages = list(log.scan(batch_size=2))
    assert [e.event_id for t, _ in pages for e in from_table(t)] == ["w1", "l1", "l2"]
    last = pages[-1][1]
    assert [e.event_id for e in scan(log, after=pages[0][1])] == ["l2"]
    assert scan(log, after=last) == []

    log.append([make("l3", "like"), make("w2", watch_id="w", watched_s=5.0)])
    assert [(e.event_id, e.watched_s) for e in scan(log, after=last)] == [("l3", None), ("w1", 5.0)]
    assert [e.event_id for e in scan(log, types=[EventType.LIKE])] == ["l1", "l2", "l3"]
    assert log.count() == 4


def test_a_place_is_never_given_again(log):
    log.append([make("e1"), make("e2")])
    [*_, (_, last)] = log.scan()
    log.forget("p1")
    log.append([make("e3")])
    assert [e.event_id for e in scan(log, after=last)] == ["e3"]


def test_one_entry_is_removed_from_its_persons_history_alone(log):
    log.append([make("e1"), make("e2"), make("e3", person_id="p2")])
    assert log.remove("p2", "e1") is False
    assert log.remove("p1", "e1") is True
    assert log.remove("p1", "e1") is False
    assert [e.event_id for e in log.read_person("p1")] == ["e2"]


def test_two_histories_become_one(log):
    log.append(
        [
            make("a1", person_id="anon", watch_id="w", watched_s=30.0, minutes=0),
            make("a2", "like", person_id="anon"),
            make("a3", person_id="anon", watch_id="w3", video_id="v3"),
            make("u1", person_id="user", watch_id="w", watched_s=12.0, minutes=4),
            make("u2", "click", person_id="user"),
            make("u3", person_id="user", watch_id="w3", video_id="v4"),
        ]
    )
    log.freeze(FrozenFeed("f1", "anon", "{}", NOW + timedelta(minutes=5)))
    [*_, (_, last)] = log.scan()

    assert log.merge("anon", "user") == 3
    assert log.merge("anon", "user") == 0
    assert log.merge("user", "user") == 0

    assert log.read_person("anon") == []
    assert [(e.event_id, e.watched_s, e.watch_id) for e in log.read_person("user")] == [
        ("u2", None, None),
        ("u3", None, "w3"),
        ("u1", 30.0, "w"),
        ("a2", None, None),
        ("a3", None, None),
    ]
    merged = {e.event_id: e for e in log.read_person("user")}
    assert merged["u1"].watched_s == 30.0
    assert merged["u1"].at == AT
    assert merged["a3"].watch_id is None
    assert {e.event_id for e in scan(log, after=last)} == {"u1", "a2", "a3"}
    assert log.read_frozen("f1").person_id == "user"


def test_whoever_is_forgotten_has_no_event_and_no_feed(log):
    log.append([make("e1"), make("e2", "like"), make("e3", person_id="p2")])
    log.freeze(FrozenFeed("f1", "p1", "[]", NOW + timedelta(minutes=5)))
    assert log.forget("p1") == 2
    assert log.forget("p1") == 0
    assert log.read_person("p1") == []
    assert log.read_frozen("f1") is None
    assert [e.event_id for e in scan(log)] == ["e3"]
    assert log.append([make("e1")]) == (1, 0, [])


def test_older_events_are_pruned_and_those_without_a_time_stay(log):
    log.append([make(f"e{n}", minutes=n) for n in range(10)] + [make("n", at=None)])
    assert log.prune(AT + timedelta(minutes=4)) == 4
    assert [e.event_id for e in log.read_person("p1")] == ["n"] + [f"e{n}" for n in range(4, 10)]


def test_a_feed_is_kept_until_its_time_has_passed(log):
    feed = FrozenFeed("f1", "p1", '{"hits": []}', NOW + timedelta(minutes=30))
    log.freeze(feed)
    log.freeze(FrozenFeed("f2", "p1", "{}", NOW - timedelta(seconds=1)))
    assert log.read_frozen("f1") == feed
    assert log.read_frozen("f2") is None
    log.freeze(replace(feed, window="[1]"))
    assert log.read_frozen("f1").window == "[1]"


def test_many_threads_lose_and_double_nothing(open_log):
    logs = [open_log(), open_log()]
    events = [make(f"e{n}", person_id=f"p{n % 7}") for n in range(300)]

    def append(n: int):
        # Each event by two of them, at about the same time.
        return logs[n % 2].append([events[n // 2]])

    with ThreadPoolExecutor(12) as threads:
        appended = list(threads.map(append, range(600)))

    assert sum(one.new for one in appended) == 300
    assert sum(one.known for one in appended) == 300
    assert sorted(e.event_id for e in scan(logs[0])) == sorted(e.event_id for e in events)


def test_a_reader_behind_many_writers_misses_nothing(open_log):
    log, follower = open_log(), open_log()
    seen: list[str] = []
    with ThreadPoolExecutor(8) as threads:
        writing = [
            threads.submit(log.append, [make(f"e{n}-{k}") for k in range(3)]) for n in range(60)
        ]
        after, done = 0, False
        while not done:
            done = all(one.done() for one in writing)
            for table, place in follower.scan(after=after):
                seen += table["event_id"].to_pylist()
                after = place
    assert sorted(seen) == sorted(f"e{n}-{k}" for n in range(60) for k in range(3))


def test_a_whole_thousand_is_one_batch(log):
    events = [make(f"e{n}", watch_id=f"w{n}", watched_s=1.0) for n in range(1000)]
    assert log.append(events) == (1000, 0, [])
    assert log.append(events) == (0, 1000, [])
    tables = [table for table, _ in log.scan(batch_size=300)]
    assert [len(table) for table in tables] == [300, 300, 300, 100]
    assert pa.concat_tables(tables)["event_id"].to_pylist() == [e.event_id for e in events]


@pytest.mark.parametrize("text", ["'; DROP TABLE events; --", "%s ? :a $1", "\\'\"", "日本 🎬"])
def test_text_is_text(log, text):
    event = make(text, "search", person_id=text, text=text)
    log.append([event])
    assert log.read_person(text) == [event]
    assert log.remove(text, text)
