"""What many people watch: counts of people that fade, by language and region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from tests.fakes import Clock
from tests.recommender.drawn_events import NOW, make_event, watch
from twinlens.events.event import Event, EventType
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.events.tables import to_table
from twinlens.recommender.person import is_completed
from twinlens.recommender.popularity import Popularity, Trend, _are_positive


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    with closing(SqliteEventLog(tmp_path / EVENTS_FILE)) as log:
        yield log


def count(*events: Event, batches: int = 1, most_counts: int = 1000) -> Popularity:
    """What many people watch, told in so many parts."""
    clock = Clock()
    with TemporaryDirectory() as folder, closing(SqliteEventLog(Path(folder, EVENTS_FILE))) as log:
        counted = Popularity(log, clock=clock, now=NOW.timestamp, most_counts=most_counts)
        for part in range(batches):
            log.append(events[part::batches])
            clock.now_s += 100
            counted.refresh()
    return counted


def ids(counted: Popularity, trend: Trend = "popular", **scope: str) -> list[str]:
    return [one.video_id for one in counted.rank(trend, **scope)]


def crowd(video_id: str, people: int, **given: object) -> list[Event]:
    return [watch(f"p{person}", video_id, **given) for person in range(people)]


def test_nobody_has_watched_anything() -> None:
    assert count().is_empty
    assert count().rank("popular", language="si") == []


def test_people_are_counted_and_not_plays() -> None:
    addict = [watch("p1", "looped") for _ in range(50)]
    counted = count(*addict, *crowd("liked", 3), batches=7)
    assert ids(counted) == ["liked", "looped"]
    [liked, looped] = [one.score for one in counted.rank("popular")]
    assert liked / looped == pytest.approx(3)


def test_the_same_person_counts_again_on_another_day() -> None:
    days = [watch("p1", "daily", at=NOW - timedelta(days=ago)) for ago in range(3)]
    assert ids(count(watch("p2", "once", at=NOW), *days)) == ["daily", "once"]


def test_a_heartbeat_counts_once_its_watch_is_completed() -> None:
    beats = [watch("p1", "v", watch_id="w", watched_s=s, duration_s=600.0) for s in (5, 20, 40)]
    assert count(*beats[:2]).is_empty
    assert ids(count(*beats, batches=3)) == ["v"]


@pytest.mark.parametrize("watched_s", [None, 0.0, 4.0, 29.0, 30.0, 500.0])
@pytest.mark.parametrize("duration_s", [None, 0.0, 8.0, 1000.0])
def test_a_table_knows_completed_watches_as_one_event_does(
    watched_s: float | None, duration_s: float | None
) -> None:
    table = to_table([watch("p", "v", watched_s=watched_s, duration_s=duration_s)])
    assert bool(_are_positive(table)[0]) == is_completed(watched_s, duration_s)


def test_half_of_the_people_remain_after_a_half_life() -> None:
    old = crowd("old", 20, at=NOW - timedelta(days=3))
    counted = count(*old, *crowd("new", 9, at=NOW))
    assert ids(counted, "popular") == ["old", "new"]
    assert ids(counted, "trending") == ["new", "old"]
    old_score, new_score = (one.score for one in counted.rank("popular"))
    assert old_score / new_score == pytest.approx(10 / 9)


def test_what_arrives_late_counts_as_if_it_had_come_in_time() -> None:
    events = [
        *crowd("a", 5, at=NOW - timedelta(days=2)),
        *crowd("b", 4, at=NOW - timedelta(hours=2)),
    ]
    early, late = count(*events), count(*reversed(events), batches=3)
    assert [one.video_id for one in early.rank("trending")] == ids(late, "trending")
    assert [one.score for one in early.rank("trending")] == pytest.approx(
        [one.score for one in late.rank("trending")]
    )


def test_years_of_events_keep_finite_numbers(log: SqliteEventLog) -> None:
    days = [watch("p", f"v{day}", at=NOW - timedelta(days=900 - day)) for day in range(900)]
    ranked = count(*days, batches=1).rank("trending")
    assert ranked[0].video_id == "v899"
    clock = Clock()
    counted = Popularity(log, clock=clock, now=NOW.timestamp)
    for event in days[::30]:
        log.append([event])
        clock.now_s += 100
        counted.refresh()
    scores = [one.score for one in counted.rank("trending")]
    assert np.isfinite(scores).all()
    assert scores[0] > 0


def test_a_log_of_mere_order_is_counted() -> None:
    events = [watch(f"p{n}", "often", at=None) for n in range(3)] + [watch("p", "once", at=None)]
    assert ids(count(*events)) == ["often", "once"]


def test_likes_count_and_other_events_do_not() -> None:
    others = [
        make_event(type_, "p1", "v")
        for type_ in EventType
        if type_ not in (EventType.WATCH, EventType.LIKE)
    ]
    assert count(*others).is_empty
    assert ids(count(make_event(EventType.LIKE, "p1", "v"))) == ["v"]


def test_a_language_and_a_region_have_their_own() -> None:
    events = [
        *crowd("world", 30),
        *crowd("sinhala", 20, language="si", region="LK"),
        *crowd("tamil", 20, language="ta", region="LK"),
    ]
    counted = count(*events)
    assert ids(counted)[0] == "world"
    assert ids(counted, language="si")[0] == "sinhala"
    assert ids(counted, language="ta", region="LK")[0] == "tamil"
    assert ids(counted, language="xx") == ids(counted)


def test_a_language_of_few_people_says_little() -> None:
    counted = count(*crowd("world", 50), watch("p", "alone", language="eo"))
    assert ids(counted, language="eo") == ["world", "alone"]


def test_memory_is_bounded_and_the_most_popular_stay() -> None:
    crowds = [event for size in range(1, 31) for event in crowd(f"v{size}", size, language="en")]
    counted = count(*crowds, most_counts=40)
    assert counted._counts.keys.size <= 40
    assert set(ids(counted)[:10]) == {f"v{size}" for size in range(21, 31)}
    names: Sequence[str] = counted._counts.names
    assert len(names) == len(set(names)) <= 30


def test_the_log_is_read_at_most_every_few_seconds(log: SqliteEventLog) -> None:
    clock = Clock()
    counted = Popularity(log, clock=clock, now=NOW.timestamp, every_s=2)
    counted.refresh()
    log.append([watch("p", "v")])
    clock.now_s += 1
    counted.refresh()
    assert counted.is_empty
    clock.now_s += 1
    counted.refresh()
    assert ids(counted) == ["v"]
