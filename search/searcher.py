"""Search by text, by a picture, by a video, or by several at once. Knows nothing of HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from twinlens.catalog.errors import PictureRejected, UnencodableItems
from twinlens.catalog.images import decode_image
from twinlens.catalog.timing import StageTimes
from twinlens.catalog.vectors import SparseVector, Vector, mean_direction
from twinlens.catalog.video import DENSE_VECTORS, VectorName, payload_title
from twinlens.encoders.base import TextThumbnailEncoder, ThumbnailEncoder, TitleEncoder
from twinlens.encoders.words import query_words, words_coverage
from twinlens.search.budget import OutOfTime, TimeBudget
from twinlens.search.cursor import Cursor, decode_cursor, request_digest
from twinlens.search.diversity import MOST_DIVERSIFIED, diversified, likeness_of
from twinlens.search.duplicates import folded
from twinlens.search.facets import Facets, facets_among
from twinlens.search.fusion import FusedVideo, SourceRank, fuse
from twinlens.search.multi import fuse_searches
from twinlens.search.recommending import SeedRanking, fuse_seeds, ranks_per_seed
from twinlens.stores.base import Payload, ScoredVideo, StoredVideo, VectorQuery, VectorReader
from twinlens.stores.filters import Filter

DEFAULT_LIMIT: Final = 20
DEFAULT_WINDOW: Final = 200
DEFAULT_EXPAND: Final = 3
# docs/decisions/0012-fusion-settings.md says why these.
DEFAULT_RRF_K: Final = 5.0
DEFAULT_WEIGHTS: Final[Mapping[VectorName, float]] = MappingProxyType(
    {VectorName.TITLE: 1.0, VectorName.WORDS: 5.0, VectorName.THUMBNAIL: 1.0}
)
# docs/decisions/0003-borrowed-thumbnails.md says why so little.
BORROWED_WEIGHT: Final = 0.1


class SearchOfSeveralFailed(ValueError):
    """One of several searches can't be made; its place, from 0, and the cause."""

    def __init__(self, place: int) -> None:
        super().__init__(f"search {place} can't be made")
        self.place = place


class VideoNotFound(LookupError):
    """What a request names is not in the published generation.

    ``missing`` has the ids of those videos by where the request names them, as in ``liked.3``.
    """

    def __init__(self, missing: Mapping[str, str]) -> None:
        super().__init__(", ".join(missing.values()))
        self.missing = missing


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionOptions:
    """What every request that ends in a fusion can set.

    ``weights`` multiply a ranking's share in the fusion; what is absent has ``DEFAULT_WEIGHTS``.
    The words' weight is lowered as their best title lacks some of them: to half if it has half of
    them. ``window`` is how many ranks are taken from each ranking; pages are cut from what they
    give. ``filter`` holds for every hit. ``diversity``, 0 to 1, is how much it counts that a hit
    is unlike those before it; see ``diversified``. ``collapse_duplicates`` folds re-uploads into
    the best of them, and those of a video that is asked by into that; see ``folded``. ``facets``
    names fields to count over all hits of all pages.
    """

    filter: Filter | None = None
    weights: Mapping[VectorName, float] = field(default_factory=dict)
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    rrf_k: float = DEFAULT_RRF_K
    window: int = DEFAULT_WINDOW
    diversity: float = 0.0
    collapse_duplicates: bool = False
    facets: Sequence[str] = ()

    @property
    def most_hits(self) -> int:
        """How many hits there can be, over all pages."""
        return len(VectorName) * self.window

    @property
    def rearranges(self) -> bool:
        """Whether a page depends on more of the window than what comes before its end."""
        return self.diversity > 0 or self.collapse_duplicates

    def weight(self, name: VectorName) -> float:
        """The weight of one ranking."""
        return self.weights.get(name, DEFAULT_WEIGHTS[name])

    def deciding(self) -> tuple[object, ...]:
        """All of these that decide which hits there are, so neither ``limit`` nor ``cursor``."""
        weights = [float(self.weight(name)) for name in VectorName]
        arrangement = float(self.diversity), self.collapse_duplicates
        return self.filter, weights, float(self.rrf_k), self.window, *arrangement


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest(FusionOptions):
    """What to look for. At least one of ``text``, ``picture`` and ``video_id`` is given.

    ``picture`` holds encoded bytes. ``expand`` is how many of the best hits by title and words lend
    their thumbnails to a search by text alone, where the thumbnail encoder understands no text; 0
    switches that off.
    """

    text: str | None = None
    picture: bytes | None = None
    video_id: str | None = None
    expand: int = DEFAULT_EXPAND

    def digest(self) -> str:
        """A digest of all that decides which hits there are."""
        return request_digest(self.text, self.picture, self.video_id, self.expand, *self.deciding())


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationRequest(FusionOptions):
    """Videos that someone liked and disliked, to find more of the one kind than of the other.

    ``liked`` names at least one. Neither are hits, and no video is both; one named twice counts
    once.
    """

    liked: Sequence[str]
    disliked: Sequence[str] = ()

    def digest(self) -> str:
        """A digest of all that decides which hits there are; the order of the seeds does not."""
        seeds = sorted(set(self.liked)), sorted(set(self.disliked))
        return request_digest("recommendations", *seeds, *self.deciding())


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedRequest(FusionOptions):
    """Several searches whose fused rankings are fused into one, with a share for each of them.

    Of each search its whole window counts, whatever its ``limit``, ``cursor`` and arrangement. The
    own ``window`` is the largest of theirs; ``filter`` and ``weights`` are theirs alone.
    """

    searches: Sequence[SearchRequest]
    shares: Sequence[float]

    def digest(self) -> str:
        """A digest of all that decides which hits there are."""
        searches = [one.digest() for one in self.searches]
        shares = [float(share) for share in self.shares]
        return request_digest("searches", searches, shares, *self.deciding())


