"""How an owner and a request steer what is found: boosts, sorts, caps, what is left out, pins."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinlens.catalog.fields import FIELDS
from twinlens.search.cursor import CursorExpired, CursorInvalid
from twinlens.search.request import MultiSearchRequest, RecommendationRequest, SearchRequest
from twinlens.search.searcher import Searcher
from twinlens.search.steering import Boost, Ruling, Steering, measure_gains, name_channel
from twinlens.stores.base import Order, StoredVideo
from twinlens.stores.browsing import read_sort_value
from twinlens.stores.filters import AnyOf

MADE_AT = datetime(2024, 1, 1, tzinfo=UTC)


def video(video_id: str, **payload) -> StoredVideo:
    return StoredVideo(video_id, {"video_id": video_id, **payload})


def walk(searcher: Searcher, request: SearchRequest, *, limit: int = 7) -> list:
    """The hits of all pages."""
    page = searcher.search(replace(request, limit=limit))
    hits = page.hits
    while page.next_cursor is not None:
        page = searcher.search(replace(request, limit=limit, cursor=page.next_cursor))
        hits += page.hits
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    return hits


def ids(hits: list) -> list[str]:
    return [hit.video_id for hit in hits]


# ---- what a boost gives


def test_a_number_counts_by_its_logarithm_and_the_largest_whole():
    views = [0, 9, 99, None]
    videos = [video(str(at), view_count=one) for at, one in enumerate(views)]
    gains = measure_gains([Boost(field="view_count", weight=0.5)], videos, FIELDS, None)
    shares = [sum(gain.share for gain in of) for of in gains]
    assert shares == pytest.approx([0, 0.25, 0.5, 0])
    none = measure_gains([Boost(field="view_count")], [video("a", view_count=0)], FIELDS, None)
    assert none == [[]]


@pytest.mark.parametrize(("now", "later_days"), [(MADE_AT, 0), (None, 0), (MADE_AT, 30)])
def test_a_moment_counts_half_after_each_half_life(now, later_days):
    days = [-5, 0, 10, 20, None]
    videos = [
        video(str(day), published_at=day and (MADE_AT - timedelta(days=day)).isoformat())
        for day in days
        if day != 0
    ]
    videos.append(video("now", published_at=MADE_AT.isoformat()))
    at = now and now + timedelta(days=later_days)
    boost = Boost(field="published_at", weight=1, half_life_days=10)
    gains = measure_gains([boost], videos, FIELDS, at)
    latest = -5 if now is None else -later_days
    expected = [
        0 if day is None else 2 ** -(max(0, day - latest) / 10) for day in (-5, 10, 20, None, 0)
    ]
    assert [sum(one.share for one in of) for of in gains] == pytest.approx(expected)


def test_a_value_counts_where_a_video_has_it():
    videos = [video("a", tags=["x", "y"]), video("b", tags=["y"]), video("c")]
    gains = measure_gains([Boost(field="tags", value="x")], videos, FIELDS, None)
    assert [len(of) for of in gains] == [1, 0, 0]


@pytest.mark.parametrize(
    ("boost", "part"),
    [
        (Boost(field="view_count"), None),
        (Boost(field="duration_s"), None),
        (Boost(field="published_at", half_life_days=1), None),
        (Boost(field="channel", value="c"), None),
        (Boost(field="chapters", value="c"), None),
        (Boost(field="published_at"), "half_life_days"),
        (Boost(field="published_at", half_life_days=1, value="x"), "value"),
        (Boost(field="channel"), "value"),
        (Boost(field="view_count", half_life_days=3), "half_life_days"),
        (Boost(field="view_count", value="3"), "value"),
        (Boost(field="title", value="a"), "field"),
        (Boost(field="nothing"), "field"),
    ],
)
def test_what_a_boost_needs_depends_on_the_kind_of_its_field(boost, part):
    fault = boost.find_fault(FIELDS)
    assert (fault and fault[0]) == part


# ---- the order of a window

boosts = st.lists(
    st.one_of(
        st.builds(Boost, field=st.sampled_from(["view_count", "duration_s"]),
                  weight=st.sampled_from([0.1, 1, 10])),
        st.builds(Boost, field=st.just("published_at"), weight=st.sampled_from([0.1, 5]),
                  half_life_days=st.sampled_from([0.01, 30, 36500])),
        st.builds(Boost, field=st.just("channel"), value=st.sampled_from(["beach channel", "x"]),
                  weight=st.sampled_from([0.05, 2])),
    ),
    max_size=3,
)  # fmt: skip
orders = st.none() | st.builds(
    Order, st.sampled_from(["view_count", "published_at", "duration_s"]), st.booleans()
)
some_ids = st.lists(
    st.sampled_from([f"{one}-{at}" for one in ("beach", "kitchen", "cricket") for at in range(10)]
                    + ["gone"]),
    max_size=6, unique=True,
)  # fmt: skip


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    boosts=boosts,
    sort=orders,
    most=st.none() | st.integers(1, 3),
    exclude=some_ids,
    pins=some_ids,
    hides=some_ids,
    collapse=st.booleans(),
    limit=st.integers(1, 40),
)
def test_however_steered_pages_are_one_window_in_the_order_that_was_asked(
    searcher, reader, boosts, sort, most, exclude, pins, hides, collapse, limit
):
    ruling = Ruling(tuple(pins), frozenset(hides))
    request = SearchRequest(
        text="beach film",
        exclude=exclude,
        ruling=ruling,
        collapse_duplicates=collapse,
        steering=Steering(boosts=tuple(boosts), sort=sort, max_per_channel=most),
    )
    hits = walk(searcher, request, limit=limit)
    found = ids(hits)
    assert len(set(found)) == len(found)
    assert ids(walk(searcher, request, limit=40)) == found
    assert not {*exclude, *hides} & set(found)
    first = [one for one in pins if one not in {*exclude, *hides, "gone"}]
    assert [hit.video_id for hit in hits if hit.pinned] == found[: len(first)] == first
    rest = hits[len(first) :]
    stored = reader.get(found)
    if sort is None:
        assert [hit.score for hit in rest] == sorted((hit.score for hit in rest), reverse=True)
    else:
        values = [read_sort_value(stored[hit.video_id], sort.field, FIELDS) for hit in rest]
        known = [value for value in values if value is not None]
        assert values == sorted(known, reverse=sort.descending) + [None] * (len(rest) - len(known))
    if most is None:
        assert collapse or len(found) == 31 - len({*exclude, *hides} - {"gone"})
        return
    channels = [name_channel(stored[one].payload) for one in found]
    pinned = channels[: len(first)]
    for channel in {*channels} - {None}:
        assert channels.count(channel) <= max(most, pinned.count(channel))


def test_boosts_of_weight_0_change_nothing_not_even_a_cursor(searcher):
    plain = SearchRequest(text="beach film", limit=5)
    none = replace(
        plain,
        steering=Steering(
            boosts=(
                Boost(field="view_count", weight=0),
                Boost(field="published_at", weight=0, half_life_days=3),
            )
        ),
    )
    first = searcher.search(plain)
    again = searcher.search(none)
    assert (again.hits, again.next_cursor) == (first.hits, first.next_cursor)
    assert searcher.search(replace(none, cursor=first.next_cursor)).hits


def test_a_small_boost_orders_equally_good_hits_and_leaves_better_ones_before(searcher):
    def hits(weight):
        steering = Steering(boosts=(Boost(field="view_count", weight=weight),))
        return walk(
            searcher, SearchRequest(text="beach film number 1", expand=0, steering=steering)
        )

    plain, little, much = hits(0), hits(0.1), hits(10)
    assert little[0].video_id == plain[0].video_id == "beach-1"
    assert ids(much) != ids(little) != ids(plain)
    before = {hit.video_id: hit.score for hit in plain}
    for hit in little:
        raised = 1 + sum(gain.share for gain in hit.boosts)
        assert hit.score == pytest.approx(before[hit.video_id] * raised)
        assert raised <= 1.1 + 1e-9


def test_recommendations_and_several_searches_are_steered_alike(searcher):
    steering = Steering(sort=Order("view_count", descending=True), max_per_channel=2)
    exclude = ["beach-9", "kitchen-9"]
    liked = RecommendationRequest(liked=["beach-1"], exclude=exclude, steering=steering)
    several = MultiSearchRequest(
        searches=[SearchRequest(text="beach"), SearchRequest(text="kitchen", exclude=["beach-8"])],
        shares=[1, 1],
        exclude=exclude,
        steering=steering,
        ruling=Ruling(("cricket-3",), frozenset(["kitchen-8"])),
    )
    for result in (searcher.recommend(liked), searcher.multi_search(several)):
        hits = result.hits
        assert not {"beach-9", "kitchen-9"} & set(ids(hits))
        channels = [name_channel(hit.payload) for hit in hits]
        assert {channels.count(one) for one in {*channels} - {None}} == {2}
        views = [hit.payload.get("view_count", -1) for hit in hits if not hit.pinned]
        assert views == sorted(views, reverse=True)
    assert [hit.video_id for hit in hits if hit.pinned] == ["cricket-3"] == ids(hits)[:1]
    assert "kitchen-8" not in ids(hits)


def test_pins_hold_to_what_the_request_demands(searcher):
    ruling = Ruling(("kitchen-1", "beach-1"))
    request = SearchRequest(text="film", ruling=ruling)
    english = replace(request, filter=AnyOf("category", ("beach",)))
    assert [hit.video_id for hit in searcher.search(english).hits if hit.pinned] == ["beach-1"]
    beside = replace(request, video_id="kitchen-1")
    assert [hit.video_id for hit in searcher.search(beside).hits if hit.pinned] == ["beach-1"]


def test_a_pin_that_is_found_keeps_its_score_and_one_that_is_not_has_none(searcher):
    ruling = Ruling(("beach-1", "kitchen-9"))
    request = SearchRequest(text="beach film", window=3, expand=0, ruling=ruling)
    hits = walk(searcher, request)
    assert ids(hits)[:2] == ["beach-1", "kitchen-9"]
    assert hits[1].score == 0
    assert not hits[1].sources


def test_a_cursor_ends_with_the_rules_and_the_steering_that_it_came_from(searcher):
    request = SearchRequest(text="beach", limit=3, ruling=Ruling(("beach-1",)))
    cursor = searcher.search(request).next_cursor
    with pytest.raises(CursorExpired):
        searcher.search(replace(request, cursor=cursor, ruling=Ruling(("beach-2",))))
    for changed in ({"exclude": ["beach-3"]}, {"steering": Steering(max_per_channel=3)}):
        with pytest.raises(CursorInvalid):
            searcher.search(replace(request, cursor=cursor, **changed))


def test_ages_are_counted_to_when_the_index_was_made(catalogue, reader):
    steering = Steering(boosts=(Boost(field="published_at", half_life_days=365, weight=1),))
    request = SearchRequest(text="beach film number 4", steering=steering, expand=0)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    searcher = Searcher(reader, generation="g", lenses=catalogue.lenses, made_at=at)
    for hit in searcher.search(request).hits:
        age = at - datetime.fromisoformat(hit.payload["published_at"])
        [gain] = hit.boosts
        assert gain.share == pytest.approx(math.exp2(-age.days / 365), rel=1e-3)
