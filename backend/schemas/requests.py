"""Models of requests, strict about types and unknown fields."""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from twinlens.backend.problems import FieldError
from twinlens.backend.schemas.base import RequestModel, lack, make_fault
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import (
    FieldsModel,
    Members,
    OfFields,
    OneOf,
    Weight,
    WeightsBody,
)
from twinlens.catalog.fields import Fields
from twinlens.catalog.video import MAX_VIDEO_ID_LENGTH
from twinlens.encoders.words import fold_to_words
from twinlens.search.browser import DEFAULT_LIMIT as DEFAULT_VIDEOS
from twinlens.search.browser import MAX_SEED, BrowseRequest
from twinlens.search.cursor import MAX_CURSOR_LENGTH
from twinlens.search.facets import leave_out
from twinlens.search.phrases import MOST_DEMANDS, ReadText, read_text
from twinlens.search.request import (
    DEFAULT_EXPAND,
    DEFAULT_LEARNED_WEIGHT,
    DEFAULT_LIMIT,
    DEFAULT_RRF_K,
    DEFAULT_WINDOW,
    FusionOptions,
    MultiSearchRequest,
    RecommendationRequest,
    SearchRequest,
)
from twinlens.search.steering import DEFAULT_BOOST, MOST_BOOSTS, Boost, Steering
from twinlens.stores.base import Order

MAX_TEXT_LENGTH: Final = 2000
MAX_TYPED_LENGTH: Final = 200
MAX_SUGGESTIONS: Final = 20
DEFAULT_SUGGESTIONS: Final = 8
MAX_SEEDS: Final = 100
MAX_SEARCHES: Final = 20
MAX_EXCLUDED: Final = 1000
# Of all searches of a request together: as much as so many searches take by default.
MAX_RANKS: Final = MAX_SEARCHES * DEFAULT_WINDOW
# Of one that counts facets by further searches: all facets there are with the default window.
MAX_RANKS_OF_A_SEARCH: Final = 2000
# Written out, one character may become eighteen, each of which is read.
MAX_WRITTEN_OUT: Final = 2 * MAX_TEXT_LENGTH


def _clean_text(text: str) -> str:
    cleaned = "".join(" " if unicodedata.category(one) == "Cc" else one for one in text).strip()
    if not cleaned:
        raise ValueError("blank: give at least one word, or leave it out")
    if _count_written_out(cleaned) > MAX_WRITTEN_OUT:
        raise make_fault(
            f"more than {MAX_WRITTEN_OUT:,} characters once signs that stand for several are "
            "written out (NFKC)",
            expected="a shorter text",
        )
    return cleaned


def _count_written_out(text: str) -> int:
    return len(unicodedata.normalize("NFKC", text))


