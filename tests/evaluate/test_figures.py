"""Metrics, intervals and baselines against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import qdrant_edge as qe

from twinlens.catalog.video import Video
from twinlens.evaluate.bootstrap import mean
from twinlens.evaluate.search.baselines import bm25s_over, qdrant_bm25_over
from twinlens.evaluate.search.metrics import per_query
from twinlens.evaluate.search.tasks import Corpus, Query, Task

QRELS = {"q1": {"a": 1}, "q2": {"b": 2, "c": 1}, "q3": {"d": 1}}
TASK = Task("f", "n", Corpus("c", []), {key: Query(text=key) for key in QRELS}, QRELS)


def test_metrics_are_those_worked_out_by_hand() -> None:
    ranked = {"q1": ["x", "a", "y"], "q2": ["c", "x", "b"]}  # q3 has no answer
    found = per_query(TASK, ranked)
    second = 2 * 1 / math.log2(4) + 1  # of the grades 1, 0, 2
    ideal = 2 + 1 / math.log2(3)
    expected = {
        "R@1": [0, 0.5, 0],
        "R@10": [1, 1, 0],
        "RR@10": [0.5, 1, 0],
        "nDCG@10": [1 / math.log2(3), second / ideal, 0],
        "P@10": [0.1, 0.2, 0],
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, err_msg=name)


def test_only_the_first_ten_count_and_equal_ids_are_ordered_by_rank() -> None:
    late = per_query(TASK, {"q1": [*"zyxwvutsrq", "a"], "q2": ["c", "b"]})
    assert [values[0] for values in late.values()] == [0] * 5
    assert late["R@1"][1] == 0.5
    assert per_query(TASK, {})["RR@10"].tolist() == [0, 0, 0]


def test_an_interval_is_that_of_a_mean_and_seeded() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(3.0, 2.0, size=400)
    found = mean(values)
    assert found == mean(values)
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20  # the normal approximation
    assert found.value - found.low == pytest.approx(half, rel=0.12)
    assert found.high - found.value == pytest.approx(half, rel=0.12)
    assert mean([1.0, 1.0]) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="nothing"):
        mean([])


TITLES = {
    "a": "A walk in Kandy",
    "b": "Kandy and the lake of Kandy by night",
    "c": "සිංහල ගීත එකතුව",
    "d": "Cooking rice",
}
CORPUS = Corpus("c", [Video(video_id=key, title=title) for key, title in TITLES.items()])


@pytest.mark.parametrize("baseline", [bm25s_over, qdrant_bm25_over])
def test_a_baseline_finds_by_words_and_nothing_else(baseline) -> None:
    lake, rice, nothing, empty, sinhala = baseline(CORPUS)(
        ["the lake in kandy", "rice", "zebra", "", "ගීත එකතුව"]
    )
    assert lake[0] == "b"
    assert set(lake) == {"a", "b"}
    assert rice == ["d"]
    assert nothing == empty == []
    assert sinhala[0] == "c"


def test_qdrants_bm25_is_scored_as_its_engine_does(tmp_path) -> None:
    config = qe.EdgeConfig(
        vectors={},
        sparse_vectors={"words": qe.EdgeSparseVectorParams(modifier=qe.Modifier.Idf)},
    )
    shard = qe.EdgeShard.create(str(tmp_path), config)
    titles = [f"{TITLES[one]} {TITLES[other]}" for one in TITLES for other in TITLES if one < other]
    corpus = Corpus("c", [Video(video_id=f"v{at}", title=of) for at, of in enumerate(titles)])
    length = np.mean([len(qe.Bm25().embed_document(title).indices) for title in titles])
    model = qe.Bm25(qe.Bm25Config(avg_len=float(length)))
    shard.update(
        qe.UpdateOperation.upsert_points(
            [
                qe.Point(at, {"words": model.embed_document(title)}, {})
                for at, title in enumerate(titles)
            ]
        )
    )
    baseline = qdrant_bm25_over(corpus)
    for text in ("kandy by night", "walk rice", "ගීත lake"):
        asked = qe.Query.Nearest(model.embed_query(text), using="words")
        hits = shard.query(qe.QueryRequest(limit=10, query=asked, with_payload=False))
        ranked = sorted(hits, key=lambda hit: (-round(hit.score, 5), hit.id))
        assert baseline([text])[0] == [f"v{hit.id}" for hit in ranked]
    shard.close()