HitsRequest = SearchRequest | RecommendationRequest | CombinedRequest


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: the stored payload, the fused score, the rank from 1, and each ranking's view.

    ``because`` names the liked videos that recommend it most, ``duplicates`` those that were folded
    into it, best first; ``found_by`` has the places of the searches that found it, of several, with
    its rank in each, best first.
    """

    video_id: str
    payload: Payload
    score: float
    rank: int
    sources: Mapping[VectorName, SourceRank]
    because: Sequence[str] = ()
    duplicates: Sequence[str] = ()
    found_by: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """One page of hits, the cursor of the next (None on the last), and milliseconds per stage.

    ``borrowed_from`` names the hits whose thumbnails stood in for the text, best first;
    ``words_coverage`` is the share of the words, 0 to 1, that the best title found by them has, or
    None where no words were asked. ``facets`` are those asked for, over all hits of all pages.
    """

    hits: list[Hit]
    next_cursor: str | None
    window: int
    borrowed_from: Sequence[str]
    words_coverage: float | None
    facets: Facets
    timings_ms: Mapping[str, float]


class Searcher:
    """Searches one generation: assembles the queries, asks every vector, fuses, cuts the page."""

    def __init__(
        self,
        reader: VectorReader,
        *,
        generation: str,
        title_encoder: TitleEncoder,
        thumbnail_encoder: ThumbnailEncoder,
    ) -> None:
        self._reader = reader
        self._generation = generation
        self._title_encoder = title_encoder
        self._thumbnail_encoder = thumbnail_encoder

    def search(self, request: SearchRequest, stages: StageTimes | None = None) -> SearchResult:
        """The page of hits that ``request`` asks for, the best first.

        The same request over the same generation gives the same window, whatever the page. What it
        takes is added to ``stages``, also of a search that fails.

        Raises:
            ValueError: nothing to search by.
            PictureRejected: the picture can't be read, or is too large.
            UnencodableItems: what was given has no direction: it can't be compared.
            VideoNotFound: ``video_id`` is not in the index.
            CursorInvalid: the cursor is damaged, or belongs to another request.
            CursorExpired: the cursor belongs to another generation.
            StoreError: the engine failed.
        """
        if request.text is None and request.picture is None and request.video_id is None:
            raise ValueError("nothing to search by: give text, a picture or a video_id")
        start = self._start(request)
        stages = stages or StageTimes()
        seed, vectors = self._query_vectors(request, stages)
        found = self._fused(request, vectors, _needed(request, start), stages)
        seeds = [] if seed is None else [seed]
        return self._page(request, found, start, seeds, stages)

    def recommend(
        self, request: RecommendationRequest, stages: StageTimes | None = None
    ) -> SearchResult:
        """The page of hits that are most like what was liked, and least like what was not.

        Every liked video asks for itself, so that each of several tastes is met; see
        ``fuse_seeds``. ``stages`` are as in ``search``.

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
        start = self._start(request)
        stages = stages or StageTimes()
        with stages.stage("fetch"):
            # In a fixed order, so that no sum depends on how the seeds were listed.
            named = sorted(liked | disliked)
            seeds = self._reader.get(named, with_vectors=True)
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
            fused = fuse_seeds(rankings, limit=_needed(request, start), k=request.rrf_k)
        found = _Fused(fused, [], None)
        return self._page(request, found, start, list(seeds.values()), stages)

    def search_together(
        self,
        request: CombinedRequest,
        stages: StageTimes | None = None,
        *,
        budget: TimeBudget | None = None,
    ) -> SearchResult:
        """The page of hits of several searches together, all begun within ``budget``.

        ``stages`` are as in ``search``.

        Raises:
            ValueError: no search, or not a share for each.
            SearchOfSeveralFailed: one has a picture that can't be read, nothing that can be
                encoded, or a video that is not in the index; or there is no time left for it.
            CursorInvalid: the cursor is damaged, or belongs to another request.
            CursorExpired: the cursor belongs to another generation.
            StoreError: the engine failed.
        """
        if not request.searches or len(request.searches) != len(request.shares):
            raise ValueError("give at least one search, and a share for each")
        start = self._start(request)
        stages = stages or StageTimes()
        found: list[Sequence[FusedVideo]] = []
        seeds: dict[str, StoredVideo] = {}
        for place, search in enumerate(request.searches):
            try:
                if budget is not None:
                    budget.check()
                seed, vectors = self._query_vectors(search, stages)
            except (OutOfTime, PictureRejected, UnencodableItems, VideoNotFound) as error:
                raise SearchOfSeveralFailed(place) from error
            if seed is not None:
                seeds[seed.video_id] = seed
            found.append(self._fused(search, vectors, search.most_hits, stages).videos)
        with stages.stage("fuse"):
            fused = fuse_searches(
                found, request.shares, limit=_needed(request, start), k=request.rrf_k
            )
        return self._page(request, _Fused(fused, [], None), start, list(seeds.values()), stages)

    def _rank_by_seeds(
        self, request: RecommendationRequest, seeds: Sequence[StoredVideo], liked: set[str]
    ) -> list[SeedRanking]:
        """What each vector of each seed finds but the seeds, all asked in one call."""
        asking = [
            (seed.video_id, name, vector)
            for seed in seeds
            for name, vector in _vectors_of(seed).items()
            if request.weight(name) > 0
        ]
        if not asking:
            return []
        ranks = ranks_per_seed(len(seeds), window=request.window)
        # More, so that as many are left when the seeds are left out. Of many, few find each other.
        asked = ranks + min(ranks, len(seeds))
        answers = self._reader.search(
            [VectorQuery(name, vector, asked) for _, name, vector in asking],
            filter=request.filter,
        )
        left_out = {seed.video_id for seed in seeds}
        others = [
            [one for one in answer if one.video_id not in left_out][:ranks] for answer in answers
        ]
        coverages = self._coverages(
            [
                (vector, ranking)
                for (_, _, vector), ranking in zip(asking, others, strict=True)
                if isinstance(vector, SparseVector)
            ]
        )
        of_words = iter(coverages)
        return [
            SeedRanking(
                seed=video_id,
                liked=video_id in liked,
                lens=name,
                weight=request.weight(name)
                * (next(of_words) if isinstance(vector, SparseVector) else 1.0),
                ranking=ranking,
            )
            for (video_id, name, vector), ranking in zip(asking, others, strict=True)
        ]

    def _start(self, request: HitsRequest) -> int:
        """How many hits lie before the page that is asked for."""
        if request.cursor is None:
            return 0
        return decode_cursor(
            request.cursor,
            generation=self._generation,
            request=request.digest(),
            most=request.most_hits,
        ).offset

    def _page(
        self,
        request: HitsRequest,
        found: _Fused,
        start: int,
        seeds: Sequence[StoredVideo],
        stages: StageTimes,
    ) -> SearchResult:
        """The hits from ``start`` on, with what is stored of them."""
        end = start + request.limit
        if request.rearranges:
            with stages.stage("arrange"):
                arranged = self._arranged(request, found.videos, seeds)
        else:
            arranged = [_Place(video) for video in found.videos]
        page = arranged[start:end]
        # What is counted has to be fetched, and that is all of it.
        shown = arranged if request.facets else page
        with stages.stage("fetch"):
            stored = self._reader.get([one.video.video_id for one in shown]) if shown else {}
        facets: Facets = {}
        if request.facets:
            with stages.stage("facets"):
                facets = facets_among(list(stored.values()), request.facets)
        hits = [
            Hit(
                video_id=one.video.video_id,
                payload=stored[one.video.video_id].payload,
                score=one.video.score,
                rank=rank,
                sources=one.video.sources,
                because=one.video.because,
                duplicates=one.duplicates,
                found_by=one.video.found_by,
            )
            for rank, one in enumerate(page, start=start + 1)
            if one.video.video_id in stored
        ]
        next_cursor = None
        if len(arranged) > end:
            next_cursor = Cursor(self._generation, request.digest(), end).encode()
        return SearchResult(
            hits=hits,
            next_cursor=next_cursor,
            window=request.window,
            borrowed_from=found.borrowed_from,
            words_coverage=found.words_coverage,
            facets=facets,
            timings_ms=stages.milliseconds(),
        )

    def _arranged(
        self,
        request: HitsRequest,
        videos: Sequence[FusedVideo],
        seeds: Sequence[StoredVideo],
    ) -> list[_Place]:
        """The whole window, duplicates folded and put in an order of more diversity, as asked."""
        stored = self._reader.get([one.video_id for one in videos], with_vectors=True)
        places = [_Place(one) for one in videos if one.video_id in stored]
        if request.collapse_duplicates:
            before = len(seeds)
            groups = folded([*seeds, *(stored[one.video.video_id] for one in places)])
            # What is folded into a seed is no more news than the seed itself.
            places = [
                _Place(
                    places[first - before].video,
                    [places[one - before].video.video_id for one in others],
                )
                for first, *others in groups
                if first >= before
            ]
        if request.diversity > 0:
            head = places[:MOST_DIVERSIFIED]
            order = diversified(
                [one.video.score for one in head],
                likeness_of([stored[one.video.video_id] for one in head]),
                diversity=request.diversity,
            )
            places = [*(head[at] for at in order), *places[MOST_DIVERSIFIED:]]
        return places

    def _query_vectors(
        self, request: SearchRequest, stages: StageTimes
    ) -> tuple[StoredVideo | None, dict[VectorName, Vector | SparseVector]]:
        """The video that is asked by, and one vector for everything that the request can ask."""
        liked = None
        dense: dict[VectorName, list[Vector]] = {name: [] for name in DENSE_VECTORS}
        texts: list[str] = []
        with stages.stage("encode"):
            if request.text is not None:
                texts.append(request.text)
                dense[VectorName.TITLE].append(
                    self._title_encoder.encode_queries([request.text])[0]
                )
                if isinstance(self._thumbnail_encoder, TextThumbnailEncoder):
                    dense[VectorName.THUMBNAIL].append(
                        self._thumbnail_encoder.encode_queries([request.text])[0]
                    )
            if request.picture is not None:
                picture = decode_image(request.picture, at_least=self._thumbnail_encoder.input_size)
                dense[VectorName.THUMBNAIL].append(self._thumbnail_encoder.encode([picture])[0])
        if request.video_id is not None:
            with stages.stage("fetch"):
                found = self._reader.get([request.video_id], with_vectors=True)
            if request.video_id not in found:
                raise VideoNotFound({"video_id": request.video_id})
            liked = found[request.video_id]
            for name, vector in liked.vectors.items():
                dense[name].append(vector)
            texts.append(payload_title(liked.payload))
        with stages.stage("encode"):
            words = query_words(" ".join(texts))
        vectors: dict[VectorName, Vector | SparseVector] = {
            name: mean_direction(given) for name, given in dense.items() if given
        }
        if words is not None:
            vectors[VectorName.WORDS] = words
        return liked, vectors

    def _fused(
        self,
        request: SearchRequest,
        vectors: Mapping[VectorName, Vector | SparseVector],
        limit: int,
        stages: StageTimes,
    ) -> _Fused:
        """The first ``limit`` of the window."""
        weights = {name: request.weight(name) for name in VectorName}
        borrows = (
            request.text is not None
            and request.expand > 0
            and weights[VectorName.THUMBNAIL] > 0
            and VectorName.THUMBNAIL not in vectors
        )
        # What has weight 0 need not be asked, unless its hits are to lend their thumbnails.
        asked = {name: vector for name, vector in vectors.items() if weights[name] > 0 or borrows}
        lent: Mapping[str, Vector] = {}
        coverage = None
        with stages.stage("search"):
            rankings = self._rank(request, asked)
            words = asked.get(VectorName.WORDS)
            if isinstance(words, SparseVector):
                [coverage] = self._coverages([(words, rankings[VectorName.WORDS])])
                weights[VectorName.WORDS] *= coverage
            if borrows:
                lent = self._thumbnails(_best(rankings, weights, request))
            if lent:
                stand_in = mean_direction(list(lent.values()))
                rankings |= self._rank(request, {VectorName.THUMBNAIL: stand_in})
                weights[VectorName.THUMBNAIL] *= BORROWED_WEIGHT
        with stages.stage("fuse"):
            fused = fuse(rankings, limit=limit, k=request.rrf_k, weights=weights)
        return _Fused(fused, list(lent), coverage)

    def _rank(
        self, request: SearchRequest, vectors: Mapping[VectorName, Vector | SparseVector]
    ) -> dict[VectorName, Sequence[ScoredVideo]]:
        """A ranking of at most ``window`` videos per vector, all asked in one call."""
        if not vectors:
            return {}
        # One more, so that the window stays full when the video asked by is left out of it.
        ranks = request.window + (request.video_id is not None)
        queries = [VectorQuery(name, vector, ranks) for name, vector in vectors.items()]
        answers = self._reader.search(queries, filter=request.filter)
        if request.video_id is None:
            return dict(zip(vectors, answers, strict=True))
        return {
            name: [one for one in ranking if one.video_id != request.video_id][: request.window]
            for name, ranking in zip(vectors, answers, strict=True)
        }

    def _coverages(
        self, found: Sequence[tuple[SparseVector, Sequence[ScoredVideo]]]
    ) -> list[float]:
        """Of each, how much of the words the title has that they found best, from 0 to 1."""
        best = [ranking[0].video_id if ranking else None for _, ranking in found]
        wanted = sorted({video_id for video_id in best if video_id is not None})
        stored = self._reader.get(wanted) if wanted else {}
        return [
            words_coverage(words, payload_title(stored[video_id].payload))
            if video_id in stored
            else 0.0
            for (words, _), video_id in zip(found, best, strict=True)
        ]

    def _thumbnails(self, video_ids: Sequence[str]) -> dict[str, Vector]:
        """The thumbnail vectors of those of ``video_ids`` that have one, in their order."""
        stored = self._reader.get(video_ids, with_vectors=True) if video_ids else {}
        return {
            video_id: stored[video_id].vectors[VectorName.THUMBNAIL]
            for video_id in video_ids
            if video_id in stored and VectorName.THUMBNAIL in stored[video_id].vectors
        }


