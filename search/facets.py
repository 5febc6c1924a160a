"""Facets: which values videos have of a field, and how many videos each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from twinlens.stores.base import (
    FACET_FIELDS,
    FacetCount,
    Order,
    StoredVideo,
    VideoBrowser,
)
from twinlens.stores.browsing import facet_of, page_of, place_of
from twinlens.stores.filters import Filter

MAX_FACET_VALUES: Final = 100


@dataclass(frozen=True, slots=True)
class Extent:
    """The least and the greatest value of a field; None where no video has one."""

    least: float | str | None
    greatest: float | str | None


Facet = Sequence[FacetCount] | Extent
Facets = Mapping[str, Facet]


def stored_facet(browser: VideoBrowser, field: str, filter: Filter | None) -> Facet:
    """The facet of ``field`` over all videos that pass ``filter``, by the engine."""
    if field in FACET_FIELDS:
        return browser.facet(field, limit=MAX_FACET_VALUES, filter=filter)
    return _extent(field, lambda order: browser.browse(limit=1, order=order, filter=filter))


def facets_among(videos: Sequence[StoredVideo], fields: Sequence[str]) -> dict[str, Facet]:
    """The facets of ``fields`` over ``videos``."""
    return {
        field: facet_of(videos, field, limit=MAX_FACET_VALUES, filter=None)
        if field in FACET_FIELDS
        else _extent(
            field,
            lambda order: page_of(videos, limit=1, order=order, after=None, filter=None),
        )
        for field in fields
    }


def _extent(field: str, first: Callable[[Order], Sequence[StoredVideo]]) -> Extent:
    ends = []
    for descending in (False, True):
        order = Order(field, descending)
        found = first(order)
        known = found and place_of(found[0], order).value is not None
        ends.append(found[0].payload[field] if known else None)
    return Extent(*ends)
