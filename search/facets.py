"""Facets: the values that videos have in a field, and how many videos have each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from twinlens.catalog.fields import Fields
from twinlens.stores.base import FacetCount, Order, StoredVideo, VideoBrowser
from twinlens.stores.browsing import count_facet, select_page, to_sort_key
from twinlens.stores.filters import Filter

MAX_FACET_VALUES: Final = 100


@dataclass(frozen=True, slots=True)
class Extent:
    """The least and the greatest value of a field; None where no video has one."""

    least: float | str | None
    greatest: float | str | None


Facet = Sequence[FacetCount] | Extent
Facets = Mapping[str, Facet]


def count_stored_facet(browser: VideoBrowser, field: str, filter: Filter | None) -> Facet:
    """Return the facet of ``field`` over all videos that pass ``filter``, counted by the store."""
    if browser.fields[field].kind.is_counted:
        return browser.facet(field, limit=MAX_FACET_VALUES, filter=filter)
    return _find_extent(
        field, lambda order: browser.browse(limit=1, order=order, filter=filter), browser.fields
    )


def count_facets(
    videos: Sequence[StoredVideo], names: Sequence[str], fields: Fields
) -> dict[str, Facet]:
    """Return the facets of the fields ``names`` over ``videos``, which have ``fields``.

    Raises:
        ValueError: there is no such field.
    """
    if unknown := [name for name in names if name not in fields]:
        raise ValueError(f"there is no field {unknown[0]!r} to count")

    def find_first(order: Order) -> Sequence[StoredVideo]:
        return select_page(videos, limit=1, order=order, after=None, filter=None, fields=fields)

    return {
        name: count_facet(videos, name, limit=MAX_FACET_VALUES, filter=None, fields=fields)
        if fields[name].kind.is_counted
        else _find_extent(name, find_first, fields)
        for name in names
    }


def _find_extent(
    field: str, first: Callable[[Order], Sequence[StoredVideo]], fields: Fields
) -> Extent:
    ends = []
    for descending in (False, True):
        order = Order(field, descending)
        found = first(order)
        known = found and to_sort_key(found[0], order, fields).value is not None
        ends.append(found[0].payload[field] if known else None)
    return Extent(*ends)
