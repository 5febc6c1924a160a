"""What callers send and get: typed models, strict about types and unknown fields."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from backend.cursor import MAX_CURSOR_LENGTH
from backend.search import (
    DEFAULT_EXPAND,
    DEFAULT_LIMIT,
    DEFAULT_RRF_K,
    DEFAULT_WEIGHTS,
    DEFAULT_WINDOW,
    SearchRequest,
    SearchResult,
)
from catalog.video import MAX_VIDEO_ID_LENGTH, VectorName, payload_thumbnail_file
from stores.base import Payload
from stores.filters import And, AnyOf, Filter, Range
from stores.generations import Manifest

API_ROOT: Final = "/api/v1"
MAX_TEXT_LENGTH: Final = 2000
MAX_FILTER_VALUES: Final = 100


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


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_bounds(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"gte": value, "lte": value} if is_number else value


def _rfc3339(value: object) -> object:
    # Looser parsers also take bare numbers, for seconds since 1970.
    if not (isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[Tt ]", value)):
        raise ValueError("give a moment as RFC 3339 text: 2024-01-31T00:00:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    # Engines differ on years of fewer than four digits, and offsets can lead past either end.
    if not 1000 < moment.year < 9999:
        raise ValueError("the year must lie between 1001 and 9998")
    return moment.astimezone(UTC)


Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_LENGTH), AfterValidator(_clean_text)]
VideoId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_VIDEO_ID_LENGTH)]
Picture = Annotated[bytes, BeforeValidator(_decode_base64)]
Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Number = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
Moment = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_rfc3339), AfterValidator(_in_utc)
]
Words = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=1000)]],
    Field(min_length=1, max_length=MAX_FILTER_VALUES),
    BeforeValidator(_as_list),
]


class RequestModel(BaseModel):
    """Strict: no type is coerced, no unknown field is overlooked."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Bounds(RequestModel):
    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("give at least one of gt, gte, lt, lte")
        return self


class NumberBounds(_Bounds):
    """Bounds of a number; at least one."""

    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None


class TimeBounds(_Bounds):
    """Bounds of a moment, in RFC 3339 with an offset; at least one."""

    gt: Moment | None = None
    gte: Moment | None = None
    lt: Moment | None = None
    lte: Moment | None = None


class FilterBody(RequestModel):
    """Which videos may be hits: every field given holds; of a list, one value is enough."""

    channel: Words | None = None
    category: Words | None = None
    language: Words | None = None
    tags: Words | None = None
    published_at: TimeBounds | None = None
    duration_s: Annotated[NumberBounds, BeforeValidator(_as_bounds)] | None = None
    view_count: Annotated[NumberBounds, BeforeValidator(_as_bounds)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            unknown = [name for name in value if name not in cls.model_fields]
            if unknown:
                raise ValueError(
                    f"unknown field {str(unknown[0])[:100]!r}; known: {', '.join(cls.model_fields)}"
                )
        return value

    def condition(self) -> Filter | None:
        """The condition that stores understand, or None where nothing is asked."""
        parts: list[Filter] = []
        for name in FilterBody.model_fields:
            match getattr(self, name):
                case list() as words:
                    parts.append(AnyOf(name, tuple(words)))
                case NumberBounds() | TimeBounds() as bounds:
                    parts.append(Range(field=name, **bounds.model_dump()))
        return And(tuple(parts)) if parts else None


class WeightsBody(RequestModel):
    """The share of each ranking in the fusion; 0 leaves it out."""

    title: Weight = DEFAULT_WEIGHTS[VectorName.TITLE]
    words: Weight = DEFAULT_WEIGHTS[VectorName.WORDS]
    thumbnail: Weight = DEFAULT_WEIGHTS[VectorName.THUMBNAIL]

    @model_validator(mode="after")
    def _not_all_zero(self) -> Self:
        if not any(self.by_name().values()):
            raise ValueError("at least one weight must be above 0")
        return self

    def by_name(self) -> dict[VectorName, float]:
        """The weights by the names of the vectors."""
        return {name: getattr(self, name) for name in VectorName}


class SimilarBody(RequestModel):
    """The options of ``videos/{video_id}/similar``."""

    limit: Annotated[int, Field(ge=1, le=100)] = DEFAULT_LIMIT
    cursor: Annotated[str, StringConstraints(max_length=MAX_CURSOR_LENGTH)] | None = None
    filter: FilterBody | None = None
    weights: WeightsBody = WeightsBody()
    rrf_k: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] = DEFAULT_RRF_K
    window: Annotated[int, Field(ge=1, le=1000)] = DEFAULT_WINDOW
    explain: bool = False

    def search_request(self, **wanted: Any) -> SearchRequest:
        """The search that these options and ``wanted`` describe."""
        return SearchRequest(
            limit=self.limit,
            cursor=self.cursor,
            condition=self.filter.condition() if self.filter else None,
            weights=self.weights.by_name(),
            rrf_k=self.rrf_k,
            window=self.window,
            **wanted,
        )


