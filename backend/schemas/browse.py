"""What callers of ``videos`` send and get."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema

from twinlens.backend.schemas.answers import HitVideoBody
from twinlens.backend.schemas.base import AnswerModel, RequestModel, at_fault
from twinlens.backend.schemas.facets import FacetName, FacetsBody, facets_omitted
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import OfFields, OneOf, fit
from twinlens.backend.schemas.requests import Attribute
from twinlens.search.browser import DEFAULT_LIMIT, MAX_SEED, BrowseRequest, BrowseResult
from twinlens.search.cursor import MAX_CURSOR_LENGTH
from twinlens.stores.base import Order

Sort = Annotated[
    str, OneOf(lambda fields: [f"{row.name}:{way}" for row in fields.sortable for way in _WAYS])
]
_WAYS: Final = ("desc", "asc")


class BrowseBody(RequestModel, OfFields):
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
            raise at_fault(
                "videos are either sorted or in random order: give one of the two",
                expected="no order beside a sort, or no sort",
            )
        return order

    @field_validator("seed")
    @classmethod
    def _of_a_shuffle(cls, seed: int | None, info: ValidationInfo) -> int | None:
        if seed is not None and info.data.get("order", "random") is None:
            raise at_fault(
                "only a random order has a seed: give order=random, too",
                expected="no seed, or order=random beside it",
            )
        return seed

    def browse_request(self) -> BrowseRequest:
        """The page that this body asks for."""
        order = None
        if self.sort is not None:
            field, _, way = self.sort.partition(":")
            order = Order(field, descending=way == "desc")
        return BrowseRequest(
            filter=self.filter.to_filter() if self.filter else None,
            order=order,
            shuffled=self.order == "random",
            seed=self.seed,
            limit=self.limit,
            cursor=self.cursor,
            facets=list(dict.fromkeys(self.facets)),
        )


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
    facets: FacetsBody | SkipJsonSchema[None] = None
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
    fields = asked.of_fields
    video_body = fit(HitVideoBody, fields)
    answer = fit(BrowseAnswer, fields)(
        videos=[video_body.of(video.payload) for video in result.videos],
        next_cursor=result.next_cursor,
        total=result.total,
        seed=result.seed,
        facets=fit(FacetsBody, fields).of(result.facets),
        took_ms=round(took_ms, 3),
        timings_ms={stage: round(spent, 3) for stage, spent in result.timings_ms.items()},
        query_id=query_id,
        generation=generation,
    )
    omitted: dict[str, Any] = {"facets": facets_omitted(asked.facets, fields)}
    if asked.attributes is not None:
        unasked = set(video_body.model_fields) - {"video_id", *asked.attributes}
        omitted["videos"] = {"__all__": unasked}
    return answer.model_dump_json(exclude=omitted)
