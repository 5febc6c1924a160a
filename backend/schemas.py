"""What callers send and get: typed models, strict about types and unknown fields."""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Mapping
from enum import IntEnum
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import quote

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
from pydantic.json_schema import SkipJsonSchema

from twinlens.backend.facet_schemas import FacetName, FacetsBody, facets_omitted
from twinlens.backend.filters import FilterBody
from twinlens.backend.models import AnswerModel, RequestModel, at_fault, at_least_one_of
from twinlens.backend.problems import FieldError, ProblemBody
from twinlens.catalog.video import MAX_VIDEO_ID_LENGTH, VectorName, payload_thumbnail_file
from twinlens.search.cursor import MAX_CURSOR_LENGTH
from twinlens.search.highlighting import Highlighter
from twinlens.search.searcher import (
    DEFAULT_EXPAND,
    DEFAULT_LIMIT,
    DEFAULT_RRF_K,
    DEFAULT_WEIGHTS,
    DEFAULT_WINDOW,
    CombinedRequest,
    Hit,
    RecommendationRequest,
    SearchRequest,
    SearchResult,
)
from twinlens.stores.base import Payload
from twinlens.stores.generations import Manifest

API_ROOT: Final = "/api/v1"
MAX_TEXT_LENGTH: Final = 2000
MAX_SEEDS: Final = 100
MAX_SEARCHES: Final = 20


def _clean_text(text: str) -> str:
    cleaned = "".join(" " if unicodedata.category(one) == "Cc" else one for one in text).strip()
    if not cleaned:
        raise ValueError("blank: give at least one word, or leave it out")
    return cleaned


def _decode_base64(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from error


def _as_int(value: object) -> object:
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
Attribute = Literal[
    "video_id",
    "title",
    "channel",
    "category",
    "language",
    "tags",
    "published_at",
    "duration_s",
    "view_count",
    "url",
    "thumbnail_url",
]
Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class WeightsBody(RequestModel):
    """The share of each ranking in the fusion; 0 leaves it out. At least one is above 0."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"properties": {name.value: {"exclusiveMinimum": 0}}} for name in VectorName]
        }
    )

    title: Weight = DEFAULT_WEIGHTS[VectorName.TITLE]
    """Of the titles' meaning."""
    words: Weight = DEFAULT_WEIGHTS[VectorName.WORDS]
    """Of the titles' words; multiplied by the share of them that the best title has."""
    thumbnail: Weight = DEFAULT_WEIGHTS[VectorName.THUMBNAIL]
    """Of the thumbnails."""

    @model_validator(mode="after")
    def _not_all_zero(self) -> Self:
        if not any(self.by_name().values()):
            raise ValueError("at least one weight must be above 0")
        return self

    def by_name(self) -> dict[VectorName, float]:
        """The weights by the names of the vectors."""
        return {name: getattr(self, name) for name in VectorName}


class PageBody(RequestModel):
    """How a page of hits is made of rankings, and how it is shown."""

    limit: Annotated[int, Field(ge=1, le=100), BeforeValidator(_as_int)] = DEFAULT_LIMIT
    """Hits per page."""
    cursor: Annotated[str, StringConstraints(max_length=MAX_CURSOR_LENGTH)] | None = None
    """`next_cursor` of the page before, with the rest of the request as it was."""
    rrf_k: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] = DEFAULT_RRF_K
    """The constant of reciprocal rank fusion: the larger, the less do first ranks count."""
    diversity: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """How much it counts that a hit is unlike those before it (maximal marginal relevance)."""
    collapse_duplicates: bool = False
    """Fold re-uploads, with all but the same thumbnail and title, into the best-ranked one."""
    explain: bool = False
    """Say where each ranking placed a hit."""
    attributes: list[Attribute] | None = None
    """Fields of a video to return, beside `video_id`; null for all."""
    facets: list[FacetName] = []
    """Fields to count the values of, over all hits of all pages."""

    def fusion_options(self) -> dict[str, Any]:
        """What ``FusionOptions`` has of these."""
        return {
            "limit": self.limit,
            "cursor": self.cursor,
            "rrf_k": self.rrf_k,
            "diversity": self.diversity,
            "collapse_duplicates": self.collapse_duplicates,
            "facets": list(dict.fromkeys(self.facets)),
        }

    def highlighter(self, hit: Hit) -> Highlighter | None:
        """What marks matched words in the title of ``hit``, if that is asked for."""
        return None

    def omitted(self) -> Mapping[str, Any]:
        """What of a ``SearchAnswer`` was not asked for, as pydantic's ``exclude`` takes it."""
        of_hits: dict[str, Any] = {"highlight": True, "because": True, "found_by": True}
        of_answer: dict[str, Any] = {
            "hits": {"__all__": of_hits},
            "facets": facets_omitted(self.facets),
        }
        if not self.explain:
            of_hits["sources"] = of_answer["borrowed_from"] = of_answer["words_coverage"] = True
        if not self.collapse_duplicates:
            of_hits["duplicates"] = True
        if self.attributes is not None:
            of_hits["video"] = set(VideoBody.model_fields) - {"video_id", *self.attributes}
        return of_answer


