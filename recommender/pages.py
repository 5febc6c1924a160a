"""Feeds of people: what is known of them, frozen pages, and what was shown, in the event log."""

from __future__ import annotations

import json
import logging
import secrets
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal, Protocol

from cachetools import LRUCache

from twinlens.catalog.errors import StoreError, TwinLensError
from twinlens.catalog.timing import StageTimes
from twinlens.events.event import Event, EventType
from twinlens.events.log import EventLog, FrozenFeed
from twinlens.recommender.candidates import FeedQuery, SourceRank
from twinlens.recommender.feed import Feed, FeedModel, FeedOptions, Made, Place
from twinlens.recommender.person import MOST_KNOWN, Context, Person
from twinlens.recommender.popularity import Popularity
from twinlens.recommender.sources import KeptVideos, open_sources
from twinlens.search.cursor import (
    CursorExpired,
    CursorInvalid,
    decode_place,
    digest_request,
    encode_place,
)
from twinlens.search.published import Snapshot
from twinlens.search.request import LearnedRankings, VideoNotFound
from twinlens.stores.base import StoredVideo
from twinlens.stores.filters import Filter

Surface = Literal["home", "related"]
FROZEN_FOR: Final = timedelta(minutes=30)
# A cursor outlives the generation: what is no longer there is left out.
_ANY_GENERATION: Final = "feed"

_log = logging.getLogger(__name__)


class Fallback(StrEnum):
    """What a feed had to do without, the gravest first; the values are stable."""

    LOG_UNAVAILABLE = "log_unavailable"
    DAMAGED_MODEL = "damaged_model"
    NO_MODEL = "no_model"
    NO_EVENTS = "no_events"
    UNKNOWN_PERSON = "unknown_person"
    NO_HISTORY = "no_history"


