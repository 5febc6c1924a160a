"""Several searches become one ranking, whose hits say which of the searches found them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlens.search.fusion import Ranking, fuse, list_searches
from twinlens.search.request import MultiSearchRequest, SearchRequest
from twinlens.stores.base import ScoredVideo


def found(*video_ids: str) -> list[ScoredVideo]:
    return [ScoredVideo(video_id, 9.0 - at) for at, video_id in enumerate(video_ids)]


def fuse_searches(searches, shares, *, limit):
    rankings = [
        Ranking(key=number, videos=videos, weight=share)
        for number, (videos, share) in enumerate(zip(searches, shares, strict=True))
    ]
    return fuse(rankings, limit=limit, k=5)


def test_each_rank_gives_its_share():
    b, c, a = fuse_searches([found("a", "b"), found("b", "c")], [1, 2], limit=9)
    assert (b.video_id, c.video_id, a.video_id) == ("b", "c", "a")
    assert b.score == pytest.approx(1 / 7 + 2 / 6)
    assert c.score == pytest.approx(2 / 7)
    assert a.score == pytest.approx(1 / 6)


def test_a_hit_names_the_search_that_ranks_it_best_first():
    [a] = fuse_searches([found("x", "y", "a"), found("x", "a")], [1, 1], limit=3)[1:2]
    assert a.video_id == "a"
    assert list_searches(a) == [(1, 2), (0, 3)]


def test_a_hit_has_the_lens_ranks_of_the_search_that_ranks_it_best(searcher):
    searches = [SearchRequest(text="beach film"), SearchRequest(text="cricket film")]
    request = MultiSearchRequest(searches=searches, shares=[1, 1], limit=30)
    alone = [
        {hit.video_id: hit.sources for hit in searcher.search(one.with_options(request)).hits}
        for one in searches
    ]
    hits = searcher.multi_search(request).hits
    assert {hit.found_by[0][0] for hit in hits} == {0, 1}
    for hit in hits:
        assert hit.sources == alone[hit.found_by[0][0]][hit.video_id]


lists = st.lists(
    st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8).map(lambda given: found(*given)),
    min_size=1,
    max_size=5,
)


@given(lists, st.data())
def test_fewer_are_the_first_of_more_and_nothing_is_lost(searches, data):
    shares = data.draw(
        st.lists(st.sampled_from([0, 0.5, 1, 3]), min_size=len(searches), max_size=len(searches))
    )
    whole = fuse_searches(searches, shares, limit=99)
    assert {one.video_id for one in whole} == {
        one.video_id
        for videos, share in zip(searches, shares, strict=True)
        for one in videos
        if share
    }
    assert [one.score for one in whole] == sorted((one.score for one in whole), reverse=True)
    for one in whole:
        for search, rank in list_searches(one):
            assert searches[search][rank - 1].video_id == one.video_id
    assert fuse_searches(searches, shares, limit=3) == whole[:3]


@given(lists)
def test_one_search_alone_keeps_its_order(searches):
    [first, *_] = searches
    fused = fuse_searches([first], [1], limit=99)
    assert [one.video_id for one in fused] == [one.video_id for one in first]