@dataclass(frozen=True, slots=True)
class _Fused:
    videos: list[FusedVideo]
    borrowed_from: Sequence[str]
    words_coverage: float | None


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the window: the video, and those that were folded into it."""

    video: FusedVideo
    duplicates: Sequence[str] = ()


def _needed(request: FusionOptions, start: int) -> int:
    """How much of the window must be known to cut the page that begins at ``start``."""
    if request.rearranges or request.facets:
        return request.most_hits
    # One more than the page holds: whether it is there says whether a next page is.
    return min(start + request.limit + 1, request.most_hits)


def _best(
    rankings: Mapping[VectorName, Sequence[ScoredVideo]],
    weights: Mapping[VectorName, float],
    request: SearchRequest,
) -> list[str]:
    """The best ``expand`` videos by the rankings of the text, whose weights may all be 0."""
    weighed = weights if any(weights[name] for name in rankings) else None
    fused = fuse(rankings, limit=request.expand, k=request.rrf_k, weights=weighed)
    return [one.video_id for one in fused]


def _vectors_of(seed: StoredVideo) -> dict[VectorName, Vector | SparseVector]:
    vectors: dict[VectorName, Vector | SparseVector] = dict(seed.vectors)
    words = query_words(payload_title(seed.payload))
    if words is not None:
        vectors[VectorName.WORDS] = words
    return vectors