class HitsBody(PageBody):
    """The options of every request that asks the rankings itself."""

    filter: FilterBody | None = None
    """Which videos may be hits."""
    weights: WeightsBody = WeightsBody()
    """Each ranking's share in the fusion."""
    window: Annotated[int, Field(ge=1, le=1000), BeforeValidator(_as_int)] = DEFAULT_WINDOW
    """Ranks taken from each ranking; pages are cut from what they give."""

    def fusion_options(self) -> dict[str, Any]:
        """See ``PageBody``."""
        return {
            **super().fusion_options(),
            "filter": self.filter.to_filter() if self.filter else None,
            "weights": self.weights.by_name(),
            "window": self.window,
        }


class SimilarBody(HitsBody):
    """The options of ``videos/{video_id}/similar``."""

    def search_request(self, video_id: str) -> SearchRequest:
        """The search for what is like ``video_id``."""
        return SearchRequest(video_id=video_id, **self.fusion_options())


class RecommendationsBody(HitsBody):
    """Videos that someone liked and disliked, and options."""

    liked: Annotated[VideoIds, Field(min_length=1)]
    """Videos to find more of, such as those watched to the end; none of them is a hit."""
    disliked: VideoIds = []
    """Videos to find less of; none of them is a hit."""

    @field_validator("disliked")
    @classmethod
    def _not_liked(cls, disliked: list[str], info: ValidationInfo) -> list[str]:
        both = set(disliked).intersection(info.data.get("liked", ()))
        if both:
            raise ValueError(f"{min(both)[:100]!r} is both liked and disliked; give it once")
        return disliked

    def recommendation_request(self) -> RecommendationRequest:
        """The recommendations that this body asks for."""
        return RecommendationRequest(
            liked=self.liked, disliked=self.disliked, **self.fusion_options()
        )

    def omitted(self) -> Mapping[str, Any]:
        """See ``PageBody``."""
        omitted = super().omitted()
        if self.explain:
            del omitted["hits"]["__all__"]["because"]
        return omitted


