"""What every source of candidates keeps to, and what each finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from tests.fakes import MemoryReader
from tests.recommender.drawn_events import NOW, make_event, watch
from tests.recommender.library import (
    BY_ID,
    FUTURE,
    VIDEOS,
    Alphabetical,
    open_library,
    train_library_model,
)
from twinlens.events.event import Event, EventType
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.recommender.candidate_model import LearnedSource
from twinlens.recommender.candidates import CandidateSource, FeedQuery
from twinlens.recommender.person import Context, Person
from twinlens.recommender.popularity import Popularity
from twinlens.recommender.sources import (
    PUBLISHED,
    VIEWS,
    FreshSource,
    KeptVideos,
    LikeHistorySource,
    Listing,
    PopularSource,
    SameChannelSource,
    list_seeds,
    open_sources,
)
from twinlens.recommender.videos import VideoTable
from twinlens.search.published import Snapshot
from twinlens.stores.base import ScoredVideo
from twinlens.stores.filters import And, AnyOf, Filter, Not, Range, matches

OpenSource = Callable[[Snapshot, Popularity | None], CandidateSource]
WATCHED = ["cricket-5", "kitchen-31", "cricket-15"]
FILTERS: Sequence[Filter | None] = [
    None,
    AnyOf("language", ("si",)),
    And((AnyOf("category", ("cricket",)), Range(field="view_count", gte=100))),
    Not(AnyOf("language", ("en", "ta"))),
    AnyOf("channel", ("no such channel",)),
]


def _own(name: str) -> OpenSource:
    def make(snapshot: Snapshot, popularity: Popularity | None) -> CandidateSource:
        kept = KeptVideos(snapshot.reader)
        sources = open_sources(snapshot.reader, snapshot.searcher, popularity, kept)
        return next(one for one in sources if one.name == name)

    return make


# A source that is added needs a line here.
SOURCES: dict[str, OpenSource] = {
    **{
        name: _own(name)
        for name in ("fresh", "popular", "trending", "same_channel", "like_history")
    },
    "learned": lambda *_: LearnedSource(train_library_model(), VideoTable.from_videos(VIDEOS)),
    "alphabetical": lambda snapshot, _: Alphabetical(snapshot),
}


@pytest.fixture(scope="module")
def popularity(tmp_path_factory: pytest.TempPathFactory) -> Popularity:
    gone = [watch(f"p{one}", "gone from the catalogue") for one in range(50)]
    known = [
        watch(f"p{one}", video.video_id)
        for number, video in enumerate(VIDEOS)
        for one in range(number % 7)
    ]
    with closing(SqliteEventLog(tmp_path_factory.mktemp("log") / EVENTS_FILE)) as log:
        log.append([*gone, *known])
        counted = Popularity(log, now=NOW.timestamp)
        counted.refresh()
    return counted


@pytest.fixture(params=list(SOURCES))
def source(request: pytest.FixtureRequest, popularity: Popularity) -> CandidateSource:
    return SOURCES[request.param](open_library(), popularity)


def query(*events: Event, **given: object) -> FeedQuery:
    past = events or [watch("p", one) for one in WATCHED]
    return replace(FeedQuery(person=Person.from_events(past, "p"), at=NOW), **given)


def ids(found: Sequence[ScoredVideo]) -> list[str]:
    return [one.video_id for one in found]


# ---- the contract


def test_a_source_has_a_plain_name(source: CandidateSource) -> None:
    assert source.name.isidentifier()


@pytest.mark.parametrize("filter", FILTERS)
def test_filter_exclude_and_limit_hold(source: CandidateSource, filter: Filter | None) -> None:
    every = ids(source.find(query(filter=filter), limit=100))
    excluded = frozenset(every[::2]) | {"unknown"}
    for limit in (1, 7, 100):
        found = source.find(query(filter=filter, exclude=excluded), limit=limit)
        assert len(found) <= limit
        assert not excluded & set(ids(found))
        for one in ids(found):
            assert filter is None or matches(filter, BY_ID[one].payload)


def test_what_is_excluded_makes_room_for_others(source: CandidateSource) -> None:
    every = ids(source.find(query(), limit=100))
    excluded = frozenset(every[:10])
    left = ids(source.find(query(exclude=excluded), limit=100))
    assert set(left) >= set(every) - excluded


def test_scores_fall_and_no_video_comes_twice(source: CandidateSource) -> None:
    found = source.find(query(), limit=100)
    scores = [one.score for one in found]
    assert found
    assert scores == sorted(scores, reverse=True)
    assert len(set(ids(found))) == len(found)


def test_the_same_query_finds_the_same(source: CandidateSource) -> None:
    assert source.find(query(), limit=50) == source.find(query(), limit=50)


def test_nobody_in_particular_is_no_error(source: CandidateSource) -> None:
    nobody = FeedQuery(person=Person(), at=NOW, context=Context(language="xx", region="XX"))
    source.find(nobody, limit=10)


def test_videos_that_are_in_no_index_are_no_error(source: CandidateSource) -> None:
    source.find(query(watch("p", "gone"), seed_video_id="gone, too"), limit=10)


# ---- each of them


def open_listing(field: str, reader: MemoryReader) -> Listing:
    return Listing(reader, KeptVideos(reader), field)


def test_fresh_is_what_was_published_last_and_nothing_of_the_future() -> None:
    found = FreshSource(open_listing(PUBLISHED, MemoryReader(VIDEOS))).find(query(), limit=5)
    assert ids(found) == ["kitchen-1", "beach-2", "music-3", "news-4", "cricket-5"]
    assert found[0].score == pytest.approx(NOW.timestamp() - 86_400)


def test_fresh_finds_all_that_there_are() -> None:
    fresh = FreshSource(open_listing(PUBLISHED, MemoryReader(VIDEOS)))
    passing = [one.video_id for one in VIDEOS if one.payload["language"] == "si"]
    excluded = frozenset(passing[:30])
    asked = query(filter=AnyOf("language", ("si",)), exclude=excluded)
    assert set(ids(fresh.find(asked, limit=100))) == set(passing) - excluded - {FUTURE}


def test_popular_is_what_people_watch_then_what_has_views(popularity: Popularity) -> None:
    reader = MemoryReader(VIDEOS)
    kept = KeptVideos(reader)
    popular = PopularSource("popular", popularity, kept, open_listing(VIEWS, reader))
    found = popular.find(query(), limit=100)
    counted = [one for one in found if one.score > 0]
    assert {VIDEOS.index(BY_ID[one]) % 7 for one in ids(counted)[:17]} == {6}
    assert len(found) == 100
    assert FUTURE not in ids(found)


def test_popular_without_events_is_what_has_most_views() -> None:
    reader = MemoryReader(VIDEOS)
    popular = PopularSource("popular", None, KeptVideos(reader), open_listing(VIEWS, reader))
    views = [BY_ID[one].payload["view_count"] for one in ids(popular.find(query(), limit=20))]
    assert views == sorted(views, reverse=True)
    assert views[0] == max(one.payload["view_count"] for one in VIDEOS[:-1])


def test_same_channel_finds_the_newest_of_what_was_watched_and_says_why() -> None:
    reader = MemoryReader(VIDEOS)
    source = SameChannelSource(open_listing(PUBLISHED, reader), KeptVideos(reader))
    found = ids(source.find(query(), limit=50))
    channels = {BY_ID[one].payload["channel"] for one in found}
    assert channels == {BY_ID[one].payload["channel"] for one in WATCHED}
    because = source.explain(query(), found)
    for one in found:
        [past] = because[one]
        assert BY_ID[past].payload["channel"] == BY_ID[one].payload["channel"]


def test_like_history_finds_what_is_like_it_and_says_why() -> None:
    library = open_library()
    source = LikeHistorySource(library.searcher, KeptVideos(library.reader))
    asked = query(watch("p", "cricket-5"), make_event(EventType.LIKE, "p", "cricket-10"))
    found = ids(source.find(asked, limit=10))
    assert {BY_ID[one].payload["category"] for one in found} == {"cricket"}
    assert set(source.explain(asked, found)[found[0]]) <= {"cricket-5", "cricket-10"}


def test_like_history_asks_the_engine_once_for_the_same_history() -> None:
    library = open_library()
    reader = library.reader
    assert isinstance(reader, MemoryReader)
    source = LikeHistorySource(library.searcher, KeptVideos(reader))
    for _ in range(3):
        source.find(query(), limit=10)
    assert len(reader.searches) == 1
    long = [watch("p", one.video_id) for one in VIDEOS]
    source.find(query(*long), limit=10)
    assert len(reader.searches[-1]) <= 3 * 6


def test_what_is_disliked_is_no_seed() -> None:
    library = open_library()
    source = LikeHistorySource(library.searcher, KeptVideos(library.reader))
    asked = query(watch("p", "cricket-5"), make_event(EventType.DISLIKE, "p", "cricket-5"))
    assert source.find(asked, limit=10) == []


def test_what_was_only_opened_is_a_seed_where_nothing_was_watched_whole_or_liked() -> None:
    opened = make_event(EventType.CLICK, "p", "cricket-5")
    left = watch("p", "kitchen-31", watched_s=2.0, at=NOW)
    assert list_seeds(query(opened), most=6) == ["cricket-5"]
    assert list_seeds(query(opened, left), most=6) == ["kitchen-31", "cricket-5"]
    refused = make_event(EventType.NOT_INTERESTED, "p", "kitchen-31")
    assert list_seeds(query(opened, left, refused), most=6) == ["cricket-5"]
    assert list_seeds(query(opened, left, watch("p", "news-4")), most=6) == ["news-4"]
    found = _own("like_history")(open_library(), None).find(query(opened), limit=5)
    assert {BY_ID[one].payload["category"] for one in ids(found)} == {"cricket"}


def test_beside_a_video_it_is_like_that_video() -> None:
    library = open_library()
    source = LikeHistorySource(library.searcher, KeptVideos(library.reader))
    found = ids(source.find(query(seed_video_id="music-3"), limit=5))
    assert {BY_ID[one].payload["category"] for one in found} == {"music"}
