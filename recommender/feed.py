"""The feed over one generation: ask every source, rank, demote, vary, explore."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal, NamedTuple

import numpy as np

from twinlens.catalog.errors import StoreError
from twinlens.catalog.timing import StageTimes
from twinlens.recommender.candidates import (
    Candidate,
    CandidateSource,
    FeedQuery,
    Ranker,
    SourceRank,
)
from twinlens.recommender.mixing import (
    count_shown,
    explore,
    fuse_sources,
    measure_demotion,
    spread_channels,
)
from twinlens.recommender.models import Evaluation
from twinlens.recommender.person import is_completed
from twinlens.recommender.sources import (
    LISTED,
    Explaining,
    FindingAlike,
    FreshSource,
    KeptVideos,
    is_future,
    read_channel,
)
from twinlens.search.diversity import measure_likeness, rerank_by_mmr
from twinlens.search.fusion import MOST_NAMED
from twinlens.search.request import LearnedRankings
from twinlens.search.searcher import Searcher
from twinlens.stores.base import ScoredVideo, StoredVideo
from twinlens.stores.filters import Filter, matches

Watched = Literal["demote", "leave_out"]
# How many of each source are asked for; the model's are many, for the ranker to choose among.
_OF_THE_MODEL: Final = 200
_MOST_RANKED: Final = 300
# A feed ends here: ten pages of 20.
WINDOW: Final = 200
# Likeness needs vectors, and reading one from the engine takes 0.1 ms.
_MOST_VARIED: Final = 60
_RANK_CONSTANT: Final = 60

_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """A video's place in a feed, and how it came to it.

    ``expected_watch_s`` is None without a ranker that predicts seconds; ``shown`` how often the
    video was shown before and not watched; ``chance`` that of the draw by which it is here.
    """

    video_id: str
    score: float
    expected_watch_s: float | None
    sources: Mapping[str, SourceRank]
    because: Sequence[str]
    shown: int
    chance: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeedModel:
    """A trained model, opened over one ``generation``: a source, a ranker, or both.

    ``log`` is what it says of its events; ``evaluation`` what it was judged by, where it was.
    """

    name: str
    trained_at: datetime
    generation: str | None = None
    source: CandidateSource | None = None
    ranker: Ranker | None = None
    log: Mapping[str, int] = field(default_factory=dict)
    evaluation: Evaluation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """What the operator decides: the share of places explored, and what becomes of the watched."""

    explore: float = 0.1
    watched: Watched = "demote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A whole feed, best first. ``is_damaged``: the model failed, and the feed is without it."""

    places: Sequence[Place]
    is_damaged: bool = False


