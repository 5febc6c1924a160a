"""The filter language of requests: typed models, translated to the filters of stores."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from typing import Annotated, Any, Final, Optional, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from twinlens.backend.schemas.base import RequestModel, lack
from twinlens.backend.schemas.fitting import FieldsModel, Members
from twinlens.catalog.fields import Field as FieldRow
from twinlens.catalog.fields import FieldKind, Fields
from twinlens.catalog.sources.platforms import YOUTUBE_CATEGORIES
from twinlens.catalog.video import THUMBNAIL_FILE
from twinlens.stores.filters import And, AnyOf, Filter, Not, Or, Present, Range

MAX_FILTER_VALUES: Final = 100
MAX_FILTER_DEPTH: Final = 8
MAX_CONDITIONS: Final = 100


def _to_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _to_bounds(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"gte": value, "lte": value} if is_number else value


def _read_first(value: object) -> object:
    return _read_moment(value, time.min)


def _read_last(value: object) -> object:
    return _read_moment(value, time.max)


def _read_moment(value: object, of_day: time) -> object:
    """Return the moment that RFC 3339 text is; of a date that of its day in UTC."""
    # Looser parsers also take bare numbers, for seconds since 1970.
    if not (isinstance(value, str) and _MOMENT_OR_DATE.match(value)):
        raise ValueError(
            "give a moment as RFC 3339 text, 2024-01-31T00:00:00Z, or a date, 2024-01-31"
        )
    return f"{value}T{of_day}Z" if len(value) == _DATE_LENGTH else value


def _to_utc(moment: datetime) -> datetime:
    # Engines differ on years of fewer than four digits, and offsets can lead past either end.
    if not 1000 < moment.year < 9999:
        raise ValueError("the year must lie between 1001 and 9998")
    return moment.astimezone(UTC)


Number = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
_MOMENT_OR_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]|$)")
_DATE_LENGTH: Final = len("2024-01-31")
_DAY: Final = r"^(?!1000|9999)[1-9]\d{3}-\d\d-\d\d"
_Moment = Annotated[
    AwareDatetime,
    Field(strict=False),
    AfterValidator(_to_utc),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time", "pattern": f"{_DAY}[Tt ]"},
                {"type": "string", "format": "date", "pattern": f"{_DAY}$"},
            ]
        }
    ),
]
# A date is a day, whose first moment is its beginning, and whose last one is within it.
First = Annotated[_Moment, BeforeValidator(_read_first)]
Last = Annotated[_Moment, BeforeValidator(_read_last)]
_Word = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
_Words = Annotated[list[_Word], Field(min_length=1, max_length=MAX_FILTER_VALUES)]
Words = Annotated[_Words, BeforeValidator(_to_list, json_schema_input_type=_Word | _Words)]


class _Bounds(RequestModel):
    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("give at least one of gt, gte, lt, lte")
        return self


class NumberBounds(_Bounds):
    """Bounds of a number; at least one."""

    model_config = ConfigDict(json_schema_extra={"not": lack("gt", "gte", "lt", "lte")})

    gt: Number | None = None
    """Above this."""
    gte: Number | None = None
    """At least this."""
    lt: Number | None = None
    """Below this."""
    lte: Number | None = None
    """At most this."""


class TimeBounds(_Bounds):
    """Bounds of a moment, in RFC 3339 with an offset, or of a date, a day in UTC; at least one."""

    model_config = ConfigDict(json_schema_extra={"not": lack("gt", "gte", "lt", "lte")})

    gt: Last | None = None
    """After this moment, or day."""
    gte: First | None = None
    """At this moment or day, or after."""
    lt: First | None = None
    """Before this moment, or day."""
    lte: Last | None = None
    """At this moment or day, or before."""


Quantity = Annotated[
    NumberBounds, BeforeValidator(_to_bounds, json_schema_input_type=Number | NumberBounds)
]


_Filters = Annotated[
    list["FilterBody"], Field(min_length=1, max_length=MAX_CONDITIONS, fail_fast=True)
]
_COMBINED: Final = ("every", "some", "none")
_HAS_THUMBNAIL: Final = "has_thumbnail"


class FilterBody(RequestModel, FieldsModel):
    """A filter of videos: all conditions must hold; of a list, one value is enough."""

    @classmethod
    def members(cls, fields: Fields) -> Members:
        """Return the fields that a filter may name, and what puts filters together."""
        named = {row.name: _make_member(row) for row in fields.filterable}
        return named | {
            _HAS_THUMBNAIL: (
                bool | None,
                Field(default=None, description="Whether it has a picture, its `thumbnail_url`."),
            ),
            "every": (
                _Filters | None,
                Field(
                    default=None,
                    alias="and",
                    description="Filters that all hold. Filters nest at most 8 deep, with at most "
                    "100 conditions in all.",
                ),
            ),
            "some": (
                _Filters | None,
                Field(default=None, alias="or", description="Filters of which at least one holds."),
            ),
            "none": (
                Optional["FilterBody"],
                Field(
                    default=None,
                    alias="not",
                    description="A filter that does not hold; a video without the field passes "
                    "`not`.",
                ),
            ),
        }

    # Must be stateless: Pydantic runs it twice for a filter inside another model.
    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if (depth := self._measure_depth()) > MAX_FILTER_DEPTH:
            raise ValueError(f"nested {depth} deep; at most {MAX_FILTER_DEPTH}")
        if (conditions := self._count_conditions()) > MAX_CONDITIONS:
            raise ValueError(f"{conditions} conditions in all; at most {MAX_CONDITIONS}")
        return self

    @classmethod
    def names(cls) -> list[str]:
        """Return the names that a filter may hold, as callers spell them."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    def _get_parts(self, name: str) -> Sequence[FilterBody] | None:
        parts: Sequence[FilterBody] | None = getattr(self, name)
        return parts

    def _get_negated(self) -> FilterBody | None:
        negated: FilterBody | None = getattr(self, "none")  # noqa: B009 - made by ``members``
        return negated

    def _list_within(self) -> list[FilterBody]:
        """Return the filters that this one puts together."""
        negated = self._get_negated()
        return [
            *(self._get_parts("every") or ()),
            *(self._get_parts("some") or ()),
            *([] if negated is None else [negated]),
        ]

    def _measure_depth(self) -> int:
        return 1 + max((one._measure_depth() for one in self._list_within()), default=0)

    def _count_conditions(self) -> int:
        fields = self.model_fields_set.difference(_COMBINED)
        own = sum(getattr(self, name) is not None for name in fields)
        # An empty filter counts, too: it is sent to the engine all the same.
        return own + sum(max(1, one._count_conditions()) for one in self._list_within())

    def to_filter(self) -> Filter | None:
        """Return the filter that stores understand, or None where nothing is asked."""
        parts: list[Filter] = []
        for name in type(self).model_fields:
            match getattr(self, name):
                case list() as words if name not in _COMBINED:
                    spelled = (one for word in words for one in _list_spellings(name, word))
                    parts.append(AnyOf(name, tuple(dict.fromkeys(spelled))))
                case NumberBounds() | TimeBounds() as bounds:
                    parts.append(Range(field=name, **bounds.model_dump()))
                case bool() as wanted:
                    present = Present(THUMBNAIL_FILE)
                    parts.append(present if wanted else Not(present))
        if (every := self._get_parts("every")) is not None:
            parts += [one.to_filter() or And(()) for one in every]
        if (some := self._get_parts("some")) is not None:
            parts.append(Or(tuple(one.to_filter() or And(()) for one in some)))
        if (negated := self._get_negated()) is not None:
            parts.append(Not(negated.to_filter() or And(())))
        return And(tuple(parts)) if parts else None


def _list_spellings(field: str, word: str) -> Iterator[str]:
    """Yield what a stored value may be where ``word`` is asked for.

    A word may have two forms in Unicode, and YouTube's categories are stored by their names.
    """
    yield word
    if not word.isascii():
        yield unicodedata.normalize("NFC", word)
        yield unicodedata.normalize("NFD", word)
    if field == "category" and word in YOUTUBE_CATEGORIES:
        yield YOUTUBE_CATEGORIES[word]


def _make_member(row: FieldRow) -> tuple[Any, Any]:
    """Return the type and description of what a filter may ask of a field."""
    about = row.help.removesuffix(".")
    asked: Any
    match row.kind:
        case FieldKind.KEYWORDS:
            asked, said = Words, f"{about}: at least one of these."
        case FieldKind.MOMENT:
            asked, said = TimeBounds, row.help
        case FieldKind.COUNT | FieldKind.DURATION:
            asked, said = Quantity, row.help
        case _:
            asked, said = Words, f"{about}: one of these."
    return asked | None, Field(default=None, description=said)
