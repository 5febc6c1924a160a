from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import qdrant_edge as qe
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.http.models import ScoredPoint
from qdrant_client.hybrid.fusion import reciprocal_rank_fusion

from twinlens.encoders.lenses import THUMBNAIL, TITLE
from twinlens.search.fusion import LensRank, fuse, list_lens_ranks, weigh_rankings
from twinlens.stores.base import ScoredVideo

TITLE, THUMBNAIL = TITLE, THUMBNAIL

ranking = st.lists(st.sampled_from([f"v{n:02}" for n in range(30)]), unique=True, max_size=25).map(
    lambda ids: [ScoredVideo(video_id, 1 - n / 50) for n, video_id in enumerate(ids)]
)
rankings = st.fixed_dictionaries({TITLE: ranking, THUMBNAIL: ranking})
weight = st.floats(0.01, 100)
weights = st.fixed_dictionaries({TITLE: weight, THUMBNAIL: weight})
k = st.integers(0, 200)


def fuse_lenses(
    lists: Mapping[str, Sequence[ScoredVideo]],
    *,
    weights: Mapping[str, float] | None = None,
    **options,
):
    return fuse(weigh_rankings(lists, weights), **options)


def plainly(
    lists: Mapping[str, Sequence[ScoredVideo]],
    k: float,
    weights: Mapping[str, float],
) -> dict[str, float]:
    """The formula, video by video."""
    every = {one.video_id for found in lists.values() for one in found}
    scores = {}
    for video_id in every:
        score = 0.0
        for name, found in lists.items():
            places = [place for place, one in enumerate(found) if one.video_id == video_id]
            if places:
                score += weights[name] * (1 / (k + places[0] + 1))
        scores[video_id] = score
    return scores


@given(rankings, k, weights)
def test_scores_are_those_of_the_formula(lists, k, weights):
    fused = fuse_lenses(lists, limit=100, k=k, weights=weights)
    expected = plainly(lists, k, weights)
    assert {one.video_id: one.score for one in fused} == pytest.approx(expected, rel=1e-12)
    order = [(-one.score, one.video_id) for one in fused]
    assert order == sorted(order)


@given(rankings, weights)
def test_the_order_of_the_mapping_does_not_matter(lists, weights):
    turned = dict(reversed(list(lists.items())))
    assert fuse_lenses(lists, limit=50, weights=weights) == fuse_lenses(
        turned, limit=50, weights=weights
    )


@given(rankings, k)
def test_each_source_says_its_own_rank_and_score(lists, k):
    for one in fuse_lenses(lists, limit=100, k=k):
        for name, found in lists.items():
            places = {scored.video_id: (n, scored.score) for n, scored in enumerate(found, 1)}
            expected = places.get(one.video_id)
            given = list_lens_ranks(one).get(name)
            assert (given and (given.rank, given.score)) == expected


@given(rankings, k, weights, st.data())
def test_moving_up_one_list_never_lowers_a_score(lists, k, weights, data):
    name = data.draw(st.sampled_from([TITLE, THUMBNAIL]))
    if len(lists[name]) < 2:
        return
    place = data.draw(st.integers(1, len(lists[name]) - 1))
    moved = list(lists[name])
    moved[place - 1], moved[place] = moved[place], moved[place - 1]
    video_id = moved[place - 1].video_id

    def score(given):
        fused = fuse_lenses(given, limit=100, k=k, weights=weights)
        return next(one.score for one in fused if one.video_id == video_id)

    assert score({**lists, name: moved}) > score(lists)


@given(rankings, k, weight)
def test_weight_0_is_as_if_the_list_were_absent(lists, k, weight):
    zero = fuse_lenses(lists, limit=100, k=k, weights={TITLE: weight, THUMBNAIL: 0})
    assert zero == fuse_lenses({TITLE: lists[TITLE]}, limit=100, k=k, weights={TITLE: weight})


