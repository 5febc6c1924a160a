"""Translate our filters into Qdrant's, in the classes of either library."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from twinlens.catalog.fields import FieldKind, Fields
from twinlens.stores.base import point_id
from twinlens.stores.filters import And, AnyOf, Filter, Not, OneOfVideos, Or, Present, Range, Scalar

ConditionT = TypeVar("ConditionT")


class Dialect(Protocol[ConditionT]):
    """The conditions of one Qdrant library."""

    def every(self, parts: Sequence[ConditionT]) -> ConditionT:
        """Holds where every part does; without parts always."""
        ...

    def some(self, parts: Sequence[ConditionT]) -> ConditionT:
        """Holds where at least one part does; ``parts`` is never empty."""
        ...

    def none(self, parts: Sequence[ConditionT]) -> ConditionT:
        """Holds where no part does; ``parts`` is never empty."""
        ...

    def text(self, field: str, values: list[str]) -> ConditionT:
        """Holds where the field is one of these texts."""
        ...

    def truth(self, field: str, *, value: bool) -> ConditionT:
        """Holds where the field is this truth value."""
        ...

    def numbers(self, field: str, bounds: dict[str, float]) -> ConditionT:
        """Holds where the field is a number within ``bounds``: ``gt``, ``gte``, ``lt``, ``lte``."""
        ...

    def moments(self, field: str, bounds: dict[str, datetime]) -> ConditionT:
        """Holds where the field is a moment within ``bounds``."""
        ...

    def empty(self, field: str) -> ConditionT:
        """Holds where the field is missing, null or an empty list."""
        ...

    def points(self, ids: list[str]) -> ConditionT:
        """Holds where the video's point id is one of these."""
        ...


def translate(filter: Filter, dialect: Dialect[ConditionT], fields: Fields) -> ConditionT:
    """``filter`` in the classes of ``dialect``, with the meaning of ``filters.matches``.

    The videos have ``fields``.
    """
    match filter:
        case AnyOf(field, values):
            return _any_of(field, values, dialect, fields)
        case Range():
            return _range(filter, dialect, fields)
        case Present(field):
            return dialect.none([dialect.empty(field)])
        case OneOfVideos(video_ids):
            points = [point_id(video_id) for video_id in sorted(video_ids)]
            return dialect.points(points) if points else _never(dialect)
        case And(parts):
            return dialect.every([translate(part, dialect, fields) for part in parts])
        case Or(parts):
            return _some([translate(part, dialect, fields) for part in parts], dialect)
        case Not(part):
            return dialect.none([translate(part, dialect, fields)])
        case _:  # from Python; to pass it over would let every video through
            raise TypeError(f"not a filter: {filter!r}")


def _range(filter: Range, dialect: Dialect[ConditionT], fields: Fields) -> ConditionT:
    bounds = filter.bounds()
    moments = {name: bound for name, bound in bounds.items() if isinstance(bound, datetime)}
    if not moments:
        numbers = {name: bound for name, bound in bounds.items() if not isinstance(bound, datetime)}
        return _numbers(filter.field, numbers, dialect, fields)
    # An index of numbers would be asked for the moment's microseconds.
    if fields.find_kind(filter.field) in (FieldKind.COUNT, FieldKind.DURATION):
        return _never(dialect)
    return dialect.moments(filter.field, moments)


def _any_of(
    field: str, values: Sequence[Scalar], dialect: Dialect[ConditionT], fields: Fields
) -> ConditionT:
    parts: list[ConditionT] = []
    texts = [value for value in values if isinstance(value, str)]
    if texts:
        parts.append(dialect.text(field, texts))
    for value in values:
        if isinstance(value, bool):
            parts.append(dialect.truth(field, value=value))
        elif isinstance(value, int | float):
            # Qdrant's match of an integer passes over 5.0 where it looks for 5; a range does not.
            parts.append(_numbers(field, {"gte": value, "lte": value}, dialect, fields))
    return _some(parts, dialect)


def _numbers(
    field: str, bounds: dict[str, float], dialect: Dialect[ConditionT], fields: Fields
) -> ConditionT:
    # An index of moments would take the numbers for microseconds.
    if fields.find_kind(field) is FieldKind.MOMENT:
        return _never(dialect)
    return dialect.numbers(field, bounds)


def _some(parts: Sequence[ConditionT], dialect: Dialect[ConditionT]) -> ConditionT:
    # An empty ``should`` holds always in Qdrant; ours holds never.
    return dialect.some(parts) if parts else _never(dialect)


def _never(dialect: Dialect[ConditionT]) -> ConditionT:
    return dialect.none([dialect.every([])])
