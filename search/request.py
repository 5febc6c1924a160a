"""The requests that a searcher takes, and its results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final, NamedTuple, Self

from twinlens.catalog.errors import TwinLensError
from twinlens.encoders.lens import Lenses
from twinlens.encoders.lenses import WORDS
from twinlens.search.cursor import digest_request
from twinlens.search.facets import Facets
from twinlens.search.fusion import LensRank
from twinlens.search.matching import Fit
from twinlens.search.phrases import NO_DEMANDS, Demands
from twinlens.search.steering import NO_RULING, NO_STEERING, Gain, Ruling, Steering
from twinlens.stores.base import FacetCount, Payload, ScoredVideo
from twinlens.stores.filters import Filter, Not, OneOfVideos, join_filters

DEFAULT_LIMIT: Final = 20
DEFAULT_WINDOW: Final = 200
DEFAULT_EXPAND: Final = 3
# Hits that are counted and that facets look at, the best of the window.
MOST_COUNTED: Final = 1000
# docs/decisions/0012-fusion-settings.md says why these.
DEFAULT_RRF_K: Final = 5.0
# docs/decisions/0042-the-feed.md says why so much.
DEFAULT_LEARNED_WEIGHT: Final = 3.0
LEARNED: Final = "learned"


class LensNotFound(TwinLensError, LookupError):
    """A request weighs a lens that the published generation was not made with."""

    def __init__(self, lens: str, lenses: Collection[str]) -> None:
        super().__init__(f"no lens named {lens!r}; there are {', '.join(lenses)}")
        self.lens = lens
        self.lenses = tuple(lenses)


class MultiSearchFailed(TwinLensError, ValueError):
    """One search of a multi-search can't be made: its number, from 0; the cause is chained."""

    def __init__(self, search: int) -> None:
        super().__init__(f"search {search} can't be made")
        self.search = search


class VideoNotFound(TwinLensError, LookupError):
    """A video that a request names is not in the published generation.

    ``missing`` maps each place in the request, such as ``liked.3``, to the missing id.
    """

    def __init__(self, missing: Mapping[str, str]) -> None:
        super().__init__(", ".join(missing.values()))
        self.missing = missing


class Total(NamedTuple):
    """How many hits there are over all pages; more than these where it is not ``is_exact``."""

    hits: int
    is_exact: bool