def _decode_base64(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from error


def to_int(value: object) -> object:
    """Return a whole number as an integer, whatever else as it is."""
    # JSON has one kind of number: 5.0 is the integer 5.
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[
    str,
    StringConstraints(max_length=MAX_TEXT_LENGTH),
    AfterValidator(_clean_text),
    Field(json_schema_extra={"pattern": r"[^\s\u0000-\u001f\u007f-\u009f]"}),
]
VideoId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_VIDEO_ID_LENGTH)]
Picture = Annotated[
    bytes,
    BeforeValidator(_decode_base64),
    WithJsonSchema(
        {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": "image/*",
            "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
        }
    ),
]
VideoIds = Annotated[list[VideoId], Field(max_length=MAX_SEEDS)]
# Callers who have none may send an empty one.
CursorText = Annotated[
    Annotated[str, StringConstraints(max_length=MAX_CURSOR_LENGTH)] | None,
    AfterValidator(lambda cursor: cursor or None),
]
Attribute = Annotated[str, OneOf(lambda fields: ["video_id", *fields.names, "thumbnail_url"])]
FacetName = Annotated[str, OneOf(lambda fields: [row.name for row in fields.facets])]
HitPart = Literal[
    "match", "sources", "highlight", "duplicates", "because", "found_by", "pinned", "boosts"
]
Sort = Annotated[
    str, OneOf(lambda fields: [f"{row.name}:{way}" for row in fields.sortable for way in _WAYS])
]
_WAYS: Final = ("desc", "asc")
BoostedField = Annotated[
    str,
    OneOf(
        lambda fields: [row.name for row in fields if row.kind.is_ordered or row.kind.is_counted]
    ),
]


class BoostBody(RequestModel, OfFields):
    """What raises the scores of hits: a number, how new a video is, or a value that it has."""

    field: BoostedField
    """A number counts by its logarithm; a moment with `half_life_days`, a keyword with `value`."""
    weight: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = DEFAULT_BOOST
    """The share by which a score is raised at most: 0.1 is enough to order equally good hits."""
    half_life_days: Annotated[float, Field(ge=0.01, le=36500, allow_inf_nan=False)] | None = None
    """Of a moment: a video gains half as much when it is so many days older."""
    value: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    """Of a keyword: which value raises a score."""

    @model_validator(mode="after")
    def _require_what_fits(self) -> Self:
        if (fault := self.to_boost().find_fault(self.of_fields)) is not None:
            raise make_fault(fault[1], fault[0])
        return self

    def to_boost(self) -> Boost:
        """Return the boost that this body describes."""
        return Boost(
            field=self.field,
            weight=self.weight,
            half_life_days=self.half_life_days,
            value=self.value,
        )


def _require_word(text: str) -> str:
    if not fold_to_words(text):
        raise ValueError("no word in it: give at least one letter or digit")
    return text


_Beginnings = Annotated[
    str, StringConstraints(min_length=1, max_length=100), AfterValidator(_require_word)
]


class FacetQueryBody(RequestModel, FieldsModel):
    """The beginnings of words of a facet's values, folded as those of titles: `isl spo`."""

    @classmethod
    def members(cls, fields: Fields) -> Members:
        """Return a text for each facet whose values are counted."""
        said = "Which values to count: those in which each of its words begins a word."
        return {
            row.name: (_Beginnings | None, Field(None, description=said)) for row in fields.counted
        }

    def by_name(self) -> dict[str, str]:
        """Return the texts by the names of their facets."""
        return {name: text for name, text in self.model_dump().items() if text is not None}


def _check_facet_query(query: FacetQueryBody | None, info: ValidationInfo) -> FacetQueryBody | None:
    if query is not None and (left := query.by_name().keys() - set(info.data.get("facets", ()))):
        name = min(left)
        raise make_fault(f"{name} is not among facets", expected=f"{name} in facets, too")
    return query


FacetQuery = Annotated[FacetQueryBody | None, AfterValidator(_check_facet_query)]


class PageBody(RequestModel, OfFields):
    """Options for fusing rankings into a page of hits, and for showing it."""

    limit: Annotated[int, Field(ge=1, le=100), BeforeValidator(to_int)] = DEFAULT_LIMIT
    """Hits per page."""
    cursor: CursorText = None
    """`next_cursor` of the page before, with the rest of the request as it was."""
    rrf_k: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] = DEFAULT_RRF_K
    """The constant of reciprocal rank fusion: the larger, the less do first ranks count."""
    diversity: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """How much it counts that a hit is unlike those before it (maximal marginal relevance)."""
    collapse_duplicates: bool = False
    """Fold re-uploads, with nearly the same thumbnail and title, into the best-ranked one."""
    explain: bool = False
    """Say where each ranking placed a hit."""
    attributes: list[Attribute] | None = None
    """Fields of a video to return, beside `video_id`; null for all."""
    facets: list[FacetName] = []
    """Fields to count the values of, over all hits of all pages, at most 1,000."""
    facet_query: FacetQuery = None
    """Of a facet only the values that begin so, to search among them."""
    exclude: Annotated[list[VideoId], Field(max_length=MAX_EXCLUDED)] = []
    """Videos that are no hits; pages stay as full without them."""
    boost: Annotated[list[BoostBody], Field(max_length=MOST_BOOSTS)] | None = None
    """What raises scores within the window; null: what the operator has set, `[]`: nothing."""
    sort: Sort | None = None
    """The field to put the hits of the window in order by, and which way, instead of their scores;
    videos without it come last, whichever way."""
    max_per_channel: Annotated[int, Field(ge=1, le=1000), BeforeValidator(to_int)] | None = None
    """How many hits of one channel may come, over all pages."""

    @field_validator("sort")
    @classmethod
    def _refuse_beside_diversity(cls, sort: str | None, info: ValidationInfo) -> str | None:
        if sort is not None and info.data.get("diversity"):
            raise make_fault(
                "hits are either sorted or diversified: give one of the two",
                expected="no sort beside a diversity above 0, or no diversity",
            )
        return sort

    def to_fusion_options(self) -> FusionOptions:
        """Return the options of the search."""
        boosts = None if self.boost is None else tuple(one.to_boost() for one in self.boost)
        return FusionOptions(
            limit=self.limit,
            cursor=self.cursor,
            rrf_k=self.rrf_k,
            diversity=self.diversity,
            collapse_duplicates=self.collapse_duplicates,
            facets=list(dict.fromkeys(self.facets)),
            facet_query=self.facet_query.by_name() if self.facet_query else {},
            exclude=self.exclude,
            steering=Steering(
                boosts=boosts, sort=_to_order(self.sort), max_per_channel=self.max_per_channel
            ),
        )

    def list_hit_parts(self) -> set[HitPart]:
        """Return the optional parts of a hit that this request asks for."""
        parts: set[HitPart] = set()
        if self.explain:
            parts |= {"sources", "pinned", "boosts"}
        if self.collapse_duplicates:
            parts.add("duplicates")
        return parts

    def list_texts_to_mark(self) -> Sequence[str | None]:
        """Return the text of each search, where matches are to be marked in titles; else none."""
        return []


class HitsBody(PageBody):
    """The options of every request that asks the rankings itself."""

    filter: FilterBody | None = None
    """Which videos may be hits."""
    weights: WeightsBody = WeightsBody()
    """Each ranking's share in the fusion."""
    window: Annotated[int, Field(ge=1, le=1000), BeforeValidator(to_int)] = DEFAULT_WINDOW
    """Ranks taken from each ranking; pages are cut from what they give."""

    def to_fusion_options(self) -> FusionOptions:
        """See ``PageBody``."""
        return replace(
            super().to_fusion_options(),
            filter=self.filter.to_filter() if self.filter else None,
            weights=self.weights.by_name(),
            window=self.window,
        )


class LearnedBody(HitsBody):
    """The options of requests in which a trained model takes part."""

    learned_weight: Weight = DEFAULT_LEARNED_WEIGHT
    """The share of what the trained model finds, where one is published; 0 leaves it out."""

    def to_fusion_options(self) -> FusionOptions:
        """See ``PageBody``."""
        return replace(super().to_fusion_options(), learned_weight=self.learned_weight)


class DisjunctiveBody(HitsBody):
    """The options of one search."""

    disjunctive_facets: bool = False
    """Count a facet as if the filter had no condition on its field, to offer its other values."""

    @field_validator("disjunctive_facets")
    @classmethod
    def _refuse_too_much(cls, disjunctive: bool, info: ValidationInfo) -> bool:
        if disjunctive and count_ranks(info.data) > MAX_RANKS_OF_A_SEARCH:
            raise make_fault(
                f"together more than {MAX_RANKS_OF_A_SEARCH:,} ranks: a `window` for the hits, and "
                "one for each facet that the filter has a condition on",
                expected="a smaller window, or fewer such facets",
            )
        return disjunctive


def count_ranks(given: Mapping[str, Any]) -> int:
    """Return how many ranks are taken from a ranking, of the values of a body."""
    window: int = given.get("window", DEFAULT_WINDOW)
    filter: FilterBody | None = given.get("filter")
    if not given.get("disjunctive_facets", True) or filter is None:
        return window
    whole = filter.to_filter()
    further = [one for one in set(given.get("facets", ())) if leave_out(whole, one) != whole]
    return window * (1 + len(further))


class SimilarBody(DisjunctiveBody, LearnedBody):
    """The options of ``videos/{video_id}/similar``."""

    def to_search_request(self, video_id: str) -> SearchRequest:
        """Return the search for what is like ``video_id``."""
        request = SearchRequest(video_id=video_id, disjunctive_facets=self.disjunctive_facets)
        return request.with_options(self.to_fusion_options())


class RecommendationsBody(LearnedBody):
    """Videos that someone liked and disliked, and options."""

    liked: Annotated[VideoIds, Field(min_length=1)]
    """Videos to find more of, such as those watched to the end; none of them is a hit."""
    disliked: VideoIds = []
    """Videos to find less of; none of them is a hit."""

    @field_validator("disliked")
    @classmethod
    def _refuse_liked(cls, disliked: list[str], info: ValidationInfo) -> list[str]:
        both = set(disliked).intersection(info.data.get("liked", ()))
        if both:
            raise ValueError(f"{min(both)[:100]!r} is both liked and disliked; give it once")
        return disliked

    def to_recommendation_request(self) -> RecommendationRequest:
        """Return the recommendations that this body asks for."""
        request = RecommendationRequest(liked=self.liked, disliked=self.disliked)
        return request.with_options(self.to_fusion_options())

    def list_hit_parts(self) -> set[HitPart]:
        """See ``PageBody``."""
        return super().list_hit_parts() | ({"because"} if self.explain else set())


class SearchBody(DisjunctiveBody):
    """A search: at least one of ``text``, ``image`` and ``video_id``, and options."""

    model_config = ConfigDict(json_schema_extra={"not": lack("text", "image", "video_id")})

    text: Text | None = None
    """What to look for, in words. Control characters count as spaces. What stands in quotes must
    stand so in the title of every hit, and a `-word` in none."""
    image: Picture | None = None
    """A picture to look like: JPEG, PNG, WebP, AVIF, GIF or BMP, at most 40 million pixels."""
    video_id: VideoId | None = None
    """A video to look like; it is left out of the hits."""
    expand: Annotated[int, Field(ge=0, le=20), BeforeValidator(to_int)] = DEFAULT_EXPAND
    """How many of the best hits lend their thumbnails to a search by text alone; 0: none."""
    highlight: bool = False
    """Mark in each title what the text has matched."""
    min_match: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """Leave out hits whose `match` is less; `match_floor` of an answer is a good one. It leaves out
    none where hits have no `match`."""

    @model_validator(mode="after")
    def _require_something(self) -> Self:
        if self.text is None and self.image is None and self.video_id is None:
            raise make_fault("nothing to search by: give {names}", "text", "image", "video_id")
        demands = self._read_text().demands
        if len(demands.phrases) + len(demands.without) > MOST_DEMANDS:
            raise make_fault(
                f"more than {MOST_DEMANDS} phrases in quotes and words to leave out",
                "text",
                expected="fewer of them",
            )
        if self._read_text().text is None and self.image is None and self.video_id is None:
            raise make_fault(
                "nothing to search by: there are only words to leave out",
                "text",
                expected="a word to look for beside them",
            )
        return self

    def _read_text(self) -> ReadText:
        return read_text(self.text or "")

    def to_search_request(self) -> SearchRequest:
        """Return the search that this body describes."""
        text, demands = self._read_text()
        request = SearchRequest(
            text=text,
            picture=self.image,
            video_id=self.video_id,
            expand=self.expand,
            demands=demands,
            disjunctive_facets=self.disjunctive_facets,
        )
        options = replace(self.to_fusion_options(), min_match=self.min_match)
        return request.with_options(options)

    def list_hit_parts(self) -> set[HitPart]:
        """See ``PageBody``."""
        parts: set[HitPart] = {"match", "highlight"} if self.highlight else {"match"}
        return super().list_hit_parts() | parts

    def list_texts_to_mark(self) -> Sequence[str | None]:
        """See ``PageBody``."""
        return [self._read_text().text] if self.highlight else []


def _refuse_controls(text: str) -> str:
    if any(unicodedata.category(one) == "Cc" for one in text):
        raise ValueError("control characters can't be typed; leave them out")
    return text


class SuggestBody(RequestModel):
    """What somebody has typed so far."""

    q: Annotated[
        str,
        StringConstraints(max_length=MAX_TYPED_LENGTH),
        AfterValidator(_refuse_controls),
        Field(json_schema_extra={"pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}),
    ]
    """What was typed. Its last word may go on, unless a space follows it."""
    limit: Annotated[int, Field(ge=1, le=MAX_SUGGESTIONS), BeforeValidator(to_int)] = (
        DEFAULT_SUGGESTIONS
    )
    """Suggestions at most."""


class MultiSearchItemBody(SearchBody):
    """A search among several."""

    weight: Weight = 1.0
    """Its share where the searches are fused into one ranking; 0 leaves it out."""


# With `fuse` there is one answer, so a search may set only what decides its hits.
_OF_A_FUSED_SEARCH: Final = frozenset(
    {
        *("text", "image", "video_id", "filter", "min_match"),
        *("weights", "rrf_k", "window", "expand", "weight"),
    }
)


class MultiSearchBody(PageBody):
    """Several searches, each with an answer of its own or, with `fuse`, one for all.

    Those options that concern one answer for all are given beside `searches`, and only with `fuse`.
    """

    searches: Annotated[list[MultiSearchItemBody], Field(min_length=1, max_length=MAX_SEARCHES)]
    """The searches. Their `window`s together are at most 4,000 ranks, their texts 4,000
    characters."""
    fuse: bool = False
    """Fuse what they find into one ranking."""
    highlight: bool = False
    """Mark in each title what the text of the search has matched that ranks it best."""

    @field_validator("searches")
    @classmethod
    def _refuse_too_much(cls, searches: list[MultiSearchItemBody]) -> list[MultiSearchItemBody]:
        if sum(count_ranks(dict(one)) for one in searches) > MAX_RANKS:
            raise make_fault(
                f"together more than {MAX_RANKS:,} ranks, by the window of each",
                expected="smaller windows, or fewer searches",
            )
        # Equal ones as well: long texts are in no cache, and each is encoded.
        if sum(_count_written_out(one.text or "") for one in searches) > MAX_WRITTEN_OUT:
            raise make_fault(
                f"together more than {MAX_WRITTEN_OUT:,} characters of text",
                expected="shorter texts, or fewer searches",
            )
        return searches

    def find_misplaced(self) -> list[FieldError]:
        """Return the options that mean nothing where they stand."""
        if not self.fuse:
            own = self.model_fields_set - {"searches", "fuse"}
            return [
                *(
                    FieldError(
                        name,
                        "only with fuse; else give it in each search",
                        f"searches.0.{name} and so on in its place, or fuse: true",
                    )
                    for name in sorted(own)
                ),
                *(
                    FieldError(f"searches.{at}.weight", "only with fuse", "fuse: true, or none")
                    for at, one in enumerate(self.searches)
                    if "weight" in one.model_fields_set
                ),
            ]
        found = [
            FieldError(
                f"searches.{at}.{name}",
                *(
                    ("with fuse, give it beside searches", f"{name} in its place")
                    if name in PageBody.model_fields or name == "highlight"
                    else ("not with fuse", "none, or fuse: false")
                ),
            )
            for at, one in enumerate(self.searches)
            for name in sorted(one.model_fields_set - _OF_A_FUSED_SEARCH)
        ]
        if not any(one.weight for one in self.searches):
            found.append(
                FieldError(
                    "searches",
                    "at least one weight must be above 0",
                    "a search whose weight is above 0, and at most 1,000",
                )
            )
        return found

    def to_multi_search_request(self) -> MultiSearchRequest:
        """Return the one ranking that this body asks for."""
        request = MultiSearchRequest(
            searches=[one.to_search_request() for one in self.searches],
            shares=[one.weight for one in self.searches],
        )
        window = max(one.window for one in self.searches)
        return request.with_options(replace(self.to_fusion_options(), window=window))

    def list_hit_parts(self) -> set[HitPart]:
        """See ``PageBody``."""
        parts = super().list_hit_parts()
        parts |= {"match", "found_by"}
        if self.highlight:
            parts.add("highlight")
        return parts

    def list_texts_to_mark(self) -> Sequence[str | None]:
        """See ``PageBody``."""
        return [one._read_text().text for one in self.searches] if self.highlight else []


class BrowseBody(RequestModel, OfFields):
    """A choice of videos to page through, and their order."""

    limit: Annotated[int, Field(ge=1, le=100)] = DEFAULT_VIDEOS
    """Videos per page."""
    cursor: CursorText = None
    """`next_cursor` of the page before, with the rest of the request as it was."""
    filter: FilterBody | None = None
    """Which videos to page through."""
    sort: Sort | None = None
    """The field to sort by, and which way; videos without it come last, whichever way."""
    order: Literal["random"] | None = None
    """`random`: shuffled, in place of a `sort`."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    """Which shuffle; one seed gives one order. Drawn by the server where it is left out."""
    facets: list[FacetName] = []
    """Fields to count the values of, over all videos that pass the filter."""
    facet_query: FacetQuery = None
    """Of a facet only the values that begin so, to search among them."""
    disjunctive_facets: bool = False
    """Count a facet as if the filter had no condition on its field, to offer its other values."""
    attributes: list[Attribute] | None = None
    """Fields of a video to return, beside `video_id`; null for all."""

    @field_validator("order")
    @classmethod
    def _refuse_beside_sort(cls, order: str | None, info: ValidationInfo) -> str | None:
        if order is not None and info.data.get("sort") is not None:
            raise make_fault(
                "videos are either sorted or in random order: give one of the two",
                expected="no order beside a sort, or no sort",
            )
        return order

    @field_validator("seed")
    @classmethod
    def _require_shuffle(cls, seed: int | None, info: ValidationInfo) -> int | None:
        if seed is not None and info.data.get("order", "random") is None:
            raise make_fault(
                "only a random order has a seed: give order=random, too",
                expected="no seed, or order=random beside it",
            )
        return seed

    def to_browse_request(self) -> BrowseRequest:
        """Return the page that this body asks for."""
        return BrowseRequest(
            filter=self.filter.to_filter() if self.filter else None,
            order=_to_order(self.sort),
            shuffled=self.order == "random",
            seed=self.seed,
            limit=self.limit,
            cursor=self.cursor,
            facets=list(dict.fromkeys(self.facets)),
            facet_query=self.facet_query.by_name() if self.facet_query else {},
            disjunctive_facets=self.disjunctive_facets,
        )


class LookupBody(RequestModel, OfFields):
    """Videos to look up."""

    video_ids: Annotated[VideoIds, Field(min_length=1)]
    """Their ids, at most 100; one that is given twice counts once."""
    attributes: list[Attribute] | None = None
    """Fields of a video to return, beside `video_id`; null for all."""


def _to_order(sort: str | None) -> Order | None:
    if sort is None:
        return None
    field, _, way = sort.partition(":")
    return Order(field, descending=way == "desc")


class ThumbnailWidth(IntEnum):
    """The widths of thumbnails: few, so that few are made and kept."""

    W160 = 160
    W320 = 320
    W480 = 480
    W640 = 640
    W960 = 960


class ThumbnailQuery(RequestModel):
    """Options of a thumbnail."""

    w: ThumbnailWidth | None = None
    """At most so wide, in pixels; then as WebP where the picture was wider."""
