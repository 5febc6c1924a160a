"""Paging through all videos in a fixed order, shared by all stores."""

from __future__ import annotations

import heapq
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from twinlens.catalog.fields import FieldKind, Fields
from twinlens.stores.base import FacetCount, Order, SortKey, StoredVideo, point_id
from twinlens.stores.filters import (
    And,
    Bound,
    Filter,
    Not,
    Or,
    Range,
    matches,
    to_moment,
    to_number,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LEAST_NUMBER: Final = -1.7976931348623157e308
_LEAST_MOMENT: Final = datetime(1, 1, 1, tzinfo=UTC)
# Beyond it an engine's bounds, which are floats, can't tell whole numbers apart.
_WHOLE_LIMIT: Final = 2**53
_LAST_POINT: Final = uuid.UUID(int=2**128 - 1)


class Scroller(Protocol):
    """The two ways in which Qdrant walks through points."""

    def by_point(
        self, limit: int, *, start: str | None, filter: Filter | None
    ) -> list[StoredVideo]:
        """Return the first videos by point id, from that of ``start`` on."""
        ...

    def by_value(self, limit: int, *, order: Order, filter: Filter) -> list[StoredVideo]:
        """Return the first videos by a field, which ``filter`` demands; equal ones in any order."""
        ...


def browse(
    scroller: Scroller,
    *,
    limit: int,
    order: Order | None,
    after: SortKey | None,
    filter: Filter | None,
    fields: Fields,
) -> list[StoredVideo]:
    """Do what ``VideoBrowser.browse`` says, in at most four calls of the engine.

    Qdrant puts equal values in no order, and a page that ends among them could not be continued.
    So it is asked for the values, and for the videos of one value, or of none, by point id.
    """
    check_page(limit, order, fields)
    if order is None:
        return _scroll_by_point(scroller, limit, after, filter)
    kind = fields[order.field].kind
    found: list[StoredVideo] = []
    if after is None:
        found = _by_value(scroller, limit, order, _both(filter, _having(order, kind)), fields)
    elif after.value is not None:
        tied = _both(filter, _equal(order, after.value, kind))
        found = _scroll_by_point(scroller, limit, after, tied)
        if len(found) < limit:
            beyond = _both(filter, _beyond(order, after.value, kind))
            found += _by_value(scroller, limit - len(found), order, beyond, fields)
    if len(found) < limit:
        lacking = _both(filter, Not(_having(order, kind)))
        last = after if after is not None and after.value is None else None
        found += _scroll_by_point(scroller, limit - len(found), last, lacking)
    return found


def to_sort_key(video: StoredVideo, order: Order | None, fields: Fields) -> SortKey:
    """Return the key by which ``video`` is sorted in ``order``."""
    value = None if order is None else read_sort_value(video, order.field, fields)
    return SortKey(value, point_id(video.video_id))


def read_sort_value(video: StoredVideo, field: str, fields: Fields) -> float | None:
    """Return the number by which ``video`` is sorted by ``field``; None where it has none."""
    value = video.payload.get(field)
    kind = fields[field].kind
    if kind is FieldKind.MOMENT:
        moment = to_moment(value)
        return None if moment is None else (moment - _EPOCH) // _MICROSECOND
    number = to_number(value)
    if kind is FieldKind.COUNT and number is not None:
        number = max(-_WHOLE_LIMIT, min(_WHOLE_LIMIT, number))
    return number


def select_page(
    videos: Iterable[StoredVideo],
    *,
    limit: int,
    order: Order | None,
    after: SortKey | None,
    filter: Filter | None,
    fields: Fields,
) -> list[StoredVideo]:
    """Do what ``VideoBrowser.browse`` says, by reading all ``videos``."""
    check_page(limit, order, fields)
    ranked = (
        (_rank(to_sort_key(video, order, fields), order), video)
        for video in videos
        if filter is None or matches(filter, video.payload)
    )
    if after is not None:
        behind = _rank(after, order)
        ranked = (one for one in ranked if one[0] > behind)
    return [video for _, video in heapq.nsmallest(limit, ranked, key=lambda one: one[0])]


def count_facet(
    videos: Iterable[StoredVideo], field: str, *, limit: int, filter: Filter | None, fields: Fields
) -> list[FacetCount]:
    """Do what ``VideoBrowser.facet`` says, by reading all ``videos``."""
    check_facet(field, limit, fields)
    counts: Counter[str] = Counter()
    for video in videos:
        if filter is None or matches(filter, video.payload):
            counts.update(read_texts(video, field))
    return sort_facet(FacetCount(*one) for one in counts.items())[:limit]


def read_texts(video: StoredVideo, field: str) -> set[str]:
    """Return the texts that the field holds."""
    value = video.payload.get(field)
    return {item for item in (value if isinstance(value, list) else [value]) if type(item) is str}


def sort_facet(counts: Iterable[FacetCount]) -> list[FacetCount]:
    """Sort the most frequent first, ties by text."""
    return sorted(counts, key=lambda one: (-one.videos, one.value))


def check_limit(limit: int) -> None:
    """Return if so many can be asked for."""
    if limit < 1:
        raise ValueError(f"a limit is at least 1, not {limit}")


def check_page(limit: int, order: Order | None, fields: Fields) -> None:
    """Return if so many can be asked for, in this order."""
    check_limit(limit)
    sortable = [row.name for row in fields.sortable]
    if order is not None and order.field not in sortable:
        raise ValueError(f"{order.field!r} orders nothing; {', '.join(sortable)} do")


def check_facet(field: str, limit: int, fields: Fields) -> None:
    """Return if the values of ``field`` can be counted, and so many asked for."""
    check_limit(limit)
    counted = [row.name for row in fields.counted]
    if field not in counted:
        raise ValueError(f"{field!r} is not counted; {', '.join(counted)} are")


def _by_value(
    scroller: Scroller, limit: int, order: Order, filter: Filter, fields: Fields
) -> list[StoredVideo]:
    found = scroller.by_value(limit, order=order, filter=filter)
    if len(found) == limit:
        # More videos than these may have the last value.
        last = to_sort_key(found[-1], order, fields).value
        before = [video for video in found if to_sort_key(video, order, fields).value != last]
        if last is not None:
            tied = And((filter, _equal(order, last, fields[order.field].kind)))
            at_last = scroller.by_point(limit - len(before), start=None, filter=tied)
            found = before + at_last
    return sorted(found, key=lambda video: _rank(to_sort_key(video, order, fields), order))


def _scroll_by_point(
    scroller: Scroller, limit: int, after: SortKey | None, filter: Filter | None
) -> list[StoredVideo]:
    if after is None:
        return scroller.by_point(limit, start=None, filter=filter)
    last = uuid.UUID(after.point)
    if last == _LAST_POINT:
        return []
    return scroller.by_point(limit, start=str(uuid.UUID(int=last.int + 1)), filter=filter)


def _rank(key: SortKey, order: Order | None) -> tuple[bool, float, str]:
    value = key.value or 0
    descending = order is not None and order.descending
    return key.value is None, -value if descending else value, key.point


def _having(order: Order, kind: FieldKind) -> Filter:
    least: Bound = _LEAST_MOMENT if kind is FieldKind.MOMENT else _LEAST_NUMBER
    return Range(field=order.field, gte=least)


def _equal(order: Order, value: float, kind: FieldKind) -> Filter:
    bound = _to_bound(value, kind)
    if _is_limit(value, kind):
        return Range(field=order.field, **{"gte" if value > 0 else "lte": bound})
    return Range(field=order.field, gte=bound, lte=bound)


def _beyond(order: Order, value: float, kind: FieldKind) -> Filter:
    if _is_limit(value, kind) and (value < 0) is order.descending:
        return Or(())
    return Range(field=order.field, **{"lt" if order.descending else "gt": _to_bound(value, kind)})


def _is_limit(value: float, kind: FieldKind) -> bool:
    return kind is FieldKind.COUNT and abs(value) >= _WHOLE_LIMIT


def _to_bound(value: float, kind: FieldKind) -> Bound:
    if kind is not FieldKind.MOMENT:
        return value
    return _EPOCH + timedelta(microseconds=int(value))


def _both(filter: Filter | None, other: Filter) -> Filter:
    return other if filter is None else And((filter, other))
