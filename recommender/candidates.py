"""The two seams of the feed: what finds candidates, and what ranks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from twinlens.catalog.vectors import Vector
from twinlens.recommender.person import Context, Person
from twinlens.stores.base import ScoredVideo, StoredVideo
from twinlens.stores.filters import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedQuery:
    """Who asks for a feed, when, and for what.

    ``seed_video_id`` is the video beside which the feed is shown; None on a home page. ``surface``
    is what its page calls itself. Videos of ``exclude``, and those that fail ``filter``, are not in
    it.
    """

    person: Person
    at: datetime
    context: Context = field(default_factory=Context)
    seed_video_id: str | None = None
    surface: str | None = None
    filter: Filter | None = None
    exclude: Set[str] = frozenset()


class SourceRank(NamedTuple):
    """Where a source put a video, from 1, and the source's own score of it."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A video that sources found, and where each that did has put it."""

    video: StoredVideo
    sources: Mapping[str, SourceRank] = field(default_factory=dict)


class CandidateSource(Protocol):
    """Finds videos that a person may want. One that can't for this person finds none."""

    @property
    def name(self) -> str:
        """Its name in answers, metrics and the ranker's features: a plain name."""
        ...

    def find(self, query: FeedQuery, *, limit: int) -> Sequence[ScoredVideo]:
        """Return at most ``limit`` videos that pass ``filter`` and ``exclude``, best first.

        Scores fall; they are the source's own and can't be compared with another's.
        """
        ...


class Ranker(Protocol):
    """Puts candidates of all sources in one order."""

    @property
    def name(self) -> str:
        """What answers call it."""
        ...

    def rank(self, query: FeedQuery, candidates: Sequence[Candidate]) -> Vector:
        """Return the seconds that the person is expected to watch of each, as shape (n,).

        A ranker that predicts no seconds returns scores by which the candidates are ordered, and
        has no ``predicts_seconds``.
        """
        ...

    @property
    def predicts_seconds(self) -> bool:
        """Whether what ``rank`` returns are seconds."""
        ...
