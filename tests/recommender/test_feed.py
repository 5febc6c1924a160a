"""The feed: all sources in one order, pages that stay, and what it does without."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recommender.drawn_events import NOW, make_event, watch
from tests.recommender.library import (
    BY_ID,
    FUTURE,
    VIDEOS,
    Alphabetical,
    Backwards,
    LongestTitle,
    make_video,
    open_library,
)
from twinlens.catalog.errors import StoreCorrupt, StoreUnavailable
from twinlens.catalog.vectors import Vector
from twinlens.events.event import Event, EventType
from twinlens.events.log import Appended, FrozenFeed
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.recommender.candidates import Candidate, FeedQuery
from twinlens.recommender.feed import FeedModel, FeedOptions
from twinlens.recommender.pages import Fallback, FeedPage, FeedRequest, Feeds
from twinlens.recommender.person import Context
from twinlens.recommender.popularity import Popularity
from twinlens.search.cursor import CursorExpired, CursorInvalid
from twinlens.search.published import Snapshot
from twinlens.search.request import VideoNotFound
from twinlens.stores.base import ScoredVideo, StoredVideo
from twinlens.stores.filters import And, AnyOf, Filter, matches

LIBRARY = open_library()
NO_EXPLORING = FeedOptions(explore=0.0)


class Now:
    """Noon, until a test says that it is later."""

    at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def empty_log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    """A log in a file, on a disk that needs no waiting for."""
    with closing(SqliteEventLog(tmp_path / EVENTS_FILE, now=lambda: NOW)) as log:
        yield log


@pytest.fixture
def log(empty_log: SqliteEventLog) -> SqliteEventLog:
    """Ten people have watched some, and Kasun cricket."""
    crowd = [
        watch(f"p{person}", one.video_id)
        for person in range(10)
        for one in VIDEOS[person : person + 5]
    ]
    cricket = [watch("kasun", one) for one in ("cricket-5", "cricket-15", "cricket-35")]
    empty_log.append([*crowd, *cricket])
    return empty_log


def read_served(log: SqliteEventLog, person_id: str = "kasun") -> list[Event]:
    """What the server says that it has shown somebody."""
    events = log.read_person(person_id)
    return [one for one in events if one.type is EventType.IMPRESSION]


def open_feeds(log: SqliteEventLog | None, **given: Any) -> Feeds:
    popularity = None
    if log is not None:
        popularity = Popularity(log, now=NOW.timestamp, every_s=0)
    defaults: dict[str, Any] = {"options": NO_EXPLORING, "now": Now(), "draw_seed": lambda: 7}
    return Feeds(log=log, popularity=popularity, **defaults | given)


def ids(page: FeedPage) -> list[str]:
    return [one.video.video_id for one in page.hits]


def ask(feeds: Feeds, library: Snapshot = LIBRARY, **given: Any) -> FeedPage:
    return feeds.answer(library, FeedRequest(**{"person_id": "kasun"} | given))


def with_model(**parts: Any) -> FeedModel:
    return FeedModel(name="m1", trained_at=datetime(2026, 11, 1, tzinfo=UTC), **parts)


# ---- one order


def test_a_feed_is_of_what_the_person_watches_and_of_the_rest(log: SqliteEventLog) -> None:
    page = ask(open_feeds(log), explain=True)
    assert len(page.hits) == 20
    sources = {name for one in page.hits for name in one.place.sources}
    assert sources == {"fresh", "popular", "trending", "like_history", "same_channel"}
    categories = [one.video.payload["category"] for one in page.hits]
    assert categories.count("cricket") > 4
    assert [one.rank for one in page.hits] == list(range(1, 21))


def test_because_names_what_was_watched(log: SqliteEventLog) -> None:
    because = [one.place.because for one in ask(open_feeds(log), explain=True).hits]
    assert any(because)
    assert {past for one in because for past in one} <= {"cricket-5", "cricket-15", "cricket-35"}
    assert not any(one.place.because for one in ask(open_feeds(log)).hits)


def test_a_ranker_that_predicts_seconds_decides(log: SqliteEventLog) -> None:
    feeds = open_feeds(log, open_model=lambda _: with_model(ranker=LongestTitle()))
    page = ask(feeds)
    seconds = [one.place.expected_watch_s for one in page.hits]
    assert seconds[0] == max(len(one.payload["title"]) for one in VIDEOS[:-1])
    assert page.model == "m1"
    assert page.fallback == []
    assert ask(open_feeds(log)).hits[0].place.expected_watch_s is None


def test_a_ranker_of_mere_scores_decides_the_order(log: SqliteEventLog) -> None:
    page = ask(open_feeds(log, open_model=lambda _: with_model(ranker=Backwards())))
    plain = ask(open_feeds(log), limit=100)
    assert page.hits[0].video.video_id not in ids(plain)[:60]
    assert all(one.place.score > 0 for one in page.hits)
    assert {one.place.expected_watch_s for one in page.hits} == {None}


def test_a_source_is_added_by_a_name_and_one_method(log: SqliteEventLog) -> None:
    feeds = open_feeds(log, open_model=lambda _: with_model(source=Alphabetical(LIBRARY)))
    first = sorted(BY_ID)[0]
    found = {one.video.video_id: one.place for one in ask(feeds, explain=True, limit=50).hits}
    assert found[first].sources["alphabetical"].rank == 1


# ---- what is left out, and what sinks


def test_the_future_is_in_no_feed(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    assert FUTURE not in ids(ask(feeds, limit=100))
    now = Now()
    now.at = NOW + timedelta(days=3)
    assert FUTURE in ids(ask(open_feeds(log, now=now), limit=100))


def test_exclude_and_not_interested_never_come(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    first = ids(ask(feeds))
    log.append([make_event(EventType.NOT_INTERESTED, "kasun", one) for one in first[:5]])
    second = ask(feeds, exclude=first[5:], limit=100)
    assert not set(first) & set(ids(second))
    assert len(second.hits) == 100


def test_shown_five_times_and_not_watched_it_sinks(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    first = ids(ask(feeds, log_impressions=False))[0]
    places = []
    for number in range(6):
        hits = [one for page in read_pages(feeds, log_impressions=False) for one in page.hits]
        place = [one.video.video_id for one in hits].index(first)
        places.append(place)
        assert hits[place].place.shown == number
        log.append(
            [make_event(EventType.IMPRESSION, "kasun", first, feed_id=f"f{number}", seen=True)]
        )
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] > 20


def test_asking_again_churns_because_the_server_logs_what_it_served(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    first = ask(feeds)
    served = sorted(read_served(log), key=lambda one: one.position or 0)
    assert [one.video_id for one in served] == ids(first)
    assert {(one.feed_id, one.seen, one.surface) for one in served} == {
        (first.feed_id, False, "home")
    }
    assert [one.position for one in served] == list(range(1, 21))
    for _ in range(4):
        last = ask(feeds)
    assert len(set(ids(first)) - set(ids(last))) >= 5
    ask(feeds, log_impressions=False)
    assert len(read_served(log)) == 100


@pytest.mark.parametrize("watched", ["demote", "leave_out"])
def test_what_was_watched_whole_sinks_or_is_left_out(log: SqliteEventLog, watched: Any) -> None:
    log.append([watch("kasun", "kitchen-1")])
    feeds = open_feeds(log, options=FeedOptions(explore=0, watched=watched))
    assert "kitchen-1" not in ids(ask(feeds, log_impressions=False))
    every = [one for page in read_pages(feeds) for one in ids(page)]
    assert ("kitchen-1" in every) == (watched == "demote")


def test_a_page_has_eight_channels(log: SqliteEventLog) -> None:
    page = ask(open_feeds(log))
    assert len({one.video.payload["channel"] for one in page.hits}) >= 8


def test_a_page_has_eight_channels_though_all_others_rank_behind_the_window(
    log: SqliteEventLog,
) -> None:
    def move(video: StoredVideo, **given: object) -> StoredVideo:
        video_id = f"{given['of']}-{video.video_id}"
        payload = {**video.payload, **given, "video_id": video_id}
        return replace(video, video_id=video_id, payload=payload)

    made = [make_video(number) for number in range(1, 121)]
    crowd = [move(one, of=f"a{copy}", channel="a", title="x" * 50) for one in made for copy in "12"]
    library = open_library([*(move(one, of="b", view_count=10**6) for one in made[:40]), *crowd])
    model = with_model(source=Alphabetical(library), ranker=LongestTitle())
    page = ask(open_feeds(log, open_model=lambda _: model), library)
    assert len({one.video.payload["channel"] for one in page.hits}) >= 8


def test_diversity_mixes_what_is_alike(log: SqliteEventLog) -> None:
    def count_cricket(diversity: float) -> int:
        page = ask(open_feeds(log), diversity=diversity, limit=10, log_impressions=False)
        return [one.video.payload["category"] for one in page.hits].count("cricket")

    assert count_cricket(0.9) < count_cricket(0.0)


@pytest.mark.parametrize(
    "filter",
    [
        AnyOf("language", ("si",)),
        And((AnyOf("category", ("news",)), AnyOf("language", ("ta",)))),
        AnyOf("channel", ("channel 29",)),
    ],
)
def test_a_filter_never_returns_fewer_than_exist(log: SqliteEventLog, filter: Filter) -> None:
    passing = {one.video_id for one in VIDEOS[:-1] if matches(filter, one.payload)}
    page = ask(open_feeds(log), filter=filter, limit=100)
    assert set(ids(page)) == passing


def test_a_filter_holds_while_the_model_is_open_over_the_generation_before(
    log: SqliteEventLog,
) -> None:
    changed = [replace(one, payload={**one.payload, "language": "si"}) for one in VIDEOS]
    feeds = open_feeds(log, open_model=lambda _: with_model(source=Alphabetical(LIBRARY)))
    page = ask(feeds, open_library(changed, generation="g2"), filter=AnyOf("language", ("ta",)))
    assert page.hits == []


def test_exploring_has_a_chance_that_is_logged(log: SqliteEventLog) -> None:
    feeds = open_feeds(log, options=FeedOptions(explore=0.5))
    page = ask(feeds, limit=10)
    chances = {one.video.video_id: one.place.chance for one in page.hits}
    explored = {key: chance for key, chance in chances.items() if chance is not None}
    assert explored
    assert {one.video_id: one.chance for one in read_served(log)} == pytest.approx(chances)


# ---- pages


def read_pages(feeds: Feeds, library: Snapshot = LIBRARY, **given: Any) -> list[FeedPage]:
    pages = [ask(feeds, library, **given)]
    while (cursor := pages[-1].next_cursor) is not None:
        pages.append(ask(feeds, library, cursor=cursor, **given))
    return pages


def test_no_page_repeats_another_though_all_is_logged_between(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    pages = read_pages(feeds)
    every = [one for page in pages for one in ids(page)]
    assert len(every) == len(set(every)) == 120
    assert {page.feed_id for page in pages} == {pages[0].feed_id}
    assert [one.rank for page in pages for one in page.hits] == list(range(1, 121))


HAPPENING = st.sampled_from(
    [*(one for one in EventType if one not in (EventType.SEARCH, EventType.UNDO)), "feed", "index"]
)


@settings(max_examples=12, deadline=None)
@given(
    pages=st.lists(
        st.tuples(st.integers(1, 30), st.lists(HAPPENING, max_size=3)), min_size=2, max_size=6
    ),
    kept=st.booleans(),
    draw_seed=st.integers(0, 99),
)
def test_no_page_repeats_another_whatever_happens_between(
    pages: list[tuple[int, list[str]]], kept: bool, draw_seed: int
) -> None:
    with (
        TemporaryDirectory() as folder,
        closing(SqliteEventLog(Path(folder, "log"), now=lambda: NOW)) as log,
    ):
        feeds = open_feeds(log, draw_seed=lambda: draw_seed, options=FeedOptions(explore=0.3))
        library, seen, done, cursor = LIBRARY, list[str](), list[Event](), None
        for limit, happening in pages:
            whose = {"cursor": cursor} if kept else {"person_id": None, "events": done}
            exclude = () if kept else seen
            page = ask(feeds, library, limit=limit, exclude=exclude, **whose)
            assert not set(ids(page)) & set(seen)
            seen += ids(page)
            for one in happening:
                if one == "feed":
                    ask(feeds, library, limit=limit, person_id="kasun")
                elif one == "index":
                    library = open_library(VIDEOS[len(seen) % 7 :], generation=f"g{len(seen)}")
                elif seen:
                    done.append(make_event(EventType(one), "kasun", seen[draw_seed % len(seen)]))
            log.append(done)
            cursor = page.next_cursor
            if kept and cursor is None:
                return


def test_no_page_repeats_another_while_others_ask_for_the_same_person(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    seen: list[list[str]] = []

    def read() -> None:
        seen.append([one for page in read_pages(feeds, limit=30) for one in ids(page)])

    threads = [threading.Thread(target=read) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [len(one) for one in seen] == [120] * 6
    assert all(len(set(one)) == len(one) for one in seen)


def test_what_is_refused_after_the_first_page_is_on_no_later_one(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    second = ids(read_pages(feeds, log_impressions=False)[1])
    first = ask(feeds, log_impressions=False)
    log.append([make_event(EventType.NOT_INTERESTED, "kasun", second[0])])
    page = ask(feeds, cursor=first.next_cursor, log_impressions=False)
    assert ids(page)[:19] == second[1:]
    assert len(page.hits) == 20


def test_a_page_goes_on_over_a_new_generation(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    first = ask(feeds)
    newer = open_library(VIDEOS[::2], generation="g2")
    later = ids(ask(feeds, newer, cursor=first.next_cursor, limit=100))
    assert later
    assert not set(later) & set(ids(first))
    assert set(later) <= {one.video_id for one in VIDEOS[::2]}


def test_a_new_generation_is_fed_at_once(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    gone = ids(ask(feeds))[0]
    new = replace(
        VIDEOS[3], video_id="brand-new", payload={**VIDEOS[3].payload, "video_id": "brand-new"}
    )
    videos = [*(one for one in VIDEOS if one.video_id != gone), new]
    found = ids(ask(feeds, open_library(videos, generation="g2"), limit=100))
    assert "brand-new" in found
    assert gone not in found


def test_foreign_and_expired_cursors_are_told(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    cursor = ask(feeds).next_cursor
    for other in ({"person_id": "p1"}, {"surface": "related"}, {"exclude": ["x"]}):
        with pytest.raises(CursorInvalid):
            ask(feeds, cursor=cursor, **other)
    with pytest.raises(CursorInvalid):
        ask(feeds, cursor="A" + (cursor or ""))
    log.forget("kasun")
    with pytest.raises(CursorExpired):
        ask(feeds, cursor=cursor)


def test_beside_a_video_it_is_about_that_and_never_that_video(log: SqliteEventLog) -> None:
    page = ask(open_feeds(log), surface="related", seed_video_id="music-33", explain=True)
    topics = [one.video.payload["category"] for one in page.hits]
    assert topics.count("music") > 5
    assert "music-33" not in ids(page)
    with pytest.raises(VideoNotFound) as error:
        ask(open_feeds(log), seed_video_id="nowhere")
    assert error.value.missing == {"seed_video_id": "nowhere"}


# ---- what it does without


class Damaged:
    """A model whose files say one thing and do another."""

    name = "learned"
    predicts_seconds = True

    def find(self, query: FeedQuery, *, limit: int) -> Sequence[ScoredVideo]:
        raise ValueError("shapes (64,) and (32,) not aligned")

    def rank(self, query: FeedQuery, candidates: Sequence[Candidate]) -> Vector:
        return np.full(len(candidates), np.nan, dtype=np.float32)


class AwayLog(SqliteEventLog):
    """A log that can be neither read nor written."""

    def read_person(
        self, person_id: str, *, limits: Mapping[EventType, int] | None = None
    ) -> list[Event]:
        raise StoreUnavailable("the log is locked")

    def append(self, events: Sequence[Event]) -> Appended:
        raise StoreUnavailable("the log is locked")

    def freeze(self, feed: FrozenFeed) -> None:
        raise StoreUnavailable("the log is locked")


def _refuse(_: Snapshot) -> FeedModel:
    raise StoreCorrupt("the model is damaged")


GOOD = with_model(ranker=LongestTitle())
LADDER: dict[str, tuple[dict[str, Any], dict[str, Any], list[Fallback]]] = {
    "all is there": ({}, {}, []),
    "no model": ({"open_model": lambda _: None}, {}, [Fallback.NO_MODEL]),
    "a damaged model": ({"open_model": _refuse}, {}, [Fallback.DAMAGED_MODEL]),
    "a model that fails at finding": (
        {"open_model": lambda _: with_model(source=Damaged())},
        {},
        [Fallback.DAMAGED_MODEL],
    ),
    "a model that fails at ranking": (
        {"open_model": lambda _: with_model(ranker=Damaged())},
        {},
        [Fallback.DAMAGED_MODEL],
    ),
    "an unknown person": (
        {},
        {"person_id": "stranger"},
        [Fallback.UNKNOWN_PERSON, Fallback.NO_HISTORY],
    ),
    "no history": ({}, {"person_id": "idle"}, [Fallback.NO_HISTORY]),
    "a history in the body": ({}, {"person_id": None, "events": [watch("", "news-4")]}, []),
    "an empty history in the body": ({}, {"person_id": None}, [Fallback.NO_HISTORY]),
}


@pytest.mark.parametrize("rung", LADDER)
def test_whatever_is_lacking_there_is_a_feed_that_says_so(log: SqliteEventLog, rung: str) -> None:
    parts, request, expected = LADDER[rung]
    log.append([make_event(EventType.IMPRESSION, "idle", "news-4")])
    page = ask(open_feeds(log, **{"open_model": lambda _: GOOD} | parts), **request)
    assert page.fallback == expected
    assert len(page.hits) == 20


def test_without_any_event_there_is_a_feed(empty_log: SqliteEventLog) -> None:
    page = ask(open_feeds(empty_log))
    assert page.fallback == [
        Fallback.NO_MODEL,
        Fallback.NO_EVENTS,
        Fallback.UNKNOWN_PERSON,
        Fallback.NO_HISTORY,
    ]
    assert len(page.hits) == 20
    assert len(ask(open_feeds(None)).hits) == 20


def test_while_the_log_is_away_there_is_a_feed_without_later_pages(tmp_path: Path) -> None:
    page = ask(open_feeds(AwayLog(tmp_path / EVENTS_FILE)))
    assert page.fallback[0] is Fallback.LOG_UNAVAILABLE
    assert page.next_cursor is None
    assert len(page.hits) == 20


def test_of_a_history_in_the_body_nothing_is_kept(log: SqliteEventLog) -> None:
    before = log.count()
    feeds = open_feeds(log)
    events = [watch("", "cricket-5")]
    first = ask(feeds, person_id=None, events=events)
    assert first.next_cursor is None
    assert log.count() == before
    assert log.read_frozen(first.feed_id) is None
    second = ask(feeds, person_id=None, events=events, exclude=ids(first))
    assert not set(ids(first)) & set(ids(second))


def test_whoever_asks_to_be_forgotten_is_a_stranger(log: SqliteEventLog) -> None:
    feeds = open_feeds(log)
    ask(feeds)
    log.forget("kasun")
    forgotten = ask(feeds, log_impressions=False)
    assert ids(forgotten) == ids(ask(feeds, person_id="stranger", log_impressions=False))


def test_an_empty_index_gives_an_empty_feed(log: SqliteEventLog) -> None:
    page = ask(open_feeds(log), open_library([]))
    assert page.hits == []
    assert page.next_cursor is None


def test_the_language_of_the_context_decides_for_a_stranger(log: SqliteEventLog) -> None:
    for person in range(30):
        log.append([watch(f"t{person}", "news-4", language="ta")])
    context = Context(language="ta")
    page = ask(open_feeds(log), person_id="stranger", context=context)
    assert "news-4" in ids(page)[:3]