@given(rankings, k, weights, st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_scale_of_the_weights_does_not_change_the_order(lists, k, weights, factor):
    # Powers of two: scaling by them is exact, so ties stay ties.
    scaled = {name: factor * weight for name, weight in weights.items()}
    plain, other = (
        fuse_lenses(lists, limit=100, k=k, weights=given) for given in (weights, scaled)
    )
    assert [one.video_id for one in plain] == [one.video_id for one in other]


@given(rankings, st.integers(0, 40))
def test_the_limit_cuts_and_does_nothing_else(lists, limit):
    assert fuse_lenses(lists, limit=limit) == fuse_lenses(lists, limit=1000)[:limit]


@given(rankings, k)
def test_qdrant_clients_fusion_is_ours_with_k_one_more(lists, k):
    responses = [
        [ScoredPoint(id=n, version=0, score=one.score, payload={"id": one.video_id}) for n, one in
         ((int(one.video_id[1:]), one) for one in found)]
        for found in lists.values()
    ]  # fmt: skip
    theirs = reciprocal_rank_fusion(responses, limit=100, ranking_constant_k=k + 1)
    ours = fuse_lenses(lists, limit=100, k=k)
    assert {f"v{point.id:02}": point.score for point in theirs} == pytest.approx(
        {one.video_id: one.score for one in ours}, rel=1e-9
    )


def test_embedded_qdrants_fusion_is_ours_with_k_61(tmp_path):
    size = 40
    config = qe.EdgeConfig(
        vectors={
            name: qe.EdgeVectorParams(size=2, distance=qe.Distance.Dot)
            for name in ("title", "thumbnail")
        }
    )
    shard = qe.EdgeShard.create(str(tmp_path), config)
    # One list counts up, the other strides: every video has its own pair of ranks.
    places = {n: (n, (n * 17) % size) for n in range(size)}
    shard.update(
        qe.UpdateOperation.upsert_points(
            [
                qe.Point(n, {"title": [1 - a / size, 0.1], "thumbnail": [1 - b / size, 0.1]}, {})
                for n, (a, b) in places.items()
            ]
        )
    )
    lenses = [
        qe.Prefetch(limit=size, query=qe.Query.Nearest([1.0, 0.0], using=name))
        for name in ("title", "thumbnail")
    ]
    theirs = shard.query(qe.QueryRequest(limit=size, query=qe.Fusion.Rrf(k=61), prefetches=lenses))
    shard.close()
    ours = fuse_lenses(
        {
            TITLE: [ScoredVideo(str(n), 0.0) for n in range(size)],
            THUMBNAIL: [
                ScoredVideo(str(n), 0.0) for n in sorted(places, key=lambda n: places[n][1])
            ],
        },
        limit=size,
    )
    expected = {one.video_id: one.score for one in ours}
    assert {str(point.id): point.score for point in theirs} == pytest.approx(expected, rel=1e-5)


def test_a_worked_example():
    lists = {
        TITLE: [ScoredVideo("b", 0.9), ScoredVideo("a", 0.8)],
        THUMBNAIL: [ScoredVideo("a", 0.7), ScoredVideo("b", 0.6), ScoredVideo("c", 0.5)],
    }
    first, second, third = fuse_lenses(lists, limit=10)
    assert (first.video_id, second.video_id, third.video_id) == ("a", "b", "c")  # a tie: by id
    assert first.score == second.score == pytest.approx(1 / 61 + 1 / 62)
    assert list_lens_ranks(third) == {THUMBNAIL: LensRank(3, 0.5)}


def test_no_rankings_give_no_videos():
    assert fuse_lenses({}, limit=10) == []


@pytest.mark.parametrize("bad", [{"k": -1}, {"weights": {TITLE: -0.5}}])
def test_what_is_below_zero_is_refused(bad):
    with pytest.raises(ValueError, match="0 or more"):
        fuse_lenses({TITLE: [ScoredVideo("a", 0.5)]}, limit=1, **bad)
