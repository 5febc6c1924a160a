"""Facets: the values that videos have in a field, and how many videos have each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from twinlens.catalog.fields import Fields
from twinlens.stores.base import FacetCount, Order, StoredVideo, VideoBrowser
from twinlens.stores.browsing import count_facet, read_sort_value
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
    return _find_stored_extent(browser, field, filter)


def count_facets(
    videos: Sequence[StoredVideo], names: Sequence[str], fields: Fields
) -> dict[str, Facet]:
    """Return the facets of the fields ``names`` over ``videos``, which have ``fields``.

    Raises:
        ValueError: there is no such field.
    """
    if unknown := [name for name in names if name not in fields]:
        raise ValueError(f"there is no field {unknown[0]!r} to count")
    return {
        name: count_facet(videos, name, limit=MAX_FACET_VALUES, filter=None, fields=fields)
        if fields[name].kind.is_counted
        else _measure_extent(videos, name, fields)
        for name in names
    }


def _measure_extent(videos: Sequence[StoredVideo], field: str, fields: Fields) -> Extent:
    values = [(read_sort_value(video, field, fields), video.payload.get(field)) for video in videos]
    known = [one for one in values if one[0] is not None]
    if not known:
        return Extent(None, None)
    return Extent(*(ends(known, key=itemgetter(0))[1] for ends in (min, max)))


def _find_stored_extent(browser: VideoBrowser, field: str, filter: Filter | None) -> Extent:
    ends = []
    for descending in (False, True):
        found = browser.browse(limit=1, order=Order(field, descending), filter=filter)
        known = found and read_sort_value(found[0], field, browser.fields) is not None
        ends.append(found[0].payload[field] if known else None)
    return Extent(*ends)
