"""What callers of ``videos`` send and get, and the facets that searches have in common with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from backend.browsing import DEFAULT_LIMIT, MAX_SEED, BrowseRequest, BrowseResult
from backend.cursor import MAX_CURSOR_LENGTH
from backend.facets import Extent, Facets
from backend.filters import FilterBody
from backend.models import AnswerModel, RequestModel
from backend.schemas import Attribute, HitVideoBody, VideoBody
from stores.base import FacetCount, Order

Sort = Literal[
    "published_at:desc",
    "published_at:asc",
    "view_count:desc",
    "view_count:asc",
    "duration_s:desc",
    "duration_s:asc",
]
FacetName = Literal[
    "channel", "category", "language", "tags", "published_at", "duration_s", "view_count"
]


class BrowseBody(RequestModel):
    """Which videos to page through, and in which order."""

    limit: Annotated[int, Field(ge=1, le=100)] = DEFAULT_LIMIT
    """Videos per page."""
    cursor: Annotated[str, StringConstraints(max_length=MAX_CURSOR_LENGTH)] | None = None
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
    attributes: list[Attribute] | None = None
    """Fields of a video to return, beside `video_id`; null for all."""

    @field_validator("order")
    @classmethod
    def _not_sorted(cls, order: str | None, info: ValidationInfo) -> str | None:
        if order is not None and info.data.get("sort") is not None:
            raise ValueError("videos are either sorted or in random order: give one of the two")
        return order

    @field_validator("seed")
    @classmethod
    def _of_a_shuffle(cls, seed: int | None, info: ValidationInfo) -> int | None:
        if seed is not None and info.data.get("order", "random") is None:
            raise ValueError("only a random order has a seed: give order=random, too")
        return seed

    def browse_request(self) -> BrowseRequest:
        """The page that this body asks for."""
        order = None
        if self.sort is not None:
            field, _, way = self.sort.partition(":")
            order = Order(field, descending=way == "desc")
        return BrowseRequest(
            condition=self.filter.condition() if self.filter else None,
            order=order,
            shuffled=self.order == "random",
            seed=self.seed,
            limit=self.limit,
            cursor=self.cursor,
            facets=list(dict.fromkeys(self.facets)),
        )


class FacetValueBody(AnswerModel):
    """A value of a field."""

    value: str
    """The value."""
    count: int
    """How many videos have it."""


class CountsBody(AnswerModel):
    """The values of a field."""

    values: list[FacetValueBody]
    """The most frequent first, ties by value; at most 100."""


class NumberExtentBody(AnswerModel):
    """From where to where a number goes."""

    min: int | float | None
    """The least; null where no video has the field."""
    max: int | float | None
    """The greatest; null where no video has the field."""


class TimeExtentBody(AnswerModel):
    """From where to where moments go."""

    min: str | None
    """The first, in RFC 3339; null where no video has the field."""
    max: str | None
    """The last, in RFC 3339; null where no video has the field."""


class FacetsBody(AnswerModel):
    """The facets that were asked for. Videos without a field don't count in its facet."""

    channel: CountsBody | None = None
    """How many videos each channel has."""
    category: CountsBody | None = None
    """How many videos each category has."""
    language: CountsBody | None = None
    """How many videos each language has."""
    tags: CountsBody | None = None
    """How many videos each tag has."""
    published_at: TimeExtentBody | None = None
    """The first and the last moment."""
    duration_s: NumberExtentBody | None = None
    """The shortest and the longest, in seconds."""
    view_count: NumberExtentBody | None = None
    """The least and the most often seen."""

    @classmethod
    def of(cls, facets: Facets) -> FacetsBody:
        """The facets, as callers see them."""
        made: dict[str, Any] = {}
        for field, facet in facets.items():
            if not isinstance(facet, Extent):
                made[field] = {"values": [_value(one) for one in facet]}
            else:
                made[field] = {"min": facet.least, "max": facet.greatest}
        return cls.model_validate(made)


class BrowseAnswer(AnswerModel):
    """A page of videos."""

    videos: list[HitVideoBody]
    """The page."""
    next_cursor: str | None
    """The cursor of the next page; null on the last."""
    total: int
    """How many videos pass the filter, over all pages."""
    seed: int | None
    """The seed of the random order; null without one."""
    facets: FacetsBody | None = None
    """What `facets` asked for; there when it does."""
    took_ms: float
    """Milliseconds from the request's arrival to just before the answer was written."""
    timings_ms: dict[str, float]
    """Milliseconds per stage."""
    query_id: str
    """The request's id, as in `X-Request-Id`."""
    generation: str
    """The index that answered."""


def browse_answer_json(
    result: BrowseResult, asked: BrowseBody, *, took_ms: float, query_id: str, generation: str
) -> str:
    """A page of videos as JSON text, with what ``asked`` wants of it."""
    answer = BrowseAnswer(
        videos=[HitVideoBody.of(video.payload) for video in result.videos],
        next_cursor=result.next_cursor,
        total=result.total,
        seed=result.seed,
        facets=FacetsBody.of(result.facets),
        took_ms=round(took_ms, 3),
        timings_ms={stage: round(spent, 3) for stage, spent in result.timings_ms.items()},
        query_id=query_id,
        generation=generation,
    )
    omitted: dict[str, Any] = {"facets": facets_omitted(asked.facets)}
    if asked.attributes is not None:
        fields = set(VideoBody.model_fields) - {"video_id", *asked.attributes}
        omitted["videos"] = {"__all__": fields}
    return answer.model_dump_json(exclude=omitted)


def facets_omitted(asked: Sequence[str]) -> Any:
    """What of an answer's ``facets`` was not asked for, as pydantic's ``exclude`` takes it."""
    return set(FacetsBody.model_fields) - set(asked) if asked else True


def _value(one: FacetCount) -> dict[str, Any]:
    return {"value": one.value, "count": one.videos}
