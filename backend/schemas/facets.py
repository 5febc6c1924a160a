"""Facets as callers ask for them and see them, in searches and in browsing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field as FieldOf
from pydantic.json_schema import SkipJsonSchema

from twinlens.backend.schemas.base import AnswerModel
from twinlens.backend.schemas.fitting import FieldsModel, Members, OneOf
from twinlens.catalog.fields import Field, FieldKind, Fields
from twinlens.search.facets import Extent, Facets
from twinlens.stores.base import FacetCount

FacetName = Annotated[str, OneOf(lambda fields: [row.name for row in fields.facets])]


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


class FacetsBody(AnswerModel, FieldsModel):
    """The facets that were asked for. Videos without a field don't count in its facet."""

    @classmethod
    def members(cls, fields: Fields) -> Members:
        """A facet for each field that has one."""
        return {row.name: _member(row) for row in fields.facets}

    @classmethod
    def of(cls, facets: Facets) -> Self:
        """The facets, as callers see them."""
        made: dict[str, Any] = {}
        for field, facet in facets.items():
            if not isinstance(facet, Extent):
                made[field] = {"values": [_value(one) for one in facet]}
            else:
                made[field] = {"min": facet.least, "max": facet.greatest}
        return cls.model_validate(made)


def facets_omitted(asked: Sequence[str], fields: Fields) -> Any:
    """What of an answer's ``facets`` was not asked for, as pydantic's ``exclude`` takes it."""
    return {row.name for row in fields.facets}.difference(asked) if asked else True


def _member(row: Field) -> tuple[Any, Any]:
    """The facet of a field; absent where it was not asked for."""
    shown: Any
    if row.kind.is_counted:
        shown, said = CountsBody, f"{row.label}: how many videos have each value."
    else:
        shown = TimeExtentBody if row.kind is FieldKind.MOMENT else NumberExtentBody
        said = f"{row.label}: the least and the greatest."
    absent: Any = SkipJsonSchema[None]  # type: ignore[misc]
    return shown | absent, FieldOf(default=None, description=said)


def _value(one: FacetCount) -> dict[str, Any]:
    return {"value": one.value, "count": one.videos}