@dataclass(slots=True)
class Feed:
    """Makes feeds over one generation by ``sources`` and, where there is one, by ``model``.

    A model that fails is logged, and not asked again.
    """

    sources: Sequence[CandidateSource]
    kept: KeptVideos
    searcher: Searcher
    model: FeedModel | None = None
    options: FeedOptions = FeedOptions()
    has_failed: bool = field(default=False, init=False)

    def make(
        self,
        query: FeedQuery,
        *,
        page: int,
        diversity: float = 0.0,
        explain: bool = False,
        seed: int = 0,
        stages: StageTimes | None = None,
    ) -> Made:
        """Return the feed for ``query``; pages are to be of ``page`` places.

        The same query and seed over the same generation and events give the same feed.

        Raises:
            StoreError: the engine failed.
        """
        stages = stages or StageTimes()
        query = replace(query, exclude=self._list_banned(query))
        with stages.stage("candidates"):
            found = self._find(query)
            fused = fuse_sources(found, limit=_MOST_RANKED)
            stored = self.kept.get(one.video_id for one in fused)
        here = [
            one
            for one in fused
            if one.video_id in stored and _may_be_shown(stored[one.video_id], query)
        ]
        candidates = [
            Candidate(
                stored[one.video_id],
                {by.key: SourceRank(by.rank, by.score) for by in one.contributions},
            )
            for one in here
        ]
        with stages.stage("rank"):
            scores, seconds = self._rank(query, candidates, [one.score for one in here])
            shown = count_shown(query.person)
            left = measure_demotion(query.person, shown, query.at)
            scores = [
                score * left.get(one.video.video_id, 1.0)
                for one, score in zip(candidates, scores, strict=True)
            ]
            order = sorted(range(len(scores)), key=lambda at: (-scores[at], here[at].video_id))
        with stages.stage("arrange"):
            arranged = self._arrange(
                candidates, order, scores, page=page, diversity=diversity, seed=seed
            )[:WINDOW]
        shown_candidates = [candidates[at] for at, _ in arranged]
        because = self._explain(query, shown_candidates) if explain else {}
        places = [
            Place(
                here[at].video_id,
                scores[at],
                None if seconds is None else seconds[at],
                candidates[at].sources,
                because.get(here[at].video_id, ()),
                len(shown.get(here[at].video_id, ())),
                chance,
            )
            for at, chance in arranged
        ]
        return Made(places=places, is_damaged=self.has_failed)

    def find_like(
        self, seeds: Sequence[str], *, limit: int, filter: Filter | None, exclude: Set[str]
    ) -> LearnedRankings | None:
        """Return what the model finds for each of ``seeds``; None without one that can."""
        model = None if self.has_failed else self.model
        source: object = model and model.source
        if model is None or not isinstance(source, FindingAlike):
            return None
        try:
            found = source.find_like(seeds, limit=limit, filter=filter, exclude=exclude)
        except Exception:  # noqa: BLE001 - see below
            self._give_up()
            return None
        return LearnedRankings(model.name, found)

    def _list_banned(self, query: FeedQuery) -> frozenset[str]:
        person = query.person
        banned = set(query.exclude) | {one.video_id for one in person.not_interested}
        banned.add(query.seed_video_id)
        if self.options.watched == "leave_out":
            banned |= {
                one.video_id
                for one in person.watches
                if is_completed(one.watched_s, one.duration_s)
            }
        return frozenset(one for one in banned if one)

    def _find(self, query: FeedQuery) -> dict[str, Sequence[ScoredVideo]]:
        found = {one.name: one.find(query, limit=LISTED) for one in self.sources}
        if self.model and self.model.source and not self.has_failed:
            try:
                source = self.model.source
                found[source.name] = source.find(query, limit=_OF_THE_MODEL)
            except Exception:  # noqa: BLE001 - whatever is wrong with a model, the feed goes on
                self._give_up()
        return found

    def _rank(
        self, query: FeedQuery, candidates: Sequence[Candidate], fused: Sequence[float]
    ) -> tuple[Sequence[float], Sequence[float] | None]:
        """Return a score above 0 for each candidate, and the expected seconds where known."""
        ranker = self.model.ranker if self.model else None
        if ranker is None or self.has_failed or not candidates:
            return fused, None
        try:
            ranked = np.asarray(ranker.rank(query, candidates), dtype=np.float64)
            if ranked.shape != (len(candidates),) or not np.isfinite(ranked).all():
                raise ValueError(f"the ranker {ranker.name} gave no finite number for each video")
        except Exception:  # noqa: BLE001 - see above
            self._give_up()
            return fused, None
        if ranker.predicts_seconds:
            seconds = np.maximum(ranked, 0.0).tolist()
            return seconds, seconds
        places = np.empty(len(candidates))
        places[np.argsort(-ranked, kind="stable")] = np.arange(len(candidates))
        scores: list[float] = (1 / (_RANK_CONSTANT + 1 + places)).tolist()
        return scores, None

    def _arrange(
        self,
        candidates: Sequence[Candidate],
        order: Sequence[int],
        scores: Sequence[float],
        *,
        page: int,
        diversity: float,
        seed: int,
    ) -> list[tuple[int, float | None]]:
        if diversity > 0:
            order = self._vary(candidates, order, scores, diversity)
        pool = {
            at: 1 / candidates[at].sources[FreshSource.name].rank
            for at in order[page:]
            if FreshSource.name in candidates[at].sources
        }
        draw = random.Random(seed)
        mixed = explore(order, pool, share=self.options.explore, page=page, draw=draw)
        channels = [read_channel(candidates[at].video) for at, _ in mixed]
        return [mixed[one] for one in spread_channels(channels, page=page)]

    def _vary(
        self,
        candidates: Sequence[Candidate],
        order: Sequence[int],
        scores: Sequence[float],
        diversity: float,
    ) -> list[int]:
        head = order[:_MOST_VARIED]
        whole = self.searcher.get_with_vectors([candidates[at].video.video_id for at in head])
        videos = [whole.get(candidates[at].video.video_id, candidates[at].video) for at in head]
        varied = rerank_by_mmr(
            [scores[at] for at in head], measure_likeness(videos), diversity=diversity
        )
        return [*(head[at] for at in varied), *order[_MOST_VARIED:]]

    def _explain(
        self, query: FeedQuery, candidates: Sequence[Candidate]
    ) -> dict[str, Sequence[str]]:
        because: dict[str, list[str]] = {}
        model = [self.model.source] if self.model and self.model.source else []
        for source in [*model, *self.sources]:
            found = [one.video.video_id for one in candidates if source.name in one.sources]
            if not found or not isinstance(source, Explaining):
                continue
            try:
                for video_id, past in source.explain(query, found).items():
                    because.setdefault(video_id, []).extend(past)
            except StoreError:
                raise
            except Exception:  # noqa: BLE001 - see above
                self._give_up()
        return {one: list(dict.fromkeys(past))[:MOST_NAMED] for one, past in because.items()}

    def _give_up(self) -> None:
        self.has_failed = True
        name = self.model.name if self.model else ""
        _log.exception("the model %s failed, and feeds go on without it", name)


def _may_be_shown(video: StoredVideo, query: FeedQuery) -> bool:
    # A model may be open over the generation before, whose videos passed the filter otherwise.
    passes = query.filter is None or matches(query.filter, video.payload)
    return passes and not is_future(video, query.at)
