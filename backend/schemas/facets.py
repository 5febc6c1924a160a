"""Facets as callers ask for them and see them, in searches and in browsing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic.json_schema import SkipJsonSchema

from twinlens.backend.schemas.base import AnswerModel
from twinlens.search.facets import Extent, Facets
from twinlens.stores.base import FacetCount

FacetName = Literal[
    "channel", "category", "language", "tags", "published_at", "duration_s", "view_count"
]


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

    channel: CountsBody | SkipJsonSchema[None] = None
    """How many videos each channel has."""
    category: CountsBody | SkipJsonSchema[None] = None
    """How many videos each category has."""
    language: CountsBody | SkipJsonSchema[None] = None
    """How many videos each language has."""
    tags: CountsBody | SkipJsonSchema[None] = None
    """How many videos each tag has."""
    published_at: TimeExtentBody | SkipJsonSchema[None] = None
    """The first and the last moment."""
    duration_s: NumberExtentBody | SkipJsonSchema[None] = None
    """The shortest and the longest, in seconds."""
    view_count: NumberExtentBody | SkipJsonSchema[None] = None
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


def facets_omitted(asked: Sequence[str]) -> Any:
    """What of an answer's ``facets`` was not asked for, as pydantic's ``exclude`` takes it."""
    return set(FacetsBody.model_fields) - set(asked) if asked else True


def _value(one: FacetCount) -> dict[str, Any]:
    return {"value": one.value, "count": one.videos}