class SearchBody(HitsBody):
    """A search: ``text``, ``image`` and ``video_id``, any of them together, and options."""

    model_config = ConfigDict(
        json_schema_extra=at_least_one_of("text", "image", "video_id", of_type="string")
    )

    text: Text | None = None
    """What to look for, in words. Control characters count as spaces."""
    image: Picture | None = None
    """A picture to look like: JPEG, PNG, WebP, GIF or BMP, at most 40 million pixels."""
    video_id: VideoId | None = None
    """A video to look like; it is left out of the hits."""
    expand: Annotated[int, Field(ge=0, le=20), BeforeValidator(_as_int)] = DEFAULT_EXPAND
    """How many of the best hits lend their thumbnails to a search by text alone; 0: none."""
    highlight: bool = False
    """Mark in each title what the text has matched."""

    @model_validator(mode="after")
    def _something_to_search_by(self) -> Self:
        if self.text is None and self.image is None and self.video_id is None:
            raise at_fault("nothing to search by: give {names}", "text", "image", "video_id")
        return self

    def search_request(self) -> SearchRequest:
        """The search that this body describes."""
        return SearchRequest(
            text=self.text,
            picture=self.image,
            video_id=self.video_id,
            expand=self.expand,
            **self.fusion_options(),
        )

    def highlighter(self, hit: Hit) -> Highlighter | None:
        """See ``PageBody``."""
        return self.marks if self.highlight else None

    @cached_property
    def marks(self) -> Highlighter | None:
        """What marks in titles what the text has matched; None without one."""
        return None if self.text is None else Highlighter(self.text)

    def omitted(self) -> Mapping[str, Any]:
        """See ``PageBody``."""
        omitted = super().omitted()
        if self.highlight:
            del omitted["hits"]["__all__"]["highlight"]
        return omitted


class OneOfSeveralBody(SearchBody):
    """A search among several."""

    weight: Weight = 1.0
    """Its share where the searches are fused into one ranking; 0 leaves it out."""


# What a search can set shapes what it finds or how it is answered; with fuse there is one answer.
_OF_A_FUSED_SEARCH: Final = frozenset(
    {"text", "image", "video_id", "filter", "weights", "rrf_k", "window", "expand", "weight"}
)


class MultiSearchBody(PageBody):
    """Several searches, each with an answer of its own or, with `fuse`, one for all.

    Those options that concern one answer for all are given beside `searches`, and only with `fuse`.
    """

    searches: Annotated[list[OneOfSeveralBody], Field(min_length=1, max_length=MAX_SEARCHES)]
    """The searches."""
    fuse: bool = False
    """Fuse what they find into one ranking."""
    highlight: bool = False
    """Mark in each title what the text of the search has matched that ranks it best."""

    def misplaced(self) -> list[FieldError]:
        """The options that mean nothing where they stand."""
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
                "with fuse, give it beside searches",
                f"{name} in its place",
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

    def combined_request(self) -> CombinedRequest:
        """The one ranking that this body asks for."""
        return CombinedRequest(
            searches=[one.search_request() for one in self.searches],
            shares=[one.weight for one in self.searches],
            window=max(one.window for one in self.searches),
            **self.fusion_options(),
        )

    def highlighter(self, hit: Hit) -> Highlighter | None:
        """See ``PageBody``."""
        if not self.highlight:
            return None
        best, _ = hit.found_by[0]
        return self.searches[best].marks

    def omitted(self) -> Mapping[str, Any]:
        """See ``PageBody``."""
        omitted = super().omitted()
        of_hits = omitted["hits"]["__all__"]
        del of_hits["found_by"]
        if self.highlight:
            del of_hits["highlight"]
        return {**omitted, "borrowed_from": True, "words_coverage": True}


class VideoBody(AnswerModel):
    """A video as callers see it; what is not known is null."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    video_id: str
    """Its id; in a path it is percent-encoded."""
    title: str | None = None
    """Its title."""
    channel: str | None = None
    """Its channel."""
    category: str | None = None
    """Its category."""
    language: str | None = None
    """The language of its title, as a code."""
    tags: list[str] = []
    """Its tags; none is an empty list."""
    published_at: str | None = None
    """When it was published, in RFC 3339."""
    duration_s: float | None = None
    """How long it is, in seconds."""
    view_count: int | None = None
    """How often it was seen."""
    url: str | None = None
    """Where it can be watched."""
    thumbnail_url: str | None = None
    """The path of its thumbnail on this server; null where it has none."""

    @classmethod
    def of(cls, payload: Payload) -> Self:
        """The video that a stored payload describes."""
        video = cls.model_validate(payload)
        if payload_thumbnail_file(payload) is not None:
            video.thumbnail_url = f"{API_ROOT}/videos/{quote(video.video_id, safe='')}/thumbnail"
        return video


class VideoAnswer(AnswerModel):
    """One video."""

    video: VideoBody
    """The video."""
    generation: str
    """The index that answered."""


class SourceBody(AnswerModel):
    """One ranking's view of a hit."""

    rank: int
    """Its rank there, from 1."""
    score: float
    """Its score there: a cosine similarity; for the words BM25's, without bound."""


