"""Which videos a search may return: a small language that every store understands alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The field (or, where it holds a list, one of its items) equals one of ``values``."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The field lies within bounds; a bound that is None does not bind. Dates are RFC 3339."""

    field: str
    gt: float | datetime | None = None
    gte: float | datetime | None = None
    lt: float | datetime | None = None
    lte: float | datetime | None = None


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; none at all holds always."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold; a video without the field passes ``Not(AnyOf(...))``."""

    part: Filter


Filter = AnyOf | Range | And | Or | Not


def matches(condition: Filter, payload: Mapping[str, Any]) -> bool:
    """Whether a video with this payload passes; the meaning that every engine is held to."""
    raise NotImplementedError
