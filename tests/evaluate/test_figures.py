"""Metrics, intervals and baselines against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from twinlens.catalog.video import Video
from twinlens.evaluate.machine import to_json
from twinlens.evaluate.measures import bootstrap_mean, measure_rankings
from twinlens.evaluate.report import label_rows
from twinlens.evaluate.search import RankingFigures, TaskReport, rank_by_bm25
from twinlens.evaluate.tasks import Corpus

QRELS = {"q1": {"a": 1}, "q2": {"b": 2, "c": 1}, "q3": {"d": 1}}


def test_metrics_are_those_worked_out_by_hand() -> None:
    ranked = {"q1": ["x", "a", "y"], "q2": ["c", "x", "b"]}  # q3 has no answer
    found = measure_rankings(QRELS, ranked)
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
    late = measure_rankings(QRELS, {"q1": [*"zyxwvutsrq", "a"], "q2": ["c", "b"]})
    assert [values[0] for values in late.values()] == [0] * 5
    assert late["R@1"][1] == 0.5
    assert measure_rankings(QRELS, {})["RR@10"].tolist() == [0, 0, 0]


def test_an_interval_is_that_of_a_mean_and_seeded() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(3.0, 2.0, size=400)
    found = bootstrap_mean(values)
    assert found == bootstrap_mean(values)
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20  # the normal approximation
    assert found.value - found.low == pytest.approx(half, rel=0.12)
    assert found.high - found.value == pytest.approx(half, rel=0.12)
    assert bootstrap_mean([1.0, 1.0]) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="nothing"):
        bootstrap_mean([])


TITLES = {
    "a": "A walk in Kandy",
    "b": "Kandy and the lake of Kandy by night",
    "c": "සිංහල ගීත එකතුව",
    "d": "Cooking rice",
}
CORPUS = Corpus("c", [Video(video_id=key, title=title) for key, title in TITLES.items()])


def test_bm25_finds_by_words_and_nothing_else() -> None:
    texts = ["the lake in kandy", "rice", "zebra", "", "ගීත එකතුව"]
    lake, rice, nothing, empty, sinhala = rank_by_bm25(CORPUS, texts)
    assert lake[0] == "b"
    assert set(lake) == {"a", "b"}
    assert rice == ["d"]
    assert nothing == empty == []
    assert sinhala[0] == "c"


def _row(model: str | None, ranking: str, *recalls: float) -> RankingFigures:
    per_query = {"R@10": np.array(recalls)}
    return RankingFigures(model, ranking, {"R@10": bootstrap_mean(per_query["R@10"])}, per_query)


def test_a_lead_is_paired_and_over_the_best_single_ranking() -> None:
    worse, better = [0.0, 1.0] * 20, [0.5, 1.0] * 20
    rows = [
        _row(None, "BM25", *[0.0] * 40),
        _row("m", "title", *worse),
        _row("m", "words", *[0.35, 0.95] * 20),
        _row("m", "fusion", *better),
    ]
    words, bm25 = TaskReport("f", "n", 5, 40, False, rows).find_leads()
    assert (words.rival, bm25.rival) == ("words", "BM25")
    assert words.difference.value == pytest.approx(0.1)
    # Paired: the differences are 0.15 and 0.05, so their interval is far from 0; not so the means'.
    assert 0.05 < words.difference.low < words.difference.high < 0.15
    assert not words.apart
    assert bm25.apart
    # A ranking that no model changes is named once, that of the titles by its model.
    others = [_row("x/n", "title", *worse), _row("x/n", "words", *[0.35, 0.95] * 20)]
    assert [label for label, _ in label_rows([*rows, *others])] == [
        *("BM25", "title, m", "words", "fusion, m", "title, n")
    ]


def test_a_report_is_told_in_json_without_what_is_per_query() -> None:
    figures = {"R@10": {"value": 0.66667, "low": 0.0, "high": 1.0}}
    assert to_json({"rows": (_row("m", "title", 0.0, 1.0, 1.0),)}) == {
        "rows": [{"model": "m", "ranking": "title", "figures": figures}]
    }
