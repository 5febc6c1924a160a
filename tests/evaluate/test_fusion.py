"""The sweep of the fusion's settings: halves, what is fused, what is chosen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import ColourEncoder, WordEncoder
from twinlens.catalog.errors import UsageError
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.evaluate.fusion import DEFAULT, FusionSetting, choose, judge, sweep_fusion, sweep_kind
from twinlens.evaluate.index import index_corpus
from twinlens.evaluate.machine import to_json
from twinlens.evaluate.measures import measure_rankings
from twinlens.evaluate.report import format_fusion
from twinlens.evaluate.search import Asked, TaskAnswer, ask_task, ask_tasks
from twinlens.evaluate.tasks import Corpus, Task, TaskQuery
from twinlens.search.request import SearchRequest
from twinlens.stores.base import ScoredVideo


def _answer(coverage: float = 1.0, **rankings: str) -> TaskAnswer:
    single = {name: [ScoredVideo(one, 1.0) for one in of] for name, of in rankings.items()}
    return TaskAnswer([], single, coverage)


def _task(relevant: dict[str, str], family: str = "f") -> Task:
    queries = {key: TaskQuery(text=key) for key in relevant}
    qrels = {key: {video_id: 1} for key, video_id in relevant.items()}
    return Task(family, f"{family} task", Corpus("c", []), queries, qrels)


def _setting(title: float, words: float, thumbnail: float, k: float = 60) -> FusionSetting:
    return FusionSetting(k, {TITLE: title, WORDS: words, THUMBNAIL: thumbnail})


def test_a_query_is_in_one_half_in_every_task() -> None:
    relevant = {f"q{at}": "a" for at in range(200)}
    halves = choose(_task(relevant))
    assert 70 < halves.sum() < 130
    shuffled = dict(sorted(relevant.items(), reverse=True))
    assert choose(_task(shuffled, "other"))[::-1].tolist() == [
        halves[at] for at in np.argsort(list(relevant))
    ]


def test_a_setting_fuses_as_it_says() -> None:
    answers = {"q": _answer(title="tb", words="wb", thumbnail="pw")}
    one = Asked("m", _task({"q": "w"}), answers, borrowed=False)
    second = 1 / np.log2(3)
    assert judge(one, _setting(1, 0, 0)) == 0.0
    assert judge(one, _setting(0, 1, 0)) == 1.0
    assert judge(one, _setting(0, 0, 1)) == pytest.approx(second)
    # With both, ``b`` gets twice 1/62, and ``w`` 1/61 and half of 1/62.
    assert judge(one, _setting(1, 1, 0)) < 1
    assert judge(one, _setting(1, 1, 1)) == 1.0
    # What the words' best title lacks, and that a thumbnail is borrowed, takes weight away.
    uncovered = Asked("m", one.task, {"q": _answer(0.0, title="tb", words="wb")}, borrowed=False)
    assert judge(uncovered, _setting(1, 5, 0)) == 0.0
    lent = Asked("m", one.task, {"q": _answer(title="tb", thumbnail="wp")}, borrowed=True)
    assert judge(lent, _setting(1, 0, 2)) == pytest.approx(1 / np.log2(4))


def test_families_count_alike_and_the_best_is_chosen() -> None:
    relevant = {f"q{at}": "a" for at in range(40)}
    by_words = {key: _answer(title="xy", words="ax") for key in relevant}
    by_title = {key: _answer(title="ax", words="xa") for key in relevant}
    collected = [
        Asked("m", _task(relevant, "known"), by_words, False),
        Asked("m", _task(relevant, "known twice"), by_words, False),
        Asked("m", _task(relevant, "cross"), by_title, False),
    ]
    sweep = sweep_kind("by text", collected)
    values = [trial.value for trial in sweep.trials]
    assert len(values) == 108
    assert sweep.best.value == max(values)
    only_title = next(trial for trial in sweep.trials if trial.setting.weights[WORDS] == 0)
    assert only_title.families == pytest.approx({"known": 0, "known twice": 0, "cross": 1})
    assert only_title.value == pytest.approx(1 / 3)
    assert sweep.default.setting == DEFAULT
    # By the default x is first, which both rankings have.
    assert sweep.held_out["known"].default.value == pytest.approx(1 / np.log2(3))
    assert sweep.held_out["known"].difference.value == pytest.approx(1 - 1 / np.log2(3))
    with pytest.raises(UsageError, match="too few queries"):
        sweep_kind("by text", [Asked("m", _task({"q0": "a"}), {"q0": by_title["q0"]}, False)])


def test_a_difference_is_resampled_by_query_id() -> None:
    relevant = {f"q{at}": "a" for at in range(40)}
    good = {key: _answer(title="a") for key in relevant}
    bad = {key: _answer(title="x") for key in relevant}
    pair = [Asked("m", _task(relevant), good, False), Asked("m", _task(relevant), bad, False)]
    found = sweep_kind("by text", pair).held_out["f"]
    # 1 and 0 for every query: 0.5 each, so nothing is uncertain.
    assert found.default == (0.5, 0.5, 0.5)
    assert found.difference == (0, 0, 0)


def test_what_is_collected_fuses_to_what_is_served(corpus: Corpus, cache: Path) -> None:
    queries = {video.video_id: TaskQuery(text=f"{video.title} again") for video in corpus.videos}
    task = Task("f", "n", corpus, queries, {key: {key: 1} for key in queries})
    with index_corpus(corpus, WordEncoder(), ColourEncoder(), cache=cache) as index:
        collected = Asked("m", task, ask_task(index.searcher, task, SearchRequest()), True)
        assert "thumbnail" in collected.answers["v0"].single
        for setting in (DEFAULT, _setting(1, 2, 0, k=5), _setting(1, 1, 3)):
            request = SearchRequest(weights=setting.weights, rrf_k=setting.rrf_k)
            answers = ask_task(index.searcher, task, request)
            ranked = {key: one.fused for key, one in answers.items()}
            fused = measure_rankings(task.qrels, ranked)
            np.testing.assert_array_equal(judge(collected, setting), fused["nDCG@10"])


def test_both_kinds_of_search_are_swept_end_to_end(corpus: Corpus, cache: Path) -> None:
    texts = {video.video_id: TaskQuery(text=video.title) for video in corpus.videos}
    likes = {video.video_id: TaskQuery(video_id=video.video_id) for video in corpus.videos}
    others = {key: {f"v{(int(key[1:]) + 3) % 6}": 1} for key in likes}
    tasks = [
        Task("known", "own title", corpus, texts, {key: {key: 1} for key in texts}),
        Task("like", "same thing", corpus, likes, others),
    ]
    sweeps = sweep_fusion(ask_tasks(tasks, {"one": WordEncoder()}, ColourEncoder(), cache=cache))
    assert [one.kind for one in sweeps] == ["search by text", "search by a video"]
    told = json.loads(json.dumps(to_json(sweeps)))
    assert all(one["best"]["value"] >= one["default"]["value"] for one in told)
    assert told[0]["held_out"]["known"]["default"]["value"] == 1.0
    assert told[0]["best"]["setting"]["weights"].keys() == {"title", "words", "thumbnail"}
    assert "held-out queries" in format_fusion(sweeps)
