"""What every store must do when its videos are put in order, paged through and counted."""

from __future__ import annotations

import uuid
from functools import partial
from itertools import product

import pytest

from tests.stores.catalogue import catalogue, rng, video
from tests.stores.conftest import Home
from twinlens.catalog.fields import FIELDS
from twinlens.encoders.lenses import THUMBNAIL, TITLE
from twinlens.stores.base import Order, SortKey, StoredVideo, VectorReader, VectorStore, point_id
from twinlens.stores.browsing import count_facet, select_page, to_sort_key
from twinlens.stores.filters import AnyOf, Filter, Not, Or, Range, matches

SORTABLE_FIELDS = [row.name for row in FIELDS.sortable]
FACET_FIELDS = [row.name for row in FIELDS.counted]


def lived_in(store: VectorStore) -> list[StoredVideo]:
    """What is stored after videos came, changed and went; many share a value, some have none."""
    videos = catalogue(60)
    for number, one in enumerate(videos):
        payload = {**one.payload, "view_count": number % 5, "duration_s": number % 4 / 2 + 0.25}
        if number % 6 == 0:
            del payload["view_count"], payload["channel"]
        if number % 8 == 0:
            del payload["published_at"]
            payload["tags"] = ["same", "same", ""]
        videos[number] = StoredVideo(one.video_id, payload, one.vectors, one.sparse)
    store.upsert(catalogue(65))
    store.upsert(videos[:35])
    store.upsert(videos[35:])
    store.delete([f"video-{number:05d}" for number in [3, 44, *range(60, 65)]])
    return [one for number, one in enumerate(videos) if number not in (3, 44)]


select = partial(select_page, fields=FIELDS)
ORDERS = [None, *(Order(field, way) for field in SORTABLE_FIELDS for way in (False, True))]
FILTERS = [
    None,
    Or((AnyOf("tags", ("tag1", "same")), Range(field="view_count", gte=3))),
    AnyOf("video_id", ("video-00007", "video-00012", "video-00024", "video-00040")),
    Not(Range(field="view_count", gte=0)),
    AnyOf("language", ("xx",)),
]


def met(
    store: VectorStore, pages: int, limit: int, order: Order | None, filter: Filter | None = None
) -> list[StoredVideo]:
    """The videos of so many pages; the last is not full."""
    found: list[StoredVideo] = []
    for number in range(pages):
        after = to_sort_key(found[-1], order, FIELDS) if found else None
        page = store.browse(limit=limit, order=order, after=after, filter=filter)
        assert len(page) == limit or number == pages - 1
        found += page
    assert len(page) < limit
    return found