class LearnedRankings(NamedTuple):
    """What a trained model finds for each seed of a request, best first, by the request's filter.

    Cursors tell models apart by ``version``.
    """

    version: str
    by_seed: Mapping[str, Sequence[ScoredVideo]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionOptions:
    """The options of every request that ends in a fusion.

    ``filter`` holds for every hit. ``weights`` multiply the rankings of lenses; a lens
    without one has its own. The weight of a sparse lens is multiplied by the share of the query
    that its best hit holds. ``window`` is how many ranks are taken from each ranking; pages are cut
    from what these give. ``diversity``, 0 to 1, is how much a hit gains by being unlike those
    before it: see ``rerank_by_mmr``. ``collapse_duplicates`` folds re-uploads into the best-ranked
    of them, and re-uploads of a video that is asked by into that: see ``group_duplicates``.
    ``facets`` names fields to count over all hits of all pages, at most ``MOST_COUNTED``; of one
    that ``facet_query`` names, only values whose words begin with the text's. ``learned``, of a
    search by a video and of recommendations, are further rankings, of ``learned_weight``. Videos of
    ``exclude`` are no hits, nor are those whose ``match`` with a search's text is below
    ``min_match``. ``steering`` puts the window in another order, and ``ruling`` is what the owner's
    rules say; see ``search/steering.py``.
    """

    filter: Filter | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    rrf_k: float = DEFAULT_RRF_K
    window: int = DEFAULT_WINDOW
    diversity: float = 0.0
    collapse_duplicates: bool = False
    facets: Sequence[str] = ()
    facet_query: Mapping[str, str] = field(default_factory=dict)
    learned: LearnedRankings | None = None
    learned_weight: float = DEFAULT_LEARNED_WEIGHT
    exclude: Collection[str] = ()
    min_match: float = 0.0
    steering: Steering = NO_STEERING
    ruling: Ruling = NO_RULING

    def __post_init__(self) -> None:
        if self.limit < 1 or self.window < 1:
            raise ValueError(f"limit {self.limit} and window {self.window} have to be 1 or more")

    def with_options(self, options: FusionOptions) -> Self:
        """Return this request with ``options`` in place of its own."""
        return replace(
            self, **{one.name: getattr(options, one.name) for one in fields(FusionOptions)}
        )

    @property
    def most_hits(self) -> int:
        """How many hits there can be, over all pages, once every lens has a weight."""
        rankings = len(self.weights) + (self.learned is not None)
        return rankings * self.window + len(self.ruling.pins)

    @property
    def compares(self) -> bool:
        """Whether hits are compared with each other, by their vectors."""
        return self.diversity > 0 or self.collapse_duplicates

    @property
    def rearranges(self) -> bool:
        """Whether a page depends on more of the window than what comes before its end."""
        return self.compares or self.steering.is_active

    @property
    def needs_all(self) -> bool:
        """Whether a page can't be cut without all hits there are."""
        has_all = self.rearranges or self.min_match > 0
        return has_all or bool(self.facets or self.ruling.pins)

    @property
    def left_out(self) -> frozenset[str]:
        """The videos that are no hits, whoever says so."""
        return self.ruling.hides.union(self.exclude)

    @property
    def passing(self) -> Filter | None:
        """What lets through what ``filter`` does, but for the videos that are left out."""
        left_out = self.left_out
        return join_filters(self.filter, Not(OneOfVideos(left_out)) if left_out else None)

    def weigh(self, lenses: Lenses) -> Self:
        """Return this request with a weight for every lens.

        Raises:
            LensNotFound: there is a weight of no lens.
        """
        unknown = self.weights.keys() - lenses.keys()
        if unknown:
            raise LensNotFound(min(unknown), lenses)
        weights = {name: self.weights.get(name, lens.weight) for name, lens in lenses.items()}
        return replace(self, weights=weights)

    def list_deciding(self) -> tuple[object, ...]:
        """Return the options that decide which hits there are, so no ``limit`` and the like.

        Call it once every lens has a weight.
        """
        weights = [float(weight) for weight in self.weights.values()]
        arrangement = float(self.diversity), self.collapse_duplicates
        constants = float(self.rrf_k), self.window, float(self.learned_weight), self.min_match
        steering = sorted(set(self.exclude)), *self.steering.list_deciding()
        return self.filter, weights, *constants, *arrangement, *steering


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest(FusionOptions):
    """A search by at least one of ``text``, ``picture`` and ``video_id``.

    ``picture`` holds encoded bytes. ``expand`` is how many of the best hits by title and words lend
    their thumbnails to a search by text alone, where the thumbnail encoder understands no text; 0
    switches that off. ``demands`` hold for the texts of every hit; ``read_text`` finds those that a
    person has typed. With ``disjunctive_facets`` a facet counts what would be found without the
    filter's own conditions on its field.
    """

    text: str | None = None
    picture: bytes | None = None
    video_id: str | None = None
    expand: int = DEFAULT_EXPAND
    disjunctive_facets: bool = False
    demands: Demands = NO_DEMANDS

    def digest(self) -> str:
        """Return a digest of all that decides which hits there are."""
        return digest_request(
            *(self.text, self.picture, self.video_id, self.expand, self.demands),
            *self.list_deciding(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationRequest(FusionOptions):
    """Videos that someone liked and disliked, to find more of the one kind than of the other.

    ``liked`` names at least one. Neither are hits, and no video is both; one named twice counts
    once.
    """

    liked: Sequence[str]
    disliked: Sequence[str] = ()

    def digest(self) -> str:
        """Return a digest of all that decides which hits there are; the order of seeds doesn't."""
        seeds = sorted(set(self.liked)), sorted(set(self.disliked))
        return digest_request("recommendations", *seeds, *self.list_deciding())


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiSearchRequest(FusionOptions):
    """Several searches whose results are fused into one ranking, with a share for each of them.

    Each search contributes its whole window; its own ``limit``, ``cursor``, arrangement and
    steering are ignored. ``window`` is the largest of theirs; ``filter`` and ``weights`` are set
    per search.
    """

    searches: Sequence[SearchRequest]
    shares: Sequence[float]

    def digest(self) -> str:
        """Return a digest of all that decides which hits there are."""
        searches = [one.digest() for one in self.searches]
        shares = [float(share) for share in self.shares]
        return digest_request("searches", searches, shares, *self.list_deciding())

    def weigh(self, lenses: Lenses) -> Self:
        """Return this request and its searches with a weight for every lens.

        Raises:
            MultiSearchFailed: a search has a weight of no lens.
        """
        searches = []
        for number, search in enumerate(self.searches):
            try:
                searches.append(search.weigh(lenses))
            except LensNotFound as error:
                raise MultiSearchFailed(number) from error
        # Not super(): a dataclass with slots is a new class, so super() would not find it.
        return replace(FusionOptions.weigh(self, lenses), searches=searches)


HitsRequest = SearchRequest | RecommendationRequest | MultiSearchRequest


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: the stored payload, the fused score, the rank from 1, and each lens's view.

    ``because`` names the liked videos that recommend it most; ``duplicates`` the videos that were
    folded into it. ``found_by`` has the searches of a multi-search that found it, numbered from 0,
    each with its rank there. All are best first. ``pinned`` is one that a rule puts first, whether
    it was found or not; ``boosts`` are the shares by which its score was raised. ``fit`` is how it
    fits the text of the search that ranks it best, and ``match`` what that comes to, 0 to 1: None
    where no text alone was asked, or the index doesn't know how rare words are.
    """

    video_id: str
    payload: Payload
    score: float
    rank: int
    sources: Mapping[str, LensRank]
    because: Sequence[str] = ()
    duplicates: Sequence[str] = ()
    found_by: Sequence[tuple[int, int]] = ()
    pinned: bool = False
    boosts: Sequence[Gain] = ()
    fit: Fit | None = None
    match: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """One page of hits, the cursor of the next (None on the last), and milliseconds per stage.

    ``borrowed_from`` names the hits whose thumbnails stood in for the text, best first;
    ``coverage`` has, for each sparse lens that was asked, the share of the query, 0 to 1, that its
    best hit holds. ``channels`` are those that the text names, with the first page. ``total`` says
    how many hits all pages have, and ``facets`` count the same. ``model`` is the version of the
    learned rankings, where there are any; ``match_floor`` the match below which hits of a text fit
    too badly as a rule. ``missing`` names the videos of a recommendation's request that are not in
    the index. ``also_asked`` are the texts that synonyms made of the one that was asked.
    """

    hits: list[Hit]
    next_cursor: str | None
    window: int
    total: Total
    borrowed_from: Sequence[str]
    coverage: Mapping[str, float]
    facets: Facets
    timings_ms: Mapping[str, float]
    model: str | None = None
    channels: Sequence[FacetCount] = ()
    match_floor: float | None = None
    missing: Sequence[str] = ()
    also_asked: Sequence[str] = ()

    @property
    def words_coverage(self) -> float | None:
        """The share of the words that the best title found by them has; None if none were asked."""
        return self.coverage.get(WORDS)
