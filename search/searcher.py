"""Search by text, by a picture, by a video, or by all of these; recommend; search several ways."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import cachetools

from twinlens.catalog.errors import PictureRejected, UnencodableItems
from twinlens.catalog.timing import OutOfTime, StageTimes, TimeBudget
from twinlens.catalog.vectors import AnyVector, SparseVector, Vector, find_direction
from twinlens.encoders.lens import Lenses, Query
from twinlens.search.channels import find_channels
from twinlens.search.cursor import Cursor, decode_cursor
from twinlens.search.diversity import MOST_DIVERSIFIED, measure_likeness, rerank_by_mmr
from twinlens.search.duplicates import group_duplicates
from twinlens.search.facets import Facets, count_facets
from twinlens.search.fusion import (
    DISLIKED_SHARE,
    LensRank,
    Ranking,
    SeedLens,
    count_ranks_per_seed,
    fuse,
    list_best_lens_ranks,
    list_lens_ranks,
    list_searches,
    name_recommenders,
    weigh_rankings,
)
from twinlens.search.request import (
    LEARNED,
    FusionOptions,
    Hit,
    HitsRequest,
    MultiSearchFailed,
    MultiSearchRequest,
    RecommendationRequest,
    SearchRequest,
    SearchResult,
    VideoNotFound,
)
from twinlens.search.whole import WholeVideos
from twinlens.stores.base import FacetCount, ScoredVideo, StoredVideo, VectorQuery, VectorReader
from twinlens.stores.document_frequencies import DocumentFrequencies

# docs/decisions/0003-borrowed-thumbnails.md says why so little.
BORROWED_WEIGHT: Final = 0.1
# Videos kept with their vectors: the next page of an arranged window reads them again.
_MOST_KEPT: Final = 5000


class Searcher:
    """Searches one generation: makes the queries, asks every lens, fuses, cuts the page.

    A sparse lens that looks at pictures finds them in the folder ``thumbnails``. Sparse queries are
    weighed by ``frequencies``, unless the engine does that.
    """

    def __init__(
        self,
        reader: VectorReader,
        *,
        generation: str,
        lenses: Lenses,
        thumbnails: Path | None = None,
        frequencies: DocumentFrequencies | None = None,
    ) -> None:
        self._reader = reader
        self._frequencies = frequencies
        self.whole = WholeVideos(reader, lenses, thumbnails)
        self._generation = generation
        # The dense ones first: in this order a cursor digests the weights.
        self._lenses = dict(sorted(lenses.items(), key=lambda item: item[1].dim is None))
        self._kept: cachetools.LRUCache[str, StoredVideo] = cachetools.LRUCache(_MOST_KEPT)
        self._keeping = threading.Lock()

    def search(self, request: SearchRequest, stages: StageTimes | None = None) -> SearchResult:
        """Return the page of hits that ``request`` asks for, the best first.

        The same request over the same generation gives the same window, whatever the page. Times
        are added to ``stages``, even if the search fails.

        Raises:
            ValueError: nothing to search by.
            PictureRejected: the picture can't be read, or is too large.
            UnencodableItems: the query has no vector, so nothing can be compared with it.
            VideoNotFound: ``video_id`` is not in the index.
            CursorInvalid: the cursor is damaged, or belongs to another request.
            CursorExpired: the cursor belongs to another generation.
            StoreError: the engine failed.
        """
        if request.text is None and request.picture is None and request.video_id is None:
            raise ValueError("nothing to search by: give text, a picture or a video_id")
        request = request.weigh(self._lenses)
        start = self._find_start(request)
        stages = stages or StageTimes()
        seed, vectors = self._make_query_vectors(request, stages)
        window = self._find(request, vectors, _count_needed(request, start), stages)
        seeds = [] if seed is None else [seed]
        return self._cut_page(request, window, start, seeds, stages)

    def recommend(
        self, request: RecommendationRequest, stages: StageTimes | None = None
    ) -> SearchResult:
        """Return the page of hits that are most like what was liked, and least like what was not.

        Every liked video is a query of its own, so that each of several tastes is met. The ranking
        of a disliked video takes away ``DISLIKED_SHARE`` of what a liked one's would give.
        ``stages`` are as in ``search``.

        Raises:
            ValueError: nothing is liked, or a video both liked and disliked.
            VideoNotFound: a video that is named is not in the index.
            CursorInvalid: the cursor is damaged, or belongs to another request.
            CursorExpired: the cursor belongs to another generation.
            StoreError: the engine failed.
        """
        liked, disliked = set(request.liked), set(request.disliked)
        if not liked:
            raise ValueError("nothing to go by: give at least one liked video")
        if liked & disliked:
            raise ValueError(f"{min(liked & disliked)!r} is both liked and disliked")
        request = request.weigh(self._lenses)
        start = self._find_start(request)
        stages = stages or StageTimes()
        with stages.stage("fetch"):
            # In a fixed order, so that no sum depends on how the seeds were listed.
            named = sorted(liked | disliked)
            seeds = self.whole.get(named)
        missing = {
            f"{field}.{at}": video_id
            for field, given in (("liked", request.liked), ("disliked", request.disliked))
            for at, video_id in enumerate(given)
            if video_id not in seeds
        }
        if missing:
            raise VideoNotFound(missing)
        with stages.stage("search"):
            rankings = self._rank_by_seeds(request, [seeds[one] for one in named], liked)
        with stages.stage("fuse"):
            fused = fuse(rankings, limit=_count_needed(request, start), k=request.rrf_k)
            candidates = [
                _Candidate(
                    one.video_id,
                    one.score,
                    list_best_lens_ranks(one),
                    because=name_recommenders(one),
                )
                for one in fused
            ]
        return self._cut_page(request, _Window(candidates), start, list(seeds.values()), stages)

    def multi_search(
        self,
        request: MultiSearchRequest,
        stages: StageTimes | None = None,
        *,
        budget: TimeBudget | None = None,
    ) -> SearchResult:
        """Return the page of hits of several searches, fused; each must begin within ``budget``.

        ``stages`` are as in ``search``.

        Raises:
            ValueError: no search, or not a share for each.
            MultiSearchFailed: a search has a picture that can't be read, nothing that can be
                encoded, or a video that is not in the index; or there is no time left for it.
            CursorInvalid: the cursor is damaged, or belongs to another request.
            CursorExpired: the cursor belongs to another generation.
            StoreError: the engine failed.
        """
        if not request.searches or len(request.searches) != len(request.shares):
            raise ValueError("give at least one search, and a share for each")
        request = request.weigh(self._lenses)
        start = self._find_start(request)
        stages = stages or StageTimes()
        found: list[Sequence[_Candidate]] = []
        seeds: dict[str, StoredVideo] = {}
        for number, search in enumerate(request.searches):
            try:
                if budget is not None:
                    budget.check()
                seed, vectors = self._make_query_vectors(search, stages)
            except (OutOfTime, PictureRejected, UnencodableItems, VideoNotFound) as error:
                raise MultiSearchFailed(number) from error
            if seed is not None:
                seeds[seed.video_id] = seed
            found.append(self._find(search, vectors, search.most_hits, stages).candidates)
        with stages.stage("fuse"):
            candidates = _fuse_searches(
                found, request.shares, limit=_count_needed(request, start), k=request.rrf_k
            )
        return self._cut_page(request, _Window(candidates), start, list(seeds.values()), stages)

    def _rank_by_seeds(
        self, request: RecommendationRequest, seeds: Sequence[StoredVideo], liked: set[str]
    ) -> list[Ranking[SeedLens]]:
        """Return a ranking, without the seeds, for each vector of each seed, asked in one call."""
        asking = [
            (seed.video_id, name, vector)
            for seed in seeds
            for name, vector in self._ask(Query(video=seed), request.weights).items()
        ]
        ranks = count_ranks_per_seed(len(seeds), window=request.window)
        # Ask for more, so that enough remain without the seeds; many seeds seldom find each other.
        asked = ranks + min(ranks, len(seeds))
        queries = [self._make_query(name, vector, asked) for _, name, vector in asking]
        answers = self._reader.search(queries, filter=request.filter) if queries else []
        left_out = {seed.video_id for seed in seeds}
        others = [
            [one for one in answer if one.video_id not in left_out][:ranks] for answer in answers
        ]
        shares = self.whole.measure_coverage(
            (name, vector, ranking)
            for (_, name, vector), ranking in zip(asking, others, strict=True)
        )
        weighed: list[tuple[SeedLens, Sequence[ScoredVideo], float]] = [
            (SeedLens(video_id, name), ranking, request.weights[name] * share)
            for (video_id, name, _), ranking, share in zip(asking, others, shares, strict=True)
        ]
        if request.learned is not None:
            weighed += [
                (SeedLens(seed, LEARNED), ranking[:ranks], request.learned_weight)
                for seed, ranking in request.learned.by_seed.items()
            ]
        return [
            Ranking(
                key=key,
                videos=ranking,
                weight=weight * (1.0 if key.seed in liked else DISLIKED_SHARE),
                takes_away=key.seed not in liked,
            )
            for key, ranking, weight in weighed
        ]

    def _ask(self, query: Query, weights: Mapping[str, float]) -> dict[str, AnyVector]:
        """Return the vector of each lens that has a weight and can be asked ``query``."""
        asked = {name: lens.ask(query) for name, lens in self._lenses.items() if weights[name] > 0}
        return {name: vector for name, vector in asked.items() if vector is not None}

    def _find_start(self, request: HitsRequest) -> int:
        """Return how many hits lie before the page that is asked for."""
        if request.cursor is None:
            return 0
        return decode_cursor(
            request.cursor,
            generation=self._name_version(request),
            request=request.digest(),
            most=request.most_hits,
        ).offset

    def _name_version(self, request: HitsRequest) -> str:
        """Return what a page has to have in common with the one before it."""
        model = request.learned
        return self._generation if model is None else f"{self._generation} {model.version}"

    def _cut_page(
        self,
        request: HitsRequest,
        window: _Window,
        start: int,
        seeds: Sequence[StoredVideo],
        stages: StageTimes,
    ) -> SearchResult:
        """Return the hits from ``start`` on, with what is stored of them."""
        end = start + request.limit
        arranged = window.candidates
        stored: Mapping[str, StoredVideo] = {}
        if request.rearranges:
            with stages.stage("arrange"):
                arranged, stored = self._rearrange(request, arranged, seeds)
        page = arranged[start:end]
        # Facets count all hits, so all must be fetched.
        shown = arranged if request.facets else page
        if shown and not stored:
            with stages.stage("fetch"):
                stored = self._reader.get([one.video_id for one in shown])
        facets: Facets = {}
        if request.facets:
            with stages.stage("facets"):
                found = [stored[one.video_id] for one in shown if one.video_id in stored]
                facets = count_facets(found, request.facets, self._reader.fields)
        hits = [
            Hit(
                video_id=one.video_id,
                payload=stored[one.video_id].payload,
                score=one.score,
                rank=rank,
                sources=one.sources,
                because=one.because,
                duplicates=one.duplicates,
                found_by=one.found_by,
            )
            for rank, one in enumerate(page, start=start + 1)
            if one.video_id in stored
        ]
        channels: list[FacetCount] = []
        if isinstance(request, SearchRequest) and start == 0:
            channels = find_channels(request.text, (hit.payload for hit in hits), self._reader)
        next_cursor = None
        if len(arranged) > end:
            next_cursor = Cursor(self._name_version(request), request.digest(), end).encode()
        return SearchResult(
            hits=hits,
            next_cursor=next_cursor,
            window=request.window,
            borrowed_from=window.borrowed_from,
            coverage=window.coverage,
            facets=facets,
            channels=channels,
            timings_ms=stages.to_milliseconds(),
            model=request.learned.version if request.learned else None,
        )

    def _rearrange(
        self, request: HitsRequest, candidates: Sequence[_Candidate], seeds: Sequence[StoredVideo]
    ) -> tuple[list[_Candidate], Mapping[str, StoredVideo]]:
        """Return the whole window, duplicates folded and diversified as asked, and its videos."""
        stored = self.get_with_vectors([one.video_id for one in candidates])
        arranged = [one for one in candidates if one.video_id in stored]
        if request.collapse_duplicates:
            before = len(seeds)
            groups = group_duplicates([*seeds, *(stored[one.video_id] for one in arranged)])
            # A duplicate of a seed is left out, as the seed itself is.
            arranged = [
                replace(
                    arranged[first - before],
                    duplicates=[arranged[one - before].video_id for one in others],
                )
                for first, *others in groups
                if first >= before
            ]
        if request.diversity > 0:
            head = arranged[:MOST_DIVERSIFIED]
            order = rerank_by_mmr(
                [one.score for one in head],
                measure_likeness([stored[one.video_id] for one in head]),
                diversity=request.diversity,
            )
            arranged = [*(head[at] for at in order), *arranged[MOST_DIVERSIFIED:]]
        return arranged, stored

    def get_with_vectors(self, video_ids: Sequence[str]) -> dict[str, StoredVideo]:
        """Return those of the videos that are stored, with their vectors."""
        with self._keeping:
            found = {one: self._kept[one] for one in video_ids if one in self._kept}
        if missing := [one for one in video_ids if one not in found]:
            read = self._reader.get(missing, with_vectors=True)
            with self._keeping:
                self._kept.update(read)
            found |= read
        return found

    def _make_query_vectors(
        self, request: SearchRequest, stages: StageTimes
    ) -> tuple[StoredVideo | None, dict[str, AnyVector]]:
        """Return the seed video, if any, and the query vector of each lens that can be asked."""
        video = None
        if request.video_id is not None:
            with stages.stage("fetch"):
                found = self.whole.get([request.video_id])
            video = found.get(request.video_id)
        query = Query(text=request.text, picture=request.picture, video=video)
        with stages.stage("encode"):
            # Lenses of weight 0 are asked, too: their hits may lend their thumbnails.
            vectors = self._ask(query, dict.fromkeys(self._lenses, 1.0))
        if request.video_id is not None and video is None:
            raise VideoNotFound({"video_id": request.video_id})
        return video, vectors

    def _find(
        self,
        request: SearchRequest,
        vectors: Mapping[str, AnyVector],
        limit: int,
        stages: StageTimes,
    ) -> _Window:
        """Return the first ``limit`` of the window."""
        weights = dict(request.weights)
        borrowing = self._list_borrowing(request, vectors)
        # A lens of weight 0 need not be searched, unless its hits lend their vectors.
        asked = {name: vector for name, vector in vectors.items() if weights[name] > 0 or borrowing}
        lent: dict[str, dict[str, Vector]] = {}
        with stages.stage("search"):
            rankings = self._rank(request, asked)
            sparse = [name for name, vector in asked.items() if isinstance(vector, SparseVector)]
            shares = self.whole.measure_coverage(
                (name, asked[name], rankings[name]) for name in sparse
            )
            coverage = dict(zip(sparse, shares, strict=True))
            for name, share in coverage.items():
                weights[name] *= share
            if borrowing:
                lent = self._lend(borrowing, _find_lenders(rankings, weights, request))
            if lent:
                stand_ins = {name: find_direction(list(of.values())) for name, of in lent.items()}
                rankings |= self._rank(request, stand_ins)
                for name in lent:
                    weights[name] *= BORROWED_WEIGHT
        if request.learned is not None and request.video_id is not None:
            rankings[LEARNED] = request.learned.by_seed[request.video_id][: request.window]
            weights[LEARNED] = request.learned_weight
        with stages.stage("fuse"):
            fused = fuse(weigh_rankings(rankings, weights), limit=limit, k=request.rrf_k)
            candidates = [
                _Candidate(one.video_id, one.score, list_lens_ranks(one)) for one in fused
            ]
        lenders = [video_id for of in lent.values() for video_id in of]
        return _Window(candidates, list(dict.fromkeys(lenders)), coverage)

    def _list_borrowing(
        self, request: SearchRequest, vectors: Mapping[str, AnyVector]
    ) -> list[str]:
        """Return the dense lenses that can't be asked the text, and so borrow vectors of hits."""
        if request.text is None or request.expand == 0:
            return []
        return [
            name
            for name, lens in self._lenses.items()
            if lens.dim is not None and request.weights[name] > 0 and name not in vectors
        ]

    def _rank(
        self, request: SearchRequest, vectors: Mapping[str, AnyVector]
    ) -> dict[str, Sequence[ScoredVideo]]:
        """Return a ranking of at most ``window`` videos per vector, all asked in one call."""
        if not vectors:
            return {}
        # One more, so that the window stays full without the seed.
        ranks = request.window + (request.video_id is not None)
        queries = [self._make_query(name, vector, ranks) for name, vector in vectors.items()]
        answers = self._reader.search(queries, filter=request.filter)
        if request.video_id is None:
            return dict(zip(vectors, answers, strict=True))
        return {
            name: [one for one in ranking if one.video_id != request.video_id][: request.window]
            for name, ranking in zip(vectors, answers, strict=True)
        }

    def _make_query(self, lens: str, vector: AnyVector, ranks: int) -> VectorQuery:
        if self._frequencies is not None and isinstance(vector, SparseVector):
            vector = self._frequencies.weigh(lens, vector)
        return VectorQuery(lens, vector, ranks)

    def _lend(
        self, lenses: Sequence[str], video_ids: Sequence[str]
    ) -> dict[str, dict[str, Vector]]:
        """Return, for each lens, the vectors of those ``video_ids`` that have one, in order."""
        stored = self._reader.get(video_ids, with_vectors=True) if video_ids else {}
        lent = {
            name: {
                video_id: stored[video_id].vectors[name]
                for video_id in video_ids
                if video_id in stored and name in stored[video_id].vectors
            }
            for name in lenses
        }
        return {name: of for name, of in lent.items() if of}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A video of the window; its fields are those of the ``Hit`` that it may become."""

    video_id: str
    score: float
    sources: Mapping[str, LensRank]
    because: Sequence[str] = ()
    duplicates: Sequence[str] = ()
    found_by: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class _Window:
    """The best hits, from which pages are cut, and how they were found."""

    candidates: list[_Candidate]
    borrowed_from: Sequence[str] = ()
    coverage: Mapping[str, float] = field(default_factory=dict)


def _fuse_searches(
    found: Sequence[Sequence[_Candidate]], shares: Sequence[float], *, limit: int, k: float
) -> list[_Candidate]:
    """Return the best of all searches, each with ``sources`` of the search that ranks it best."""
    rankings = [
        Ranking(
            key=search, videos=[ScoredVideo(one.video_id, one.score) for one in ones], weight=share
        )
        for search, (ones, share) in enumerate(zip(found, shares, strict=True))
    ]
    candidates = []
    for one in fuse(rankings, limit=limit, k=k):
        found_by = list_searches(one)
        search, rank = found_by[0]
        sources = found[search][rank - 1].sources
        candidates.append(_Candidate(one.video_id, one.score, sources, found_by=found_by))
    return candidates


def _count_needed(request: FusionOptions, start: int) -> int:
    """Return how many hits must be fused to cut the page that begins at ``start``."""
    if request.rearranges or request.facets:
        return request.most_hits
    # One more than the page holds, to learn whether there is a next page.
    return min(start + request.limit + 1, request.most_hits)


def _find_lenders(
    rankings: Mapping[str, Sequence[ScoredVideo]],
    weights: Mapping[str, float],
    request: SearchRequest,
) -> list[str]:
    """Return the best ``expand`` videos by the rankings of the text, whose weights may all be 0."""
    weighed = weights if any(weights[name] for name in rankings) else None
    fused = fuse(weigh_rankings(rankings, weighed), limit=request.expand, k=request.rrf_k)
    return [one.video_id for one in fused]