class OpenModel(Protocol):
    """Opens the published model over a generation."""

    def __call__(self, snapshot: Snapshot) -> FeedModel | None:
        """Return it, or None where none is published; what was opened before comes from memory.

        Raises:
            TwinLensError: there is one, and none that can be used.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRequest:
    """A feed, or a later page of one.

    Of ``person_id`` and ``events`` one is given: a person of the log, or all that a site tells of
    somebody, of whom nothing is kept, so that there are no cursors.
    """

    person_id: str | None = None
    events: Sequence[Event] = ()
    context: Context = field(default_factory=Context)
    surface: Surface = "home"
    seed_video_id: str | None = None
    filter: Filter | None = None
    exclude: Sequence[str] = ()
    limit: int = 20
    cursor: str | None = None
    diversity: float = 0.0
    explain: bool = False
    log_impressions: bool = True

    def digest(self) -> str:
        """Return a digest of all that decides which videos come."""
        return digest_request(
            "feed", self.person_id, self.context, self.surface, self.seed_video_id, self.filter,
            sorted(set(self.exclude)), float(self.diversity), self.explain,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeedHit:
    """A place of a feed with its video; ``rank`` counts from 1 over all pages."""

    video: StoredVideo
    rank: int
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """One page of a feed, by the ``model`` of this name; ``fallback`` is what it was without."""

    feed_id: str
    hits: Sequence[FeedHit]
    next_cursor: str | None
    model: str | None
    fallback: Sequence[Fallback]


@dataclass(frozen=True, slots=True)
class _Window:
    """A whole feed, as it is frozen."""

    places: Sequence[Place]
    model: str | None = None
    fallback: Sequence[Fallback] = ()

    def to_json(self, *, explain: bool) -> str:
        """Return it as JSON text; what is not to be explained takes a fifth of the room."""
        places = [one if explain else one._replace(sources={}, because=()) for one in self.places]
        return json.dumps([places, self.model, self.fallback], ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> _Window:
        places, model, fallback = json.loads(text)
        return cls(
            [_read_place(*one) for one in places], model, [Fallback(one) for one in fallback]
        )


class Feeds:
    """Makes feeds over whatever generation is published, for people whose events are in ``log``.

    Without a log there are feeds all the same, by what is fresh and has most views.
    """

    def __init__(
        self,
        *,
        log: EventLog | None = None,
        popularity: Popularity | None = None,
        open_model: OpenModel = lambda _: None,
        options: FeedOptions = FeedOptions(),  # noqa: B008 - frozen
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        draw_seed: Callable[[], int] = lambda: secrets.randbits(63),
    ) -> None:
        self._log, self._popularity = log, popularity
        self._open_model, self._options = open_model, options
        self.read_now, self._draw_seed = now, draw_seed
        # That of a generation and model, and of the one before it while requests end on it.
        self._opened: LRUCache[object, Feed] = LRUCache(2)
        self._opening = threading.Lock()

    def answer(
        self, snapshot: Snapshot, request: FeedRequest, stages: StageTimes | None = None
    ) -> FeedPage:
        """Return the page that ``request`` asks for, and log what it shows.

        Raises:
            VideoNotFound: the seed is not in the index.
            CursorInvalid: the cursor is damaged, or belongs to another request or person.
            CursorExpired: the feed is no longer kept.
            StoreError: the engine failed; or the log, and it has the feed of which this is a page.
        """
        stages = stages or StageTimes()
        if request.cursor is not None:
            return self._continue(snapshot, request, request.cursor, stages)
        at = self.read_now()
        lacking: set[Fallback] = set()
        feed = self._open(snapshot, lacking)
        if request.seed_video_id and not feed.kept.get([request.seed_video_id]):
            raise VideoNotFound({"seed_video_id": request.seed_video_id})
        with stages.stage("person"):
            person = self._read_person(request, lacking)
        query = FeedQuery(
            person=person,
            at=at,
            context=request.context,
            seed_video_id=request.seed_video_id,
            surface=request.surface,
            filter=request.filter,
            exclude=frozenset(request.exclude),
        )
        made = feed.make(
            query,
            page=request.limit,
            diversity=request.diversity,
            explain=request.explain,
            seed=self._draw_seed(),
            stages=stages,
        )
        window = self._note(made, feed, lacking)
        feed_id = uuid.uuid4().hex
        with stages.stage("log"):
            is_kept = self._freeze(feed_id, request, window, at, lacking)
        return self._cut(
            feed, request, feed_id, window, 0, frozenset(), is_kept=is_kept, stages=stages
        )

    def find_like(
        self,
        snapshot: Snapshot,
        seeds: Sequence[str],
        *,
        limit: int,
        filter: Filter | None = None,
        exclude: Set[str] = frozenset(),
    ) -> LearnedRankings | None:
        """Return what the model finds for each of ``seeds``; None without one that can."""
        feed, _ = self._open_model_over(snapshot)
        if feed is None:
            return None
        return feed.find_like(seeds, limit=limit, filter=filter, exclude=exclude)

    def find_model(self, snapshot: Snapshot) -> tuple[FeedModel | None, bool]:
        """Return the model that takes part in answers over ``snapshot``, and whether it is damaged.

        None takes part until it has been opened over this generation.
        """
        feed, is_damaged = self._open_model_over(snapshot)
        return None if feed is None else feed.model, is_damaged

    def _open_model_over(self, snapshot: Snapshot) -> tuple[Feed | None, bool]:
        lacking: set[Fallback] = set()
        feed = self._open(snapshot, lacking)
        if feed.has_failed or Fallback.DAMAGED_MODEL in lacking:
            return None, True
        is_there = feed.model and feed.model.generation in (None, snapshot.generation)
        return feed if is_there else None, False

    def _continue(
        self, snapshot: Snapshot, request: FeedRequest, cursor: str, stages: StageTimes
    ) -> FeedPage:
        place = decode_place(cursor, generation=_ANY_GENERATION, request=request.digest())
        match place:
            case [str(feed_id), int(start)] if start > 0 and self._log and request.person_id:
                pass
            case _:
                raise CursorInvalid("the cursor is damaged")
        with stages.stage("person"):
            frozen = self._log.read_frozen(feed_id)
            if frozen is None or frozen.person_id != request.person_id:
                raise CursorExpired("the feed's time has passed; ask for the first page again")
            # What was refused since the first page is in no later one.
            kinds = EventType.NOT_INTERESTED, EventType.UNDO
            events = self._log.read_person(
                request.person_id, limits={kind: MOST_KNOWN[kind] for kind in kinds}
            )
        refused = Person.from_events(events).not_interested
        return self._cut(
            self._open(snapshot, set()),
            request,
            feed_id,
            _Window.from_json(frozen.window),
            start,
            frozenset(one.video_id for one in refused if one.video_id),
            is_kept=True,
            stages=stages,
        )

    def _cut(
        self,
        feed: Feed,
        request: FeedRequest,
        feed_id: str,
        window: _Window,
        start: int,
        refused: frozenset[str],
        *,
        is_kept: bool,
        stages: StageTimes,
    ) -> FeedPage:
        """Return the page from ``start`` on, filled up where videos have gone, and log it."""
        hits: list[FeedHit] = []
        end = start
        with stages.stage("fetch"):
            while end < len(window.places) and len(hits) < request.limit:
                part = window.places[end : end + request.limit - len(hits)]
                stored = feed.kept.get(one.video_id for one in part)
                hits += [
                    FeedHit(stored[one.video_id], rank, one)
                    for rank, one in enumerate(part, start=end + 1)
                    if one.video_id in stored and one.video_id not in refused
                ]
                end += len(part)
        lacking = set(window.fallback)
        if is_kept and request.log_impressions:
            with stages.stage("log"):
                self._log_impressions(feed_id, request, hits, lacking)
        next_cursor = None
        if is_kept and end < len(window.places):
            next_cursor = encode_place(
                [feed_id, end], generation=_ANY_GENERATION, request=request.digest()
            )
        return FeedPage(
            feed_id=feed_id,
            hits=hits,
            next_cursor=next_cursor,
            model=window.model,
            fallback=[one for one in Fallback if one in lacking],
        )

    def _open(self, snapshot: Snapshot, lacking: set[Fallback]) -> Feed:
        model = None
        try:
            model = self._open_model(snapshot)
            if model is None:
                lacking.add(Fallback.NO_MODEL)
        except TwinLensError:
            lacking.add(Fallback.DAMAGED_MODEL)
        key = snapshot.generation, model
        with self._opening:
            if key not in self._opened:
                kept = KeptVideos(snapshot.reader)
                self._opened[key] = Feed(
                    open_sources(snapshot.reader, snapshot.searcher, self._popularity, kept),
                    kept,
                    snapshot.searcher,
                    model,
                    self._options,
                )
            return self._opened[key]

    def _read_person(self, request: FeedRequest, lacking: set[Fallback]) -> Person:
        if self._popularity is not None and not self._popularity.is_followed:
            with suppress(StoreError):  # what was counted before serves
                self._popularity.refresh()
        if self._popularity is None or self._popularity.is_empty:
            lacking.add(Fallback.NO_EVENTS)
        events = list(request.events)
        if request.person_id is not None and self._log is not None:
            try:
                events = self._log.read_person(request.person_id, limits=MOST_KNOWN)
            except StoreError as error:
                self._lack_log(lacking, error)
            else:
                if not events:
                    lacking.add(Fallback.UNKNOWN_PERSON)
        person = Person.from_events(events, request.person_id)
        if not person.has_history:
            lacking.add(Fallback.NO_HISTORY)
        return person

    def _note(self, made: Made, feed: Feed, lacking: set[Fallback]) -> _Window:
        if made.is_damaged:
            lacking.add(Fallback.DAMAGED_MODEL)
        model = None if feed.model is None or made.is_damaged else feed.model.name
        return _Window(made.places, model, [one for one in Fallback if one in lacking])

    def _freeze(
        self,
        feed_id: str,
        request: FeedRequest,
        window: _Window,
        at: datetime,
        lacking: set[Fallback],
    ) -> bool:
        """Keep a feed for its later pages; return whether anything of this person is kept."""
        if request.person_id is None or self._log is None:
            return False
        if Fallback.LOG_UNAVAILABLE in lacking:
            return False
        if len(window.places) <= request.limit:
            return True
        try:
            self._log.freeze(
                FrozenFeed(
                    feed_id,
                    request.person_id,
                    window.to_json(explain=request.explain),
                    at + FROZEN_FOR,
                )
            )
        except StoreError as error:
            self._lack_log(lacking, error)
            return False
        return True

    def _log_impressions(
        self, feed_id: str, request: FeedRequest, hits: Sequence[FeedHit], lacking: set[Fallback]
    ) -> None:
        at = self.read_now()
        events = [
            Event(
                type=EventType.IMPRESSION,
                event_id=f"{feed_id}-{one.rank}",
                person_id=request.person_id or "",
                at=at,
                video_id=one.video.video_id,
                feed_id=feed_id,
                position=one.rank,
                seen=False,
                chance=one.place.chance,
                surface=request.surface,
                region=request.context.region,
                device=request.context.device,
                language=request.context.language,
            )
            for one in hits
        ]
        try:
            if events and self._log is not None:
                self._log.append(events)
        except StoreError as error:
            self._lack_log(lacking, error)

    def _lack_log(self, lacking: set[Fallback], error: StoreError) -> None:
        lacking.add(Fallback.LOG_UNAVAILABLE)
        _log.warning("a feed is without the event log: %s", error)


def _read_place(
    video_id: str,
    score: float,
    seconds: float | None,
    sources: Mapping[str, Sequence[Any]],
    because: Sequence[str],
    shown: int,
    chance: float | None,
) -> Place:
    ranks = {name: SourceRank(*one) for name, one in sources.items()}
    return Place(video_id, score, seconds, ranks, because, shown, chance)