class SourcesBody(AnswerModel):
    """Why a hit ranked: each ranking's view, null where the hit is not in its window."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    title: SourceBody | None = None
    """By the meaning of the title."""
    words: SourceBody | None = None
    """By the words of the title."""
    thumbnail: SourceBody | None = None
    """By the thumbnail."""


class TitlePartBody(AnswerModel):
    """A stretch of a title."""

    text: str
    """The stretch; whole characters, as a person sees them."""
    matched: bool
    """Whether the searched text has matched it."""


class HighlightBody(AnswerModel):
    """What the searched text has matched."""

    title: list[TitlePartBody]
    """The title in parts; joined they are it."""

    @classmethod
    def of(cls, payload: Payload, highlighter: Highlighter | None) -> HighlightBody | None:
        """The marked title, or None where there is none, or nothing to mark it by."""
        title = payload.get("title")
        if highlighter is None or not isinstance(title, str):
            return None
        parts = highlighter.parts(title)
        return cls(title=[TitlePartBody(text=one.text, matched=one.matched) for one in parts])


class HitVideoBody(VideoBody):
    """A video as a hit: every field, or those that `attributes` names and the `video_id`."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)


class FoundByBody(AnswerModel):
    """A search, of several, that found a hit."""

    search: int
    """Its place among the searches, from 0."""
    rank: int
    """The hit's rank in what it found, from 1."""


class HitBody(AnswerModel):
    """One hit."""

    video: HitVideoBody
    """The video."""
    score: float
    """The fused score."""
    rank: int
    """The place in the whole window, from 1."""
    highlight: HighlightBody | None = None
    """What the text has matched; there when `highlight` is true, null without text or title."""
    duplicates: list[str] = []
    """The re-uploads folded into it, best first; there when `collapse_duplicates` is true."""
    because: list[str] = []
    """The liked videos that recommend it most, at most three; there in recommendations when
    `explain` is true."""
    found_by: list[FoundByBody] = []
    """The searches that found it, the one that ranks it best first; there where several searches
    are fused."""
    sources: SourcesBody | None = None
    """Where each ranking placed it; there when `explain` is true. Where several searches are fused,
    the rankings of the one that ranks it best."""


class SearchAnswer(AnswerModel):
    """A page of hits."""

    hits: list[HitBody]
    """The page, best first."""
    next_cursor: str | None
    """The cursor of the next page; null on the last."""
    window: int
    """Ranks that were taken from each ranking."""
    facets: FacetsBody | SkipJsonSchema[None] = None
    """What `facets` asked for, over all hits of all pages; there when it does."""
    borrowed_from: list[str] = []
    """The videos that lent their thumbnails; there when `explain` is true."""
    words_coverage: float | None = None
    """The share of the words that the best title found by them has, by which their weight was
    multiplied; there when `explain` is true, null where no words were asked."""
    took_ms: float
    """Milliseconds from the request's arrival to just before the answer was written."""
    timings_ms: dict[str, float]
    """Milliseconds per stage."""
    query_id: str
    """The request's id, as in `X-Request-Id`."""
    generation: str
    """The index that answered."""


