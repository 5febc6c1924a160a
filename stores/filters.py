"""Which videos a search may return: a small language that every store understands alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

Scalar = str | int | float | bool
Bound = float | datetime


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The field (or, where it holds a list, one of its items) equals one of ``values``.

    Text equals text, truth values equal truth values, and numbers equal numbers by value (1 is
    1.0, and is not true). No values at all hold for no video.

    Raises:
        ValueError: the field is not a plain name, or a number is not finite.
    """

    field: str
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        _check_field(self.field)
        for value in self.values:
            if _is_number(value):
                _check_finite(self.field, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The field (or, where it holds a list, one of its items) lies within bounds.

    A bound that is None does not bind; at least one does. Bounds are all numbers, or all
    timezone-aware moments, which are held against RFC 3339 text.

    Raises:
        ValueError: the field is not a plain name; no bound, bounds of two kinds, a number that is
            not finite, a moment without a time zone.
    """

    field: str
    gt: Bound | None = None
    gte: Bound | None = None
    lt: Bound | None = None
    lte: Bound | None = None

    def __post_init__(self) -> None:
        _check_field(self.field)
        bounds = list(self.bounds().values())
        if not bounds:
            raise ValueError(f"range over {self.field!r}: no bound is given")
        moments = [bound for bound in bounds if isinstance(bound, datetime)]
        if len(moments) not in (0, len(bounds)):
            raise ValueError(f"range over {self.field!r}: bounds are numbers or moments, not both")
        for bound in bounds:
            if not isinstance(bound, datetime):
                _check_finite(self.field, bound)
            elif bound.utcoffset() is None:
                raise ValueError(f"range over {self.field!r}: {bound} has no time zone")

    def bounds(self) -> dict[str, Bound]:
        """Return the bounds that bind, by name: ``gt``, ``gte``, ``lt``, ``lte``."""
        named = {"gt": self.gt, "gte": self.gte, "lt": self.lt, "lte": self.lte}
        return {name: bound for name, bound in named.items() if bound is not None}

    @property
    def over_moments(self) -> bool:
        """Whether the bounds are moments rather than numbers."""
        return any(isinstance(bound, datetime) for bound in self.bounds().values())


@dataclass(frozen=True, slots=True)
class Present:
    """The field has a value: it is neither missing nor null, nor an empty list.

    Raises:
        ValueError: the field is not a plain name.
    """

    field: str

    def __post_init__(self) -> None:
        _check_field(self.field)


@dataclass(frozen=True, slots=True)
class OneOfVideos:
    """The video is one of these; of none, no video passes."""

    video_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; without parts it always holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds; without parts it never holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold; a video without the field passes ``Not(AnyOf(...))``."""

    part: Filter


Filter = AnyOf | Range | OneOfVideos | Present | And | Or | Not


def join_filters(*filters: Filter | None) -> Filter | None:
    """Return what lets through what every one of ``filters`` does, or None where none is given."""
    given = tuple(one for one in filters if one is not None)
    return And(given) if len(given) > 1 else next(iter(given), None)


def matches(filter: Filter, payload: Mapping[str, Any]) -> bool:
    """Return whether a video with this payload passes; the meaning that every engine is held to."""
    match filter:
        case AnyOf(field, values):
            return any(
                _equal(item, value) for item in _items(payload.get(field)) for value in values
            )
        case Range():
            return any(_within(item, filter) for item in _items(payload.get(filter.field)))
        case Present(field):
            return payload.get(field) not in (None, [])
        case OneOfVideos(video_ids):
            return payload.get("video_id") in video_ids
        case And(parts):
            return all(matches(part, payload) for part in parts)
        case Or(parts):
            return any(matches(part, payload) for part in parts)
        case Not(part):
            return not matches(part, payload)


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _equal(item: object, value: Scalar) -> bool:
    if _is_number(item) and _is_number(value):
        return item == value
    return type(item) is type(value) and item == value


def _within(item: object, filter: Range) -> bool:
    place: Any = to_moment(item) if filter.over_moments else to_number(item)
    if place is None:
        return False
    return (
        (filter.gt is None or place > filter.gt)
        and (filter.gte is None or place >= filter.gte)
        and (filter.lt is None or place < filter.lt)
        and (filter.lte is None or place <= filter.lte)
    )


def to_number(item: object) -> float | None:
    """Return the number that an item of a field is, or None."""
    return item if _is_number(item) else None


def to_moment(item: object) -> datetime | None:
    """Return the moment that an item of a field stands for, or None."""
    if not isinstance(item, str):
        return None
    try:
        moment = datetime.fromisoformat(item)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_field(field: str) -> None:
    # Qdrant reads ``a.b`` and ``a[]`` as paths into nested values; the others would not.
    if not field.isidentifier():
        raise ValueError(f"{field!r} is not the name of a field")


def _check_finite(field: str, number: float) -> None:
    if not math.isfinite(number):
        raise ValueError(f"{field!r}: {number} is not a finite number")
