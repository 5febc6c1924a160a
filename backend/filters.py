"""The filter language of requests: typed models, and what stores make of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from backend.models import RequestModel, at_least_one_of
from stores.filters import And, AnyOf, Filter, Range

MAX_FILTER_VALUES: Final = 100


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


Number = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
Moment = Annotated[
    AwareDatetime,
    Field(
        strict=False,
        json_schema_extra={"pattern": r"^(?!1000|9999)[1-9]\d{3}-\d\d-\d\d[Tt ]"},
    ),
    BeforeValidator(_rfc3339),
    AfterValidator(_in_utc),
]
_Word = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
_Words = Annotated[list[_Word], Field(min_length=1, max_length=MAX_FILTER_VALUES)]
Words = Annotated[_Words, BeforeValidator(_as_list, json_schema_input_type=_Word | _Words)]


class _Bounds(RequestModel):
    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("give at least one of gt, gte, lt, lte")
        return self


class NumberBounds(_Bounds):
    """Bounds of a number; at least one."""

    model_config = ConfigDict(
        json_schema_extra=at_least_one_of("gt", "gte", "lt", "lte", of_type="number")
    )

    gt: Number | None = None
    """Above this."""
    gte: Number | None = None
    """At least this."""
    lt: Number | None = None
    """Below this."""
    lte: Number | None = None
    """At most this."""


class TimeBounds(_Bounds):
    """Bounds of a moment, in RFC 3339 with an offset; at least one."""

    model_config = ConfigDict(
        json_schema_extra=at_least_one_of("gt", "gte", "lt", "lte", of_type="string")
    )

    gt: Moment | None = None
    """After this."""
    gte: Moment | None = None
    """At this or after."""
    lt: Moment | None = None
    """Before this."""
    lte: Moment | None = None
    """At this or before."""


Quantity = Annotated[
    NumberBounds, BeforeValidator(_as_bounds, json_schema_input_type=Number | NumberBounds)
]


class FilterBody(RequestModel):
    """Which videos may be hits: every field given holds; of a list, one value is enough."""

    channel: Words | None = None
    """One of these channels."""
    category: Words | None = None
    """One of these categories."""
    language: Words | None = None
    """One of these languages."""
    tags: Words | None = None
    """At least one of these tags."""
    published_at: TimeBounds | None = None
    """When it was published."""
    duration_s: Quantity | None = None
    """How long it is, in seconds."""
    view_count: Quantity | None = None
    """How often it was seen."""

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