class SearchBody(SimilarBody):
    """A search: ``text``, ``image`` and ``video_id``, any of them together, and options."""

    text: Text | None = None
    image: Picture | None = None
    video_id: VideoId | None = None
    expand: Annotated[int, Field(ge=0, le=20)] = DEFAULT_EXPAND

    @model_validator(mode="after")
    def _something_to_search_by(self) -> Self:
        if self.text is None and self.image is None and self.video_id is None:
            raise ValueError("nothing to search by: give text, image or video_id")
        return self

    def search_request(self, **wanted: Any) -> SearchRequest:
        """The search that this body describes."""
        return super().search_request(
            text=self.text,
            picture=self.image,
            video_id=self.video_id,
            expand=self.expand,
            **wanted,
        )


class VideoBody(BaseModel):
    """A video as callers see it; ``thumbnail_url`` is a path on this server."""

    video_id: str
    title: str | None = None
    channel: str | None = None
    category: str | None = None
    language: str | None = None
    tags: list[str] = []
    published_at: str | None = None
    duration_s: float | None = None
    view_count: int | None = None
    url: str | None = None
    thumbnail_url: str | None = None

    @classmethod
    def of(cls, payload: Payload) -> VideoBody:
        """The video that a stored payload describes."""
        video = cls.model_validate(payload)
        if payload_thumbnail_file(payload) is not None:
            video.thumbnail_url = f"{API_ROOT}/videos/{quote(video.video_id, safe='')}/thumbnail"
        return video


class VideoAnswer(BaseModel):
    """The answer of ``videos/{video_id}``."""

    video: VideoBody
    generation: str


class SourceBody(BaseModel):
    """One ranking's view of a hit: its rank there, and its score; a cosine, but for words."""

    rank: int
    score: float


class SourcesBody(BaseModel):
    """Why a hit ranked: each ranking's view, null where the hit is not in its window."""

    title: SourceBody | None = None
    words: SourceBody | None = None
    thumbnail: SourceBody | None = None


class HitBody(BaseModel):
    """One hit; ``sources`` is there when ``explain`` is true."""

    video: VideoBody
    score: float
    rank: int
    sources: SourcesBody | None


class SearchAnswer(BaseModel):
    """The answer of a search."""

    hits: list[HitBody]
    next_cursor: str | None
    window: int
    borrowed_from: list[str]
    words_coverage: float | None
    took_ms: float
    timings_ms: dict[str, float]
    query_id: str
    generation: str


def search_answer_json(
    result: SearchResult, *, explain: bool, took_ms: float, query_id: str, generation: str
) -> str:
    """A page of hits as JSON text."""
    answer = SearchAnswer(
        hits=[
            HitBody(
                video=VideoBody.of(hit.payload),
                score=hit.score,
                rank=hit.rank,
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
        borrowed_from=list(result.borrowed_from),
        words_coverage=result.words_coverage,
        took_ms=round(took_ms, 3),
        timings_ms={stage: round(spent, 3) for stage, spent in result.timings_ms.items()},
        query_id=query_id,
        generation=generation,
    )
    if explain:
        return answer.model_dump_json()
    return answer.model_dump_json(
        exclude={
            "hits": {"__all__": {"sources"}},
            "borrowed_from": True,
            "words_coverage": True,
        }
    )


class EncoderBody(BaseModel):
    """An encoder that made vectors of the index."""

    name: str
    fingerprint: str
    dim: int


class StatsAnswer(BaseModel):
    """The answer of ``stats``: the published generation."""

    generation: str
    created_at: str
    engine: str
    counts: dict[str, int]
    encoders: dict[str, EncoderBody]
    versions: dict[str, str]

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


class HealthAnswer(BaseModel):
    """The answer of ``healthz`` and ``readyz``."""

    status: str
    generation: str | None = None
