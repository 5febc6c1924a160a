"""One order out of many: demoting, spreading channels, exploring."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recommender.drawn_events import NOW, make_event, watch
from twinlens.events.event import Event, EventType
from twinlens.recommender.mixing import (
    count_shown,
    explore,
    fuse_sources,
    measure_demotion,
    spread_channels,
)
from twinlens.recommender.person import Person
from twinlens.stores.base import ScoredVideo

CHANNELS = st.lists(st.none() | st.integers(0, 12).map(str), max_size=90)


def left_of(video_id: str, *events: Event) -> float:
    """What is left of the score of a video after these events."""
    person = Person.from_events(events)
    return measure_demotion(person, count_shown(person), NOW).get(video_id, 1.0)


def shown(times: int = 1, **given: object) -> list[Event]:
    return [
        make_event(EventType.IMPRESSION, "p", "v", feed_id=f"f{n}", **given) for n in range(times)
    ]


def test_what_several_sources_find_comes_first() -> None:
    found = {
        "fresh": [ScoredVideo("a", 9.0), ScoredVideo("both", 8.0)],
        "popular": [ScoredVideo("b", 0.2), ScoredVideo("both", 0.1)],
    }
    fused = fuse_sources(found, limit=10)
    assert [one.video_id for one in fused] == ["both", "b", "a"]
    assert [(one.key, one.rank) for one in fused[0].contributions] == [("fresh", 2), ("popular", 2)]


def test_each_showing_takes_more() -> None:
    left = [left_of("v", *shown(times, seen=True)) for times in range(6)]
    assert left == sorted(left, reverse=True)
    assert left[0] == 1.0
    assert 0.1 < left[5] < 0.3
    assert left_of("other", *shown(5)) == 1.0


def test_what_was_only_served_loses_less_than_what_was_seen() -> None:
    assert left_of("v", *shown(seen=True)) < left_of("v", *shown(seen=False)) < 1.0


def test_a_showing_is_forgotten_with_time() -> None:
    ages = [timedelta(hours=1), timedelta(days=3), timedelta(days=30)]
    left = [left_of("v", *shown(3, seen=True, at=NOW - age)) for age in ages]
    assert left == sorted(left)
    assert left[-1] > 0.99


def test_what_was_watched_or_clicked_after_it_was_shown_was_not_shown_in_vain() -> None:
    before = NOW - timedelta(hours=2)
    glimpsed = watch("p", "v", watched_s=3.0)
    for answer in (glimpsed, make_event(EventType.CLICK, "p", "v")):
        assert left_of("v", *shown(3, seen=True, at=before), answer) == 1.0
        assert left_of("v", *shown(3, seen=True, at=NOW), answer) < 1.0


def test_what_was_watched_whole_or_disliked_is_demoted_and_not_banned() -> None:
    assert 0 < left_of("v", watch("p", "v")) < 0.2
    assert 0 < left_of("v", make_event(EventType.DISLIKE, "p", "v")) < 0.2


def test_a_page_of_twenty_has_eight_channels_where_there_are() -> None:
    channels = ["big"] * 50 + [f"c{n}" for n in range(7)]
    order = spread_channels(channels, page=20)
    assert len({channels[one] for one in order[:20]}) == 8


def test_a_channel_has_three_places_of_a_page_while_there_are_others() -> None:
    channels = [f"c{n // 10}" for n in range(100)]
    counts = Counter(channels[one] for one in spread_channels(channels, page=20)[:20])
    assert max(counts.values()) == 3


@given(CHANNELS, st.integers(1, 40))
def test_spreading_loses_nothing_and_each_page_has_what_it_can(
    channels: list[str | None], page: int
) -> None:
    order = spread_channels(channels, page=page)
    assert sorted(order) == list(range(len(channels)))
    for start in range(0, len(order), page):
        there = {channels[one] for one in order[start:]} - {None}
        on_page = {channels[one] for one in order[start : start + page]} - {None}
        assert len(on_page) >= min(8 * page // 20, len(there), page)


@given(CHANNELS)
def test_a_list_that_is_spread_already_stays(channels: list[str | None]) -> None:
    spread = [channels[one] for one in spread_channels(channels, page=20)]
    assert spread_channels(spread, page=20) == list(range(len(channels)))


@given(st.integers(0, 60), st.sets(st.integers(0, 59)), st.floats(0, 1), st.integers(0, 9))
def test_exploring_loses_nothing_doubles_nothing_and_is_drawn_by_its_seed(
    count: int, pool: set[int], share: float, seed: int
) -> None:
    order = list(range(count))
    weights = {one: 1.0 + one for one in pool if one < count}
    mixed = [
        explore(order, weights, share=share, page=20, draw=random.Random(seed)) for _ in range(2)
    ]
    assert mixed[0] == mixed[1]
    assert sorted(one for one, _ in mixed[0]) == order
    for place, (one, chance) in enumerate(mixed[0]):
        if chance is not None:
            assert one in weights
            assert 0 < chance <= 1
            assert place % 20 >= 2


def test_the_chance_is_how_often_a_video_is_drawn() -> None:
    drawn: Counter[int] = Counter()
    chances: dict[int, float] = {}
    for seed in range(4000):
        mixed = explore(range(5), {3: 1.0, 4: 3.0}, share=1, page=20, draw=random.Random(seed))
        one, chance = mixed[2]
        assert chance is not None
        drawn[one] += 1
        chances[one] = chance
    assert chances == {3: 0.25, 4: 0.75}
    assert drawn[3] / 4000 == pytest.approx(0.25, abs=0.03)


def test_a_tenth_of_the_places_is_explored() -> None:
    explored = 0
    for seed in range(200):
        pool = dict.fromkeys(range(20, 120), 1.0)
        mixed = explore(range(120), pool, share=0.1, page=20, draw=random.Random(seed))
        explored += sum(chance is not None for _, chance in mixed[:20])
    assert explored / 200 == pytest.approx(1.8, abs=0.3)