@pytest.mark.parametrize("limit", [pytest.param(1, marks=pytest.mark.slow), 7, 1000])
def test_pages_meet_every_video_once_in_order(store: VectorStore, limit: int) -> None:
    videos = lived_in(store)
    for order, filter in product(ORDERS, FILTERS):
        expected = select(videos, limit=1000, order=order, after=None, filter=filter)
        # Where the last page is full, one more, which is empty.
        found = met(store, len(expected) // limit + 1, limit, order, filter)
        assert [one.payload for one in found] == [one.payload for one in expected]
        assert all(not one.vectors for one in found)


def test_a_page_may_begin_behind_any_place(store: VectorStore) -> None:
    videos = lived_in(store)
    points = [point_id(one.video_id) for one in store.browse(limit=1000)]
    assert points == sorted(points), "without an order"
    assert point_id("dQw4w9WgXcQ") == "fb5f5961-1904-5a9d-bddf-438011cc48e5", "as in all indexes"
    lowest, highest = (str(uuid.UUID(int=number)) for number in (0, 2**128 - 1))
    for order in ORDERS:
        found = {
            (one.value, point)
            for v in videos
            for one in [to_sort_key(v, order, FIELDS)]
            for point in (lowest, one.point, highest)
        }
        beside = {
            (value + step, lowest)
            for value, _ in found
            if value is not None
            for step in (-1, 1, 0.5 if type(value) is float else 2)
        }
        for value, point in sorted(found | beside, key=str)[::5]:
            after = SortKey(value, point)
            expected = select(videos, limit=4, order=order, after=after, filter=None)
            page = store.browse(limit=4, order=order, after=after)
            assert [one.video_id for one in page] == [one.video_id for one in expected]


def test_any_number_is_a_place(store: VectorStore) -> None:
    for value in (0, 2 - 2**53, 2**53 - 2, 5e-324, 1e300, 0.1, -0.5):
        field = "view_count" if type(value) is int else "duration_s"
        others = [value + 1, value - 1] if type(value) is int else [value * 2, value / 3]
        numbers = [value, value, *others]
        for number, given in enumerate([*numbers, None]):
            payload = {} if given is None else {field: given}
            store.upsert([video(rng(), f"v{number}", **payload)])
        for descending in (False, True):
            found = [v.payload.get(field) for v in met(store, 6, 1, Order(field, descending))]
            assert found == [*sorted(numbers, reverse=descending), None]


def test_whole_numbers_too_large_for_bounds_are_met_once_and_last(store: VectorStore) -> None:
    counts = [2**63 - 1, 2**53 + 1, 5, 2**53, 2**60 + 1, 2**53 - 1, None, 2**63 - 1]
    for number, count in enumerate(counts):
        payload = {} if count is None else {"view_count": count}
        store.upsert([video(rng(), f"v{number}", **payload)])
    for descending in (False, True):
        for limit in (1, 2, 5):
            found = met(store, len(counts) // limit + 1, limit, Order("view_count", descending))
            assert len({one.video_id for one in found}) == len(found) == len(counts)
            of_limit = [v.payload.get("view_count", -1) >= 2**53 for v in found]
            assert of_limit == (
                [True] * 5 + [False] * 3 if descending else [False] * 2 + [True] * 5 + [False]
            )


def test_values_and_videos_that_pass_are_counted_also_when_reopened(home: Home) -> None:
    store = home.create()
    videos = lived_in(store)
    for filter in FILTERS:
        check_counts(store, videos, filter)
    store.optimize()
    store.close()
    reader = home.reader()
    for filter in FILTERS:
        check_counts(reader, videos, filter)


def check_counts(store: VectorReader, videos: list[StoredVideo], filter: Filter | None) -> None:
    passed = [v for v in videos if filter is None or matches(filter, v.payload)]
    assert store.count(filter=filter) == len(passed)
    for name in (TITLE, THUMBNAIL):
        assert store.count(name, filter=filter) == sum(name in one.vectors for one in passed)
    for field in FACET_FIELDS:
        expected = count_facet(videos, field, limit=1000, filter=filter, fields=FIELDS)
        assert expected == count_facet(passed, field, limit=1000, filter=None, fields=FIELDS)
        assert store.facet(field, limit=1000, filter=filter) == expected
        for limit in (1, 3):
            most = store.facet(field, limit=limit, filter=filter)
            # Which of those with equal counts come last is the engine's choice.
            assert [one.videos for one in most] == [one.videos for one in expected[:limit]]
            assert set(most) <= set(expected)


def test_browsing_for_nothing_is_refused(store: VectorStore) -> None:
    store.upsert(catalogue(3))
    for limit in (0, -1):
        with pytest.raises(ValueError, match="limit"):
            store.browse(limit=limit)
        with pytest.raises(ValueError, match="limit"):
            store.facet("tags", limit=limit)
    for field in ("title", "view_count", "tags[]", ""):
        with pytest.raises(ValueError, match="counted"):
            store.facet(field, limit=10)
    for field in ("title", "tags", "view_count.x", ""):
        with pytest.raises(ValueError, match="order"):
            store.browse(limit=10, order=Order(field))