def search_answer(
    result: SearchResult, asked: PageBody, *, took_ms: float, query_id: str, generation: str
) -> SearchAnswer:
    """A page of hits; ``asked.omitted()`` says what of it was not asked for."""
    return SearchAnswer(
        hits=[
            HitBody(
                video=HitVideoBody.of(hit.payload),
                score=hit.score,
                rank=hit.rank,
                highlight=HighlightBody.of(hit.payload, asked.highlighter(hit)),
                duplicates=list(hit.duplicates),
                because=list(hit.because),
                found_by=[FoundByBody(search=search, rank=rank) for search, rank in hit.found_by],
                sources=SourcesBody(
                    **{
                        name.value: SourceBody(rank=source.rank, score=source.score)
                        for name, source in hit.sources.items()
                    }
                ),
            )
            for hit in result.hits
        ],
        next_cursor=result.next_cursor,
        window=result.window,
        facets=FacetsBody.of(result.facets),
        borrowed_from=list(result.borrowed_from),
        words_coverage=result.words_coverage,
        took_ms=round(took_ms, 3),
        timings_ms={stage: round(spent, 3) for stage, spent in result.timings_ms.items()},
        query_id=query_id,
        generation=generation,
    )


class FailedSearchBody(AnswerModel):
    """Why one of several searches has no answer."""

    problem: ProblemBody
    """What would have been its error, had it been sent alone."""


class MultiSearchAnswer(AnswerModel):
    """The answers of several searches in `results`, or with `fuse` the `hits` of them together."""

    results: list[SearchAnswer | FailedSearchBody] | SkipJsonSchema[None] = None
    """An answer or a problem for each search, in their order; absent with `fuse`."""
    hits: list[HitBody] | SkipJsonSchema[None] = None
    """The page of what they find together, best first; there with `fuse`."""
    next_cursor: str | None = None
    """The cursor of the next page, null on the last; there with `fuse`."""
    window: int | SkipJsonSchema[None] = None
    """The largest of their windows; there with `fuse`."""
    facets: FacetsBody | SkipJsonSchema[None] = None
    """What `facets` asked for, over all hits of all pages; there with `fuse` when it does."""
    took_ms: float
    """Milliseconds from the request's arrival to just before the answer was written."""
    timings_ms: dict[str, float]
    """Milliseconds per stage, over all searches."""
    query_id: str
    """The request's id, as in `X-Request-Id`."""
    generation: str
    """The index that answered all of them."""


class ThumbnailWidth(IntEnum):
    """How wide a thumbnail may be asked for: few, so that few are made and kept."""

    W160 = 160
    W320 = 320
    W480 = 480
    W640 = 640
    W960 = 960


class ThumbnailQuery(RequestModel):
    """How a thumbnail is wanted."""

    w: ThumbnailWidth | None = None
    """At most so wide, in pixels; then as WebP where the picture was wider."""


class EncoderBody(AnswerModel):
    """An encoder that made vectors of the index."""

    name: str
    """Its name, as in the settings."""
    fingerprint: str
    """Changes with whatever changes its vectors."""
    dim: int
    """Numbers per vector."""


class StatsAnswer(AnswerModel):
    """What is published."""

    generation: str
    """The published index."""
    created_at: str
    """When it was made, in RFC 3339."""
    engine: str
    """Where its vectors are searched: `embedded` or `server`."""
    counts: dict[str, int]
    """How many `videos` there are, and how many have a `title`, a `thumbnail` and `words`."""
    encoders: dict[str, EncoderBody]
    """What made its dense vectors, `title` and `thumbnail`."""
    versions: dict[str, str]
    """The versions of the software that made it."""

    @classmethod
    def of(cls, manifest: Manifest) -> StatsAnswer:
        """What ``manifest`` says, less what is the operator's own (its source)."""
        return cls(
            generation=manifest.generation,
            created_at=manifest.created_at,
            engine=manifest.engine,
            counts=dict(manifest.counts),
            encoders={
                name.value: EncoderBody(
                    name=record.name, fingerprint=record.fingerprint, dim=record.dim
                )
                for name, record in manifest.encoders.items()
            },
            versions=dict(manifest.versions),
        )


class HealthAnswer(AnswerModel):
    """That the server lives."""

    status: Literal["ok", "ready"]
    """`ok`: the process answers; `ready`: so does the engine."""
    generation: str | SkipJsonSchema[None] = None
    """The open index; there when it is ready."""
