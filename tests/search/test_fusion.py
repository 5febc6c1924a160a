"""Rankings become one: of lenses, of several searches, and of what was liked and disliked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.http.models import ScoredPoint
from qdrant_client.hybrid.fusion import reciprocal_rank_fusion

from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.search.fusion import (
    DISLIKED_SHARE,
    LensRank,
    Ranking,
    SeedLens,
    count_ranks_per_seed,
    fuse,
    list_best_lens_ranks,
    list_lens_ranks,
    list_searches,
    name_recommenders,
    weigh_rankings,
)
from twinlens.stores.base import ScoredVideo


def in_order(video_ids):
    return [ScoredVideo(one, 1 - at / 50) for at, one in enumerate(video_ids)]


found = st.lists(st.sampled_from([f"v{n:02}" for n in range(30)]), unique=True, max_size=25)
lists_of_lenses = st.fixed_dictionaries(dict.fromkeys((TITLE, THUMBNAIL), found.map(in_order)))
weight = st.floats(0.01, 100)
k = st.integers(0, 200)


def fuse_lenses(lists, *, weights=None, limit=100, **options):
    return fuse(weigh_rankings(lists, weights), limit=limit, **options)


@given(lists_of_lenses, k, st.fixed_dictionaries({TITLE: weight, THUMBNAIL: weight}))
def test_scores_and_sources_are_those_of_the_formula(lists, k, weights):
    fused = fuse_lenses(lists, k=k, weights=weights)
    held = {
        name: {one.video_id: LensRank(rank, one.score) for rank, one in enumerate(found, 1)}
        for name, found in lists.items()
    }
    expected = {
        video_id: sum(
            weights[name] * (1 / (k + places[video_id].rank))
            for name, places in held.items()
            if video_id in places
        )
        for video_id in held[TITLE] | held[THUMBNAIL]
    }
    assert {one.video_id: one.score for one in fused} == pytest.approx(expected, rel=1e-12)
    order = [(-one.score, one.video_id) for one in fused]
    assert order == sorted(order)
    for one in fused:
        named = {name: places.get(one.video_id) for name, places in held.items()}
        assert list_lens_ranks(one) == {name: place for name, place in named.items() if place}
    # The order of the mapping does not matter.
    assert fuse_lenses(dict(reversed(lists.items())), k=k, weights=weights) == fused


@given(lists_of_lenses, k, weight)
def test_weight_0_is_as_if_the_list_were_absent(lists, k, weight):
    zero = fuse_lenses(lists, k=k, weights={TITLE: weight, THUMBNAIL: 0})
    assert zero == fuse_lenses({TITLE: lists[TITLE]}, k=k, weights={TITLE: weight})


@given(lists_of_lenses, k)
def test_qdrant_clients_fusion_is_ours_with_k_one_more(lists, k):
    responses = [
        [ScoredPoint(id=int(one.video_id[1:]), version=0, score=one.score) for one in found]
        for found in lists.values()
    ]
    theirs = reciprocal_rank_fusion(responses, limit=100, ranking_constant_k=k + 1)
    expected = {int(one.video_id[1:]): one.score for one in fuse_lenses(lists, k=k)}
    assert {point.id: point.score for point in theirs} == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("bad", [{"k": -1}, {"weights": {TITLE: -0.5}}])
def test_what_is_below_zero_is_refused(bad):
    with pytest.raises(ValueError, match="0 or more"):
        fuse_lenses({TITLE: in_order("a")}, **bad)


def test_a_hit_names_the_search_that_ranks_it_best_first():
    searches = [Ranking(key=at, videos=in_order(found)) for at, found in enumerate(["xya", "xa"])]
    x, a, _ = fuse(searches, limit=3, k=5)
    assert (x.video_id, list_searches(x)) == ("x", [(0, 1), (1, 1)])
    assert (a.video_id, list_searches(a)) == ("a", [(1, 2), (0, 3)])


# ---- what several liked and disliked videos recommend together


def ranking(seed, found, *, liked=True, lens=TITLE, weight=1.0):
    return Ranking(
        key=SeedLens(seed, lens),
        videos=in_order(found),
        weight=weight if liked else weight * DISLIKED_SHARE,
        takes_away=not liked,
    )


def test_the_score_is_what_liked_videos_give_less_a_share_of_what_disliked_ones_do():
    [a, c, b] = fuse(
        [
            ranking("s", "abc", weight=2.0),
            ranking("t", "b", lens=WORDS),
            ranking("u", "xb", liked=False, weight=3.0),
        ],
        limit=9,
        k=5,
    )
    assert (a.video_id, c.video_id, b.video_id) == ("a", "c", "b")
    assert a.score == pytest.approx(2 / 6)
    assert c.score == pytest.approx(2 / 8)
    assert b.score == pytest.approx(2 / 7 + 1 / 6 - DISLIKED_SHARE * 3 / 7)


@pytest.mark.parametrize(
    ("rankings", "expected"),
    [
        # Each taste has its first place before any has its second.
        ([ranking("s", "abc"), ranking("t", "xyz")], ["a", "x", "b", "y", "c", "z"]),
        # What has nothing left is no hit.
        ([ranking("s", "ab"), ranking("t", "ba", liked=False, weight=9.0)], []),
        ([ranking("t", "ab", liked=False)], []),
    ],
)
def test_who_is_a_hit(rankings, expected):
    assert [one.video_id for one in fuse(rankings, limit=100, k=5)] == expected


def test_a_hit_has_its_best_place_by_each_lens_and_the_videos_that_gave_most():
    [hit] = fuse(
        [
            ranking("s", "a"),
            ranking("t", "ya"),
            ranking("u", "yza", lens=WORDS, weight=5.0),
            ranking("v", "yzwa"),
            ranking("n", "a", liked=False, lens=THUMBNAIL),
        ],
        limit=1,
        k=0,
    )
    assert hit.video_id == "y"
    assert name_recommenders(hit) == ["u", "t", "v"]
    assert list_best_lens_ranks(hit) == {TITLE: LensRank(1, 1.0), WORDS: LensRank(1, 1.0)}


many = st.builds(
    ranking,
    st.sampled_from("stuv"),
    st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8),
    liked=st.booleans(),
    lens=st.sampled_from([TITLE, THUMBNAIL, WORDS]),
    weight=st.sampled_from([0.5, 1.0, 5.0]),
)


@given(st.lists(many, max_size=8), st.integers(0, 9))
def test_fewer_are_the_first_of_more_and_a_dislike_lifts_nothing(rankings, limit):
    fused = fuse(rankings, limit=100, k=5)
    assert fuse(rankings, limit=limit, k=5) == fused[:limit]
    scores = [one.score for one in fused]
    assert scores == sorted(scores, reverse=True)
    liked = [one for one in rankings if not one.takes_away]
    without = {one.video_id: one.score for one in fuse(liked, limit=100, k=5)}
    for one in fused:
        assert 0 < one.score <= without[one.video_id] + 1e-12
        assert 1 <= len(name_recommenders(one)) <= 3
        assert set(name_recommenders(one)) <= {given.key.seed for given in liked}


def test_the_more_seeds_the_fewer_ranks_of_each():
    assert count_ranks_per_seed(1, window=200) == 200
    assert count_ranks_per_seed(20, window=200) == 200
    assert count_ranks_per_seed(100, window=200) == 40
    assert count_ranks_per_seed(200, window=1000) == 20
    assert count_ranks_per_seed(200, window=5) == 5
