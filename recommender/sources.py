"""What finds candidates without a model: what is popular, fresh, of a channel, like a history."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final, Protocol, runtime_checkable

from cachetools import LRUCache

from twinlens.recommender.candidates import CandidateSource, FeedQuery
from twinlens.recommender.person import Person, is_completed
from twinlens.recommender.popularity import Popularity, Trend
from twinlens.search.request import RecommendationRequest
from twinlens.search.searcher import Searcher
from twinlens.stores.base import Order, ScoredVideo, StoredVideo, VectorReader
from twinlens.stores.browsing import read_sort_value
from twinlens.stores.filters import And, AnyOf, Filter, Not, Range, matches, to_moment

PUBLISHED: Final = "published_at"
VIEWS: Final = "view_count"
CHANNEL: Final = "channel"
# Of 1 KB each; an engine takes 60 µs to read one.
_MOST_KEPT: Final = 30_000
_MOST_LISTS: Final = 256
# As many as the longest page, so that a page is never shorter than what exists.
LISTED: Final = 100
_PER_CHANNEL: Final = 20
_MOST_CHANNELS: Final = 4
# Of a history, each asks the engine by every lens.
_MOST_LIKED: Final = 6
_MOST_DISLIKED: Final = 2
_RANKS_PER_SEED: Final = 60
_CHUNK: Final = 200


@runtime_checkable
class Explaining(Protocol):
    """A source that can say which videos of the person's past made it find others."""

    def explain(self, query: FeedQuery, video_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return for some of ``video_ids`` at most three videos of the past, the weightiest first.

        It is asked about videos that it has just found for ``query``.
        """
        ...


@runtime_checkable
class FindingAlike(Protocol):
    """A source that finds by videos alone, of nobody in particular."""

    def find_like(
        self, seeds: Sequence[str], *, limit: int, filter: Filter | None, exclude: Set[str]
    ) -> Mapping[str, Sequence[ScoredVideo]]:
        """Return for each of ``seeds`` what is watched next by who watched it, best first."""
        ...


class KeptVideos:
    """The videos of one generation, without vectors; those read last come from memory."""

    def __init__(self, reader: VectorReader) -> None:
        self._reader = reader
        self._kept: LRUCache[str, StoredVideo] = LRUCache(_MOST_KEPT)
        self._lock = threading.Lock()

    def get(self, video_ids: Iterable[str]) -> dict[str, StoredVideo]:
        """Return the stored videos among ``video_ids``, in their order; the unknown are absent."""
        wanted = list(dict.fromkeys(video_ids))
        with self._lock:
            found = {one: self._kept[one] for one in wanted if one in self._kept}
        if missing := [one for one in wanted if one not in found]:
            read = self._reader.get(missing)
            self.keep(read.values())
            found |= read
        return {one: found[one] for one in wanted if one in found}

    def keep(self, videos: Iterable[StoredVideo]) -> None:
        """Keep what was read elsewhere."""
        with self._lock:
            self._kept.update((one.video_id, one) for one in videos)


class Listing:
    """The first videos of one generation by a field, the greatest first, those published later out.

    The first ``LISTED`` of each filter are kept for the minute, and what is to be excluded is taken
    out of them; the engine is asked again only where too few are left.
    """

    def __init__(self, reader: VectorReader, kept: KeptVideos, field: str) -> None:
        self._reader, self._kept, self._field = reader, kept, field
        names = {row.name for row in reader.fields.sortable}
        self._order = Order(field, descending=True) if field in names else None
        self._has_dates = PUBLISHED in reader.fields
        self._lists: LRUCache[object, Sequence[StoredVideo]] = LRUCache(_MOST_LISTS)
        self._lock = threading.Lock()

    def find(
        self,
        query: FeedQuery,
        *,
        limit: int,
        among: Filter | None = None,
        exclude: Set[str] = frozenset(),
        listed: int = LISTED,
    ) -> list[ScoredVideo]:
        """Return the first ``limit`` that pass the query and ``among``, and aren't in ``exclude``.

        The score is the field's number, of a moment seconds since 1970; 0 where there is none.
        """
        minute = query.at.replace(second=0, microsecond=0)
        excluded = query.exclude | exclude
        first = self._read_list(query.filter, among, minute, listed)
        left = [one for one in first if one.video_id not in excluded][:limit]
        if len(left) < limit and len(first) >= listed:
            others = [Not(AnyOf("video_id", tuple(sorted(excluded))))] if excluded else []
            left = self._browse([query.filter, among, *others], minute, limit)
        return [ScoredVideo(one.video_id, self._score(one)) for one in left]

    def _read_list(
        self, filter: Filter | None, among: Filter | None, minute: datetime, listed: int
    ) -> Sequence[StoredVideo]:
        key = filter, among, minute, listed
        with self._lock:
            known = self._lists.get(key)
        if known is None:
            known = self._browse([filter, among], minute, listed)
            with self._lock:
                self._lists[key] = known
        return known

    def _browse(
        self, conditions: Iterable[Filter | None], minute: datetime, limit: int
    ) -> list[StoredVideo]:
        parts = [one for one in conditions if one is not None]
        if self._has_dates:
            parts.append(Not(Range(field=PUBLISHED, gt=minute)))
        found = self._reader.browse(
            limit=limit, order=self._order, filter=And(tuple(parts)) if parts else None
        )
        self._kept.keep(found)
        return found

    def _score(self, video: StoredVideo) -> float:
        if self._order is None:
            return 0.0
        value = read_sort_value(video, self._field, self._reader.fields)
        return 0.0 if value is None else value / (1e6 if self._field == PUBLISHED else 1.0)


class FreshSource:
    """The videos published last. It finds all that there are, where the filter lets few through."""

    name = "fresh"

    def __init__(self, newest: Listing) -> None:
        self._newest = newest

    def find(self, query: FeedQuery, *, limit: int) -> Sequence[ScoredVideo]:
        """See ``CandidateSource``; the score is the moment in seconds since 1970."""
        return self._newest.find(query, limit=limit)


class PopularSource:
    """What most people watch, of this language and region above all; else what has most views.

    Without a ``most_viewed`` list it finds what people were seen to watch and nothing else.
    """

    def __init__(
        self,
        trend: Trend,
        popularity: Popularity | None,
        kept: KeptVideos,
        most_viewed: Listing | None = None,
    ) -> None:
        self.name: str = trend
        self._trend = trend
        self._popularity, self._kept, self._most_viewed = popularity, kept, most_viewed

    def find(self, query: FeedQuery, *, limit: int) -> Sequence[ScoredVideo]:
        """See ``CandidateSource``; the score is a share of people, 0 where nobody was counted."""
        found = list(islice(self._iterate_counted(query), limit))
        if len(found) < limit and self._most_viewed is not None:
            seen = {one.video_id for one in found}
            others = self._most_viewed.find(query, limit=limit - len(found), exclude=seen)
            found += [ScoredVideo(one.video_id, 0.0) for one in others]
        return found

    def _iterate_counted(self, query: FeedQuery) -> Iterable[ScoredVideo]:
        if self._popularity is None:
            return
        context = query.context
        ranked = self._popularity.rank(
            self._trend, language=context.language, region=context.region
        )
        # A few at a time, so that no more are read than it takes.
        for start in range(0, len(ranked), _CHUNK):
            part = [
                one for one in ranked[start : start + _CHUNK] if one.video_id not in query.exclude
            ]
            stored = self._kept.get(one.video_id for one in part)
            for one in part:
                video = stored.get(one.video_id)
                if video is None or is_future(video, query.at):
                    continue
                if query.filter is None or matches(query.filter, video.payload):
                    yield one


class SameChannelSource:
    """The newest of the channels that a person watched last, or of the channel of the seed."""

    name = "same_channel"

    def __init__(self, newest: Listing, kept: KeptVideos) -> None:
        self._newest, self._kept = newest, kept

    def find(self, query: FeedQuery, *, limit: int) -> Sequence[ScoredVideo]:
        """See ``CandidateSource``; the score falls from 1, by the place within its channel."""
        channels = self._find_channels(query)
        lists = [
            self._newest.find(
                query,
                limit=min(limit, _PER_CHANNEL),
                among=AnyOf(CHANNEL, (channel,)),
                listed=_PER_CHANNEL,
            )
            for channel in islice(channels, _MOST_CHANNELS)
        ]
        return [
            ScoredVideo(one[place].video_id, 1 / (place + 1))
            for place in range(max(map(len, lists), default=0))
            for one in lists
            if place < len(one)
        ][:limit]

    def explain(self, query: FeedQuery, video_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See ``Explaining``."""
        channels = self._find_channels(query)
        found = {key: read_channel(one) for key, one in self._kept.get(video_ids).items()}
        return {key: channels[name] for key, name in found.items() if name and name in channels}

    def _find_channels(self, query: FeedQuery) -> Mapping[str, Sequence[str]]:
        """Return the channels and the latest video that speaks for each, the latest first."""
        channels: dict[str, Sequence[str]] = {}
        for video in self._kept.get(list_seeds(query, most=2 * _MOST_LIKED)).values():
            if channel := read_channel(video):
                channels.setdefault(channel, [video.video_id])
        return channels


@dataclass(frozen=True, slots=True)
class _Found:
    """Videos like others, best first, and which of the others recommend each."""

    videos: Sequence[ScoredVideo] = ()
    because: Mapping[str, Sequence[str]] = field(default_factory=dict)


class LikeHistorySource:
    """What looks and reads like the videos watched or liked last, or like the seed."""

    name = "like_history"

    def __init__(self, searcher: Searcher, kept: KeptVideos) -> None:
        self._searcher, self._kept = searcher, kept
        self._found: LRUCache[object, _Found] = LRUCache(_MOST_LISTS)
        self._lock = threading.Lock()

    def find(self, query: FeedQuery, *, limit: int) -> Sequence[ScoredVideo]:
        """See ``CandidateSource``; the score is that of the fusion."""
        found = self._find(query, query.filter).videos
        left = [one for one in found if one.video_id not in query.exclude]
        if len(left) < limit and len(left) < len(found):
            # The engine takes several times as long where it has to leave videos out.
            left = list(self._find(query, _exclude(query)).videos)
        return left[:limit]

    def explain(self, query: FeedQuery, video_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See ``Explaining``."""
        because: dict[str, Sequence[str]] = {}
        for filter in (_exclude(query), query.filter):
            with self._lock:
                found = self._found.get((*self._choose_seeds(query), filter), _Found())
            because |= {one: found.because[one] for one in video_ids if one in found.because}
        return because

    def _choose_seeds(self, query: FeedQuery) -> tuple[tuple[str, ...], tuple[str, ...]]:
        disliked = [one.video_id for one in reversed(query.person.dislikes) if one.video_id]
        return (
            tuple(list_seeds(query, most=_MOST_LIKED)),
            tuple(dict.fromkeys(disliked))[:_MOST_DISLIKED],
        )

    def _find(self, query: FeedQuery, filter: Filter | None) -> _Found:
        seeds = self._choose_seeds(query)
        key = *seeds, filter
        with self._lock:
            known = self._found.get(key)
        if known is None:
            known = self._recommend(*seeds, filter)
            with self._lock:
                self._found[key] = known
        return known

    def _recommend(
        self, liked: Sequence[str], disliked: Sequence[str], filter: Filter | None
    ) -> _Found:
        here = self._kept.get([*liked, *disliked])
        liked = [one for one in liked if one in here]
        disliked = [one for one in disliked if one in here and one not in liked]
        if not liked:
            return _Found()
        result = self._searcher.recommend(
            RecommendationRequest(
                liked=liked,
                disliked=disliked,
                filter=filter,
                limit=2 * LISTED,
                window=_RANKS_PER_SEED,
            )
        )
        self._kept.keep(StoredVideo(one.video_id, one.payload) for one in result.hits)
        return _Found(
            [ScoredVideo(one.video_id, one.score) for one in result.hits],
            {one.video_id: list(one.because) for one in result.hits},
        )


def open_sources(
    reader: VectorReader, searcher: Searcher, popularity: Popularity | None, kept: KeptVideos
) -> list[CandidateSource]:
    """Return the sources that need no model, over one generation."""
    newest = Listing(reader, kept, PUBLISHED)
    return [
        LikeHistorySource(searcher, kept),
        SameChannelSource(newest, kept),
        PopularSource("popular", popularity, kept, Listing(reader, kept, VIEWS)),
        PopularSource("trending", popularity, kept),
        FreshSource(newest),
    ]


def list_seeds(query: FeedQuery, *, most: int) -> list[str]:
    """Return the videos to find others by: the seed, or what was watched whole or liked last.

    Where nothing was, it is what was opened last.
    """
    if query.seed_video_id is not None:
        return [query.seed_video_id]
    return list(islice(_iterate_liked(query.person), most))


def read_channel(video: StoredVideo) -> str | None:
    """Return the channel of a video, or None where none is known."""
    channel = video.payload.get(CHANNEL)
    return channel if isinstance(channel, str) else None


def is_future(video: StoredVideo, at: datetime) -> bool:
    """Return whether a video is published later than ``at``."""
    published = to_moment(video.payload.get(PUBLISHED))
    return published is not None and published > at


def _iterate_liked(person: Person) -> Iterable[str]:
    unwanted = {one.video_id for one in (*person.dislikes, *person.not_interested)}
    whole = [one for one in person.watches if is_completed(one.watched_s, one.duration_s)]
    # What was only opened says little, and yet more than nothing.
    for kinds in ((whole, person.likes), (person.watches, person.clicks)):
        events = [one for kind in kinds for one in kind]
        events.sort(key=lambda one: (one.at is not None, one.at))
        videos = dict.fromkeys(one.video_id for one in reversed(events) if one.video_id)
        if wanted := [one for one in videos if one not in unwanted]:
            return wanted
    return []


def _exclude(query: FeedQuery) -> Filter | None:
    """Return the filter of a query with what it excludes."""
    if not query.exclude:
        return query.filter
    out = Not(AnyOf("video_id", tuple(sorted(query.exclude))))
    return out if query.filter is None else And((query.filter, out))
