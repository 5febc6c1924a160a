"""Search by text, by a picture, by a video, or by all of these; recommend; search several ways."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import cachetools
import numpy as np

from twinlens.catalog.errors import PictureRejected, UnencodableItems
from twinlens.catalog.timing import OutOfTime, StageTimes, TimeBudget
from twinlens.catalog.vectors import AnyVector, SparseVector, Vector, find_direction
from twinlens.encoders.lens import Lenses, Query
from twinlens.encoders.lenses import TITLE, WORDS
from twinlens.search.binding import Bound, TextBinder
from twinlens.search.channels import find_channels
from twinlens.search.cursor import Cursor, decode_cursor
from twinlens.search.diversity import MOST_DIVERSIFIED, measure_likeness, rerank_by_mmr
from twinlens.search.duplicates import group_duplicates
from twinlens.search.facets import Facet, Facets, count_facets, leave_out
from twinlens.search.fusion import (
    DISLIKED_SHARE,
    LensRank,
    Ranking,
    SeedLens,
    count_ranks_per_seed,
    fuse,
    fuse_and_count,
    list_best_lens_ranks,
    list_lens_ranks,
    list_searches,
    merge_by_best,
    name_recommenders,
    weigh_rankings,
)
from twinlens.search.matching import Calibration, Fit, TextMatcher
from twinlens.search.request import (
    LEARNED,
    MOST_COUNTED,
    FusionOptions,
    Hit,
    HitsRequest,
    MultiSearchFailed,
    MultiSearchRequest,
    RecommendationRequest,
    SearchRequest,
    SearchResult,
    Total,
    VideoNotFound,
)
from twinlens.search.steering import Gain, cap_channels, measure_gains, sort_by_field
from twinlens.search.whole import WholeVideos
from twinlens.stores.base import FacetCount, ScoredVideo, StoredVideo, VectorQuery, VectorReader
from twinlens.stores.document_frequencies import DocumentFrequencies
from twinlens.stores.filters import matches

# docs/decisions/0003-borrowed-thumbnails.md says why so little.
BORROWED_WEIGHT: Final = 0.1
# So many hits that don't fit a text, one after the other, are the end of those that do.
_MISFITS: Final = 64
# Videos kept with their vectors: the next page of an arranged window reads them again.
_MOST_KEPT: Final = 5000


class Searcher:
    """Searches one generation: makes the queries, asks every lens, fuses, cuts the page.

    A sparse lens that looks at pictures finds them in the folder ``thumbnails``. To ``made_at``
    videos have the age that boosts go by; None: to the latest of a window. Sparse queries are
    weighed by ``frequencies``, unless the engine does that. By ``calibration`` hits of a text say
    how well they fit it; None: they don't.
    """

    def __init__(
        self,
        reader: VectorReader,
        *,
        generation: str,
        lenses: Lenses,
        thumbnails: Path | None = None,
        made_at: datetime | None = None,
        frequencies: DocumentFrequencies | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self._reader = reader
        self._made_at, self.calibration = made_at, calibration
        self._frequencies = frequencies
        self._binder = TextBinder(reader, lenses)
        self.whole = WholeVideos(reader, lenses, thumbnails)
        self._generation = generation
        # The dense ones first: in this order a cursor digests the weights.
        self._lenses = dict(sorted(lenses.items(), key=lambda item: item[1].dim is None))
        self._kept: cachetools.LRUCache[str, StoredVideo] = cachetools.LRUCache(_MOST_KEPT)
        self._payloads: cachetools.LRUCache[str, StoredVideo] = cachetools.LRUCache(_MOST_KEPT)
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
        page = self._cut_page(request, window, start, seeds, stages)
        if not request.disjunctive_facets:
            return page
        wider: dict[str, Facet] = {}
        for name in request.facets:
            # Of the page that comes with the facet nothing is wanted.
            asked = replace(request, filter=leave_out(request.filter, name), facets=[name], limit=1)
            if asked.filter != request.filter:
                others = self._find(asked, vectors, asked.most_hits, stages)
                wider |= self._cut_page(asked, others, 0, seeds, stages).facets
        timings_ms = stages.to_milliseconds()
        return replace(page, facets={**page.facets, **wider}, timings_ms=timings_ms)

    def recommend(
        self, request: RecommendationRequest, stages: StageTimes | None = None
    ) -> SearchResult:
        """Return the page of hits that are most like what was liked, and least like what was not.

        Every liked video is a query of its own, so that each of several tastes is met. Videos that
        are not in the index are left out, and named in the result's ``missing``. The ranking
        of a disliked video takes away ``DISLIKED_SHARE`` of what a liked one's would give.
        ``stages`` are as in ``search``.

        Raises:
            ValueError: nothing is liked, or a video both liked and disliked.
            VideoNotFound: no video that is liked is in the index.
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
        if not liked & seeds.keys():
            raise VideoNotFound({f"liked.{at}": one for at, one in enumerate(request.liked)})
        given = dict.fromkeys([*request.liked, *request.disliked])
        missing = [one for one in given if one not in seeds]
        with stages.stage("search"):
            there = [seeds[one] for one in named if one in seeds]
            rankings = self._rank_by_seeds(request, there, liked)
        with stages.stage("fuse"):
            fused, found = fuse_and_count(
                rankings, limit=_count_needed(request, start), k=request.rrf_k
            )
            candidates = [
                _Candidate(
                    one.video_id,
                    one.score,
                    list_best_lens_ranks(one),
                    because=name_recommenders(one),
                )
                for one in fused
            ]
        ranks = count_ranks_per_seed(len(there), window=request.window)
        window = _Window(candidates, found, is_cut=_fills(rankings, ranks))
        page = self._cut_page(request, window, start, list(seeds.values()), stages)
        return replace(page, missing=missing)

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
        windows: list[_Window] = []
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
            search = replace(search, exclude=request.left_out.union(search.exclude))
            window = self._find(search, vectors, search.most_hits, stages)
            windows.append(self._keep_fitting(search, window, stages))
        with stages.stage("fuse"):
            window = _fuse_searches(
                windows, request.shares, limit=_count_needed(request, start), k=request.rrf_k
            )
        return self._cut_page(request, window, start, list(seeds.values()), stages)

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
        queries = [
            VectorQuery(name, self._weigh(name, vector), asked) for _, name, vector in asking
        ]
        answers = self._reader.search(queries, filter=request.passing) if queries else []
        there = {seed.video_id for seed in seeds}
        left_out = request.left_out | there
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
                (
                    SeedLens(seed, LEARNED),
                    [one for one in ranking if one.video_id not in left_out][:ranks],
                    request.learned_weight,
                )
                for seed, ranking in request.learned.by_seed.items()
                if seed in there
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
        model = "" if request.learned is None else request.learned.version
        return " ".join(filter(None, (self._generation, model, request.ruling.version)))

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
        window = self._keep_fitting(request, window, stages)
        arranged, found = self._put_pins_first(request, window.candidates), window.found
        stored: Mapping[str, StoredVideo] = {}
        if request.rearranges:
            with stages.stage("arrange"):
                arranged, stored = self._rearrange(request, arranged, seeds)
        if request.rearranges or request.ruling.pins:
            found = len(arranged)  # the whole window is there
        page = arranged[start:end]
        counted = [one.video_id for one in arranged[:MOST_COUNTED]] if request.facets else []
        if (counted or page) and not stored:
            with stages.stage("fetch"):
                shown = dict.fromkeys([*counted, *(one.video_id for one in page)])
                stored = self._reader.get(list(shown))
        facets: Facets = {}
        if request.facets:
            with stages.stage("facets"):
                videos = [stored[one] for one in counted if one in stored]
                facets = count_facets(
                    videos, request.facets, self._reader.fields, request.facet_query
                )
        if any(window.matchers):
            with stages.stage("match"):
                page = self._find_fits(window, page)
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
                pinned=one.pinned,
                boosts=one.boosts,
                fit=one.fit,
                match=one.match,
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
            total=_count_hits(found, is_cut=window.is_cut),
            borrowed_from=window.borrowed_from,
            coverage=window.coverage,
            facets=facets,
            channels=channels,
            timings_ms=stages.to_milliseconds(),
            model=request.learned.version if request.learned else None,
            match_floor=next((one.calibration.floor for one in window.matchers if one), None),
            also_asked=request.ruling.texts,
        )

    def _keep_fitting(self, request: HitsRequest, window: _Window, stages: StageTimes) -> _Window:
        """Return the window without what doesn't fit well enough; all where that can't be told.

        Where ``_MISFITS`` one after the other don't fit, what comes behind them doesn't either. No
        more than ``MOST_COUNTED`` are looked at, as each takes a while.
        """
        if not (request.min_match > 0 and any(window.matchers)):
            return window
        best = window.candidates[:MOST_COUNTED]
        kept: list[_Candidate] = []
        misfits = 0
        with stages.stage("match"):
            for start in range(0, len(best), _MISFITS):
                part = best[start : start + _MISFITS]
                for one in self._find_fits(window, part):
                    fits = one.match is None or one.match >= request.min_match
                    misfits = 0 if fits else misfits + 1
                    # A pinned one comes all the same, and is not to lose what found it.
                    if fits or one.video_id in request.ruling.pins:
                        kept.append(one)
                    if misfits == _MISFITS:
                        return replace(window, candidates=kept, found=len(kept), is_cut=False)
        is_cut = window.is_cut or len(best) < len(window.candidates)
        return replace(window, candidates=kept, found=len(kept), is_cut=is_cut)

    def _find_fits(self, window: _Window, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        """Return the candidates with how they fit the text of the search that ranks them best."""
        unknown = [one.video_id for one in candidates if one.fit is None]
        # What an engine gives of a video's words need not be made again.
        held = self.whole.weigh(WORDS, list(self.get_with_vectors(unknown).values()))

        def match(one: _Candidate) -> _Candidate:
            search = one.found_by[0][0] if one.found_by else 0
            matcher = window.matchers[search]
            if matcher is None or one.fit is not None:
                return one
            fit = matcher.find_fit(one.sources, held.get(one.video_id))
            # What is told is what is compared with a floor.
            return replace(one, fit=fit, match=round(matcher.calibration.measure(fit), 4))

        return [match(one) for one in candidates]

    def _put_pins_first(
        self, request: HitsRequest, candidates: Sequence[_Candidate]
    ) -> Sequence[_Candidate]:
        """Return the window behind the videos that rules pin, of those that may be hits."""
        if not request.ruling.pins:
            return candidates
        stored = self._reader.get(request.ruling.pins)
        found = {one.video_id: one for one in candidates}
        pins = [
            replace(found.get(video_id, _Candidate(video_id, 0.0, {})), pinned=True)
            for video_id in request.ruling.pins
            if video_id in stored
            and video_id not in request.left_out
            and self._may_be_hit(request, stored[video_id])
        ]
        first = {one.video_id for one in pins}
        return [*pins, *(one for one in candidates if one.video_id not in first)]

    def _may_be_hit(self, request: HitsRequest, video: StoredVideo) -> bool:
        match request:
            case MultiSearchRequest():
                return any(self._may_be_hit(one, video) for one in request.searches)
            case SearchRequest():
                is_other = request.video_id != video.video_id
                if not (is_other and self._binder.holds(request.demands, video)):
                    return False
        return request.filter is None or matches(request.filter, video.payload)

    def _rearrange(
        self, request: HitsRequest, candidates: Sequence[_Candidate], seeds: Sequence[StoredVideo]
    ) -> tuple[list[_Candidate], Mapping[str, StoredVideo]]:
        """Return the whole window as asked, pins first, and its videos.

        Scores are raised, duplicates folded, and then the rest is diversified or sorted, and its
        channels kept down.
        """
        get = self.get_with_vectors if request.compares else self._get_payloads
        stored = get([one.video_id for one in candidates])
        arranged = [one for one in candidates if one.video_id in stored]
        arranged = self._boost(request, arranged, stored)
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
        pins = [one for one in arranged if one.pinned]
        rest = arranged[len(pins) :]
        if request.diversity > 0:
            head = rest[:MOST_DIVERSIFIED]
            order = rerank_by_mmr(
                [one.score for one in head],
                measure_likeness([stored[one.video_id] for one in head]),
                diversity=request.diversity,
            )
            rest = [*(head[at] for at in order), *rest[MOST_DIVERSIFIED:]]

        def find(one: _Candidate) -> StoredVideo:
            return stored[one.video_id]

        steering = request.steering
        if steering.sort is not None:
            rest = sort_by_field(rest, find, steering.sort, self._reader.fields)
        if steering.max_per_channel is not None:
            rest = cap_channels(rest, find, steering.max_per_channel, pins)
        return [*pins, *rest], stored

    def _boost(
        self,
        request: HitsRequest,
        candidates: Sequence[_Candidate],
        stored: Mapping[str, StoredVideo],
    ) -> list[_Candidate]:
        """Return the candidates with their scores raised, pins first, then the best."""
        if not request.steering.boosts:
            return list(candidates)
        gains = measure_gains(
            request.steering.boosts,
            [stored[one.video_id] for one in candidates],
            self._reader.fields,
            self._made_at,
        )
        raised = [one.raise_by(of) for one, of in zip(candidates, gains, strict=True)]
        pins = [one for one in raised if one.pinned]
        rest = raised[len(pins) :]
        return [*pins, *sorted(rest, key=lambda one: (-one.score, one.video_id))]

    def get_with_vectors(self, video_ids: Sequence[str]) -> dict[str, StoredVideo]:
        """Return those of the videos that are stored, with their vectors."""
        return self._read_kept(video_ids, self._kept, with_vectors=True)

    def _get_payloads(self, video_ids: Sequence[str]) -> dict[str, StoredVideo]:
        return self._read_kept(video_ids, self._payloads, with_vectors=False)

    def _read_kept(
        self,
        video_ids: Sequence[str],
        kept: cachetools.LRUCache[str, StoredVideo],
        *,
        with_vectors: bool,
    ) -> dict[str, StoredVideo]:
        with self._keeping:
            found = {one: kept[one] for one in video_ids if one in kept}
        if missing := [one for one in video_ids if one not in found]:
            read = self._reader.get(missing, with_vectors=with_vectors)
            with self._keeping:
                kept.update(read)
            found |= read
        return found

    def _make_query_vectors(
        self, request: SearchRequest, stages: StageTimes
    ) -> tuple[StoredVideo | None, dict[str, list[AnyVector]]]:
        """Return the seed video, if any, and what each lens that can be asked is asked.

        That is the query's vector, and behind it those of its synonyms that differ.
        """
        video = None
        if request.video_id is not None:
            with stages.stage("fetch"):
                found = self.whole.get([request.video_id])
            video = found.get(request.video_id)
        query = Query(text=request.text, picture=request.picture, video=video)
        with stages.stage("encode"):
            # Lenses of weight 0 are asked, too: their hits may lend their thumbnails.
            weights = dict.fromkeys(self._lenses, 1.0)
            vectors = {name: [vector] for name, vector in self._ask(query, weights).items()}
            for text in request.ruling.texts:
                with suppress(UnencodableItems):
                    for name, vector in self._ask(replace(query, text=text), weights).items():
                        of = vectors.setdefault(name, [])
                        if not any(_is_same(vector, other) for other in of):
                            of.append(vector)
        if request.video_id is not None and video is None:
            raise VideoNotFound({"video_id": request.video_id})
        return video, vectors

    def _find(
        self,
        request: SearchRequest,
        vectors: Mapping[str, Sequence[AnyVector]],
        limit: int,
        stages: StageTimes,
    ) -> _Window:
        """Return the first ``limit`` of the window."""
        weights = dict(request.weights)
        borrowing = self._list_borrowing(request, vectors)
        # A lens of weight 0 need not be searched, unless its hits lend their vectors.
        asked = {name: of for name, of in vectors.items() if weights[name] > 0 or borrowing}
        lent: dict[str, dict[str, Vector]] = {}
        with stages.stage("search"):
            bound = self._binder.bind(request.demands)
            found = self._rank(request, asked, bound)
            sparse = [
                (name, vector, ranking)
                for name, of in asked.items()
                for vector, ranking in zip(of, found[name], strict=True)
                if isinstance(vector, SparseVector)
            ]
            coverage: dict[str, float] = {}
            for (name, *_), share in zip(sparse, self.whole.measure_coverage(sparse), strict=True):
                coverage[name] = max(share, coverage.get(name, 0.0))
            for name, share in coverage.items():
                weights[name] *= share
            rankings = {name: merge_by_best(of, request.window) for name, of in found.items()}
            if borrowing:
                lent = self._lend(borrowing, _find_lenders(rankings, weights, request))
            if lent:
                stand_ins = {name: [find_direction(list(of.values()))] for name, of in lent.items()}
                for name, [ranking] in self._rank(request, stand_ins, bound).items():
                    rankings[name] = ranking
                    weights[name] *= BORROWED_WEIGHT
        if request.learned is not None and request.video_id is not None:
            learned = request.learned.by_seed[request.video_id]
            left_out = request.left_out
            rankings[LEARNED] = [one for one in learned if one.video_id not in left_out][
                : request.window
            ]
            weights[LEARNED] = request.learned_weight
        with stages.stage("fuse"):
            weighed = weigh_rankings(rankings, weights)
            fused, many = fuse_and_count(weighed, limit=limit, k=request.rrf_k)
            candidates = [
                _Candidate(one.video_id, one.score, list_lens_ranks(one)) for one in fused
            ]
        lenders = [video_id for of in lent.values() for video_id in of]
        return _Window(
            candidates,
            many,
            list(dict.fromkeys(lenders)),
            coverage,
            is_cut=_fills(weighed, request.window),
            matchers=[self._make_matcher(request, vectors, rankings)],
        )

    def _make_matcher(
        self,
        request: SearchRequest,
        vectors: Mapping[str, Sequence[AnyVector]],
        rankings: Mapping[str, Sequence[ScoredVideo]],
    ) -> TextMatcher | None:
        """Return what says how well videos fit a text; None without one, or where words can't."""
        is_text_alone = request.picture is None and request.video_id is None
        if request.text is None or not is_text_alone or self._frequencies is None:
            return None
        calibration, lens = self.calibration, self._lenses.get(WORDS)
        if calibration is None or lens is None:
            return None
        asked = [
            self._frequencies.weigh(WORDS, one)
            for one in vectors.get(WORDS, ())
            if isinstance(one, SparseVector)
        ]
        far = calibration.find_far(rankings.get(TITLE, ()))
        return TextMatcher(calibration=calibration, lens=lens, asked=asked, far=far)

    def _list_borrowing(
        self, request: SearchRequest, vectors: Mapping[str, Sequence[AnyVector]]
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
        self, request: SearchRequest, vectors: Mapping[str, Sequence[AnyVector]], bound: Bound
    ) -> dict[str, list[Sequence[ScoredVideo]]]:
        """Return a ranking of at most ``window`` videos per vector, all asked in one call."""
        if not vectors:
            return {}
        asked = [(name, self._weigh(name, one)) for name, of in vectors.items() for one in of]
        # One more, so that the window stays full without the seed.
        ranks = request.window + (request.video_id is not None)
        answers = self._binder.search(asked, ranks, filter=request.passing, bound=bound)
        found: dict[str, list[Sequence[ScoredVideo]]] = {name: [] for name in vectors}
        for (name, _), ranking in zip(asked, answers, strict=True):
            if request.video_id is not None:
                others = [one for one in ranking if one.video_id != request.video_id]
                ranking = others[: request.window]
            found[name].append(ranking)
        return found

    def _weigh(self, lens: str, vector: AnyVector) -> AnyVector:
        """Return what the engine is asked: words count by how rare they are."""
        if self._frequencies is None or not isinstance(vector, SparseVector):
            return vector
        return self._frequencies.weigh(lens, vector)

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
    pinned: bool = False
    boosts: Sequence[Gain] = ()
    fit: Fit | None = None
    match: float | None = None

    def raise_by(self, gains: Sequence[Gain]) -> _Candidate:
        """Return it with a higher score. Without ``replace``, which takes five times as long."""
        return _Candidate(
            self.video_id,
            self.score * (1.0 + sum(gain.share for gain in gains)),
            self.sources,
            self.because,
            self.duplicates,
            self.found_by,
            self.pinned,
            gains,
            self.fit,
            self.match,
        )


@dataclass(frozen=True, slots=True)
class _Window:
    """The best hits, from which pages are cut, and how they were found.

    ``found`` is how many there are, also of those that no page needs. Where a ranking ``is_cut``
    there may be more, which a larger window would find. ``matchers`` are those of each search, None
    of one that is not by a text.
    """

    candidates: list[_Candidate]
    found: int
    borrowed_from: Sequence[str] = ()
    coverage: Mapping[str, float] = field(default_factory=dict)
    is_cut: bool = False
    matchers: Sequence[TextMatcher | None] = ()


def _fills(rankings: Iterable[Ranking[Any]], ranks: int) -> bool:
    """Return whether one that counts is as long as was asked for, so that it may go on."""
    return any(one.weight and len(one.videos) >= ranks for one in rankings)


def _count_hits(found: int, *, is_cut: bool) -> Total:
    """Return the total of hits of a window that has ``found``."""
    return Total(min(found, MOST_COUNTED), is_exact=not is_cut and found <= MOST_COUNTED)


def _fuse_searches(
    windows: Sequence[_Window], shares: Sequence[float], *, limit: int, k: float
) -> _Window:
    """Return the best of all searches, each with ``sources`` of the search that ranks it best."""
    rankings = [
        Ranking(
            key=search,
            videos=[ScoredVideo(one.video_id, one.score) for one in window.candidates],
            weight=share,
        )
        for search, (window, share) in enumerate(zip(windows, shares, strict=True))
    ]
    candidates = []
    fused, found = fuse_and_count(rankings, limit=limit, k=k)
    for one in fused:
        found_by = list_searches(one)
        search, rank = found_by[0]
        sources = windows[search].candidates[rank - 1].sources
        candidates.append(_Candidate(one.video_id, one.score, sources, found_by=found_by))
    is_cut = any(one.is_cut for one, share in zip(windows, shares, strict=True) if share)
    matchers = [matcher for window in windows for matcher in window.matchers]
    return _Window(candidates, found, is_cut=is_cut, matchers=matchers)


def _count_needed(request: FusionOptions, start: int) -> int:
    """Return how many hits must be fused to cut the page that begins at ``start``."""
    if request.needs_all:
        return request.most_hits
    # One more than the page holds, to learn whether there is a next page.
    return min(start + request.limit + 1, request.most_hits)


def _is_same(vector: AnyVector, other: AnyVector) -> bool:
    if isinstance(vector, SparseVector) and isinstance(other, SparseVector):
        return all(map(np.array_equal, vector, other))
    return np.array_equal(np.asarray(vector), np.asarray(other))


def _find_lenders(
    rankings: Mapping[str, Sequence[ScoredVideo]],
    weights: Mapping[str, float],
    request: SearchRequest,
) -> list[str]:
    """Return the best ``expand`` videos by the rankings of the text, whose weights may all be 0."""
    weighed = weights if any(weights[name] for name in rankings) else None
    fused = fuse(weigh_rankings(rankings, weighed), limit=request.expand, k=request.rrf_k)
    return [one.video_id for one in fused]
