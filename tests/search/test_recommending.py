"""What several liked and disliked videos recommend together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.search.fusion import (
    DISLIKED_SHARE,
    LensRank,
    Ranking,
    SeedLens,
    count_ranks_per_seed,
    fuse,
    list_best_lens_ranks,
    name_recommenders,
)
from twinlens.stores.base import ScoredVideo


def ranking(seed, found, *, liked=True, lens=TITLE, weight=1.0):
    scored = [ScoredVideo(one, 0.9 - 0.1 * at) for at, one in enumerate(found)]
    return Ranking(
        key=SeedLens(seed, lens),
        videos=scored,
        weight=weight if liked else weight * DISLIKED_SHARE,
        takes_away=not liked,
    )


def ids(rankings, **options):
    return [one.video_id for one in fuse(rankings, **{"limit": 100, "k": 5, **options})]


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


def test_each_taste_has_its_first_place_before_any_has_its_second():
    assert ids([ranking("s", "abc"), ranking("t", "xyz")])[:4] == ["a", "x", "b", "y"]


def test_what_has_nothing_left_is_no_hit():
    assert ids([ranking("s", "ab"), ranking("t", "ba", liked=False, weight=9.0)]) == []
    assert ids([ranking("t", "ab", liked=False)]) == []


def test_a_hit_has_its_best_place_by_each_lens_and_the_videos_that_gave_most():
    [hit] = fuse(
        [
            ranking("s", "a"),
            ranking("t", ["y", "a"]),
            ranking("u", ["y", "z", "a"], lens=WORDS, weight=5.0),
            ranking("v", ["y", "z", "w", "a"]),
            ranking("n", "a", liked=False, lens=THUMBNAIL),
        ],
        limit=1,
        k=0,
    )
    assert hit.video_id == "y"
    assert name_recommenders(hit) == ["u", "t", "v"]
    assert list_best_lens_ranks(hit) == {TITLE: LensRank(1, 0.9), WORDS: LensRank(1, 0.9)}


many = st.lists(
    st.builds(
        ranking,
        st.sampled_from("stuv"),
        st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8),
        liked=st.booleans(),
        lens=st.sampled_from([TITLE, THUMBNAIL, WORDS]),
        weight=st.sampled_from([0.5, 1.0, 5.0]),
    ),
    max_size=8,
)


@given(many, st.integers(0, 9))
def test_fewer_are_the_first_of_more(rankings, limit):
    assert ids(rankings, limit=limit) == ids(rankings)[:limit]


@given(many)
def test_scores_fall_and_stay_above_nothing(rankings):
    found = fuse(rankings, limit=100, k=5)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)
    for one in found:
        assert 1 <= len(name_recommenders(one)) <= 3
        assert set(name_recommenders(one)) <= {
            given.key.seed for given in rankings if not given.takes_away
        }


@given(many)
def test_a_dislike_lifts_nothing(rankings):
    without = {
        one.video_id: one.score
        for one in fuse([one for one in rankings if not one.takes_away], limit=100, k=5)
    }
    for one in fuse(rankings, limit=100, k=5):
        assert one.score <= without[one.video_id] + 1e-12


def test_the_more_seeds_the_fewer_ranks_of_each():
    assert count_ranks_per_seed(1, window=200) == 200
    assert count_ranks_per_seed(20, window=200) == 200
    assert count_ranks_per_seed(100, window=200) == 40
    assert count_ranks_per_seed(200, window=1000) == 20
    assert count_ranks_per_seed(200, window=5) == 5
