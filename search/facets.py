"""Facets: the values that videos have in a field, and how many videos have each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType
from typing import Final

from twinlens.catalog.fields import Fields
from twinlens.encoders.words import fold_to_words
from twinlens.stores.base import FacetCount, Order, StoredVideo, VideoBrowser
from twinlens.stores.browsing import count_facet, read_sort_value
from twinlens.stores.filters import And, AnyOf, Filter, Not, OneOfVideos, Or, Present, Range

MAX_FACET_VALUES: Final = 100
# Among so many, the most frequent, are those looked for that begin as a text: 0.5 s at first.
MOST_SEARCHED_VALUES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Extent:
    """The least and the greatest value of a field; None where no video has one."""

    least: float | str | None
    greatest: float | str | None


Facet = Sequence[FacetCount] | Extent
Facets = Mapping[str, Facet]


def count_stored_facet(
    browser: VideoBrowser, field: str, filter: Filter | None, query: str | None = None
) -> Facet:
    """Return the facet of ``field`` over all videos that pass ``filter``, counted by the store.

    With ``query`` it has only the values that ``select_values`` selects.
    """
    if not browser.fields[field].kind.is_counted:
        return _find_stored_extent(browser, field, filter)
    most = MAX_FACET_VALUES if query is None else MOST_SEARCHED_VALUES
    return select_values(browser.facet(field, limit=most, filter=filter), query)


def select_values(counts: Sequence[FacetCount], query: str | None) -> Sequence[FacetCount]:
    """Return the first ``MAX_FACET_VALUES`` in which each word of ``query`` begins a word.

    Words are folded as those of titles: "cafe" begins "Café Ceylon". Without a query, or a word in
    it, all are meant.
    """
    wanted = _fold("" if query is None else query)
    found = [
        one
        for one in counts
        if all(any(word.startswith(start) for word in _fold(one.value)) for start in wanted)
    ]
    return found[:MAX_FACET_VALUES]


# A value is looked at again with the next letter.
@lru_cache(maxsize=2 * MOST_SEARCHED_VALUES)
def _fold(text: str) -> tuple[str, ...]:
    return tuple(fold_to_words(text))


def leave_out(filter: Filter | None, field: str) -> Filter | None:
    """Return ``filter`` without the conditions that are on ``field`` alone and must hold."""
    if filter is None or _list_fields(filter) == {field}:
        return None
    if not isinstance(filter, And):
        return filter
    kept = [left for part in filter.parts if (left := leave_out(part, field)) is not None]
    return And(tuple(kept)) if kept else None


def _list_fields(filter: Filter) -> set[str]:
    match filter:
        case AnyOf(field) | Present(field):
            return {field}
        case OneOfVideos():
            return {"video_id"}
        case Range():
            return {filter.field}
        case And(parts) | Or(parts):
            return {field for part in parts for field in _list_fields(part)}
        case Not(part):
            return _list_fields(part)


def count_facets(
    videos: Sequence[StoredVideo],
    names: Sequence[str],
    fields: Fields,
    queries: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Facet]:
    """Return the facets of the fields ``names`` over ``videos``, which have ``fields``.

    Of a field that ``queries`` names, only the values that ``select_values`` selects.

    Raises:
        ValueError: there is no such field.
    """
    if unknown := [name for name in names if name not in fields]:
        raise ValueError(f"there is no field {unknown[0]!r} to count")
    return {
        name: select_values(
            count_facet(videos, name, limit=MOST_SEARCHED_VALUES, filter=None, fields=fields),
            queries.get(name),
        )
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
