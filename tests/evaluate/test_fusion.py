"""The sweep of the fusion's settings: halves, what is fused, what is chosen, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.fakes import ColourEncoder, WordEncoder
from twinlens.catalog.video import Video
from twinlens.cli import main
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS, own_lenses
from twinlens.evaluate.fusion import run
from twinlens.evaluate.fusion.collected import Collected, collect, halves
from twinlens.evaluate.fusion.held_out import Comparison, over_families
from twinlens.evaluate.fusion.plot import draw
from twinlens.evaluate.fusion.report import table
from twinlens.evaluate.fusion.setting import Setting, served
from twinlens.evaluate.fusion.sweep import sweep_text, trial
from twinlens.evaluate.search.index import searcher_over
from twinlens.evaluate.search.metrics import per_query
from twinlens.evaluate.search.rankings import ask
from twinlens.evaluate.search.tasks import Corpus, Query, Task
from twinlens.evaluate.vector_cache import CachedTitleEncoder, VectorCache
from twinlens.search.request import SearchRequest
from twinlens.stores.base import ScoredVideo

TITLE, WORDS, THUMBNAIL = TITLE, WORDS, THUMBNAIL


def _ranking(*video_ids: str) -> list[ScoredVideo]:
    return [ScoredVideo(video_id, 1.0) for video_id in video_ids]


def _task(queries: dict[str, str], family: str = "f") -> Task:
    return Task(
        family,
        f"{family} task",
        Corpus("c", []),
        {key: Query(text=key) for key in queries},
        {key: {relevant: 1} for key, relevant in queries.items()},
    )


def test_a_query_is_on_the_same_side_in_every_task() -> None:
    names = {f"q{at}": "a" for at in range(200)}
    first, second = halves(_task(names))
    assert first is not None
    assert second is not None
    assert {*first.queries} | {*second.queries} == set(names)
    assert not {*first.queries} & {*second.queries}
    assert 70 < len(first.queries) < 130
    assert halves(_task(names, "other"))[0].queries == first.queries
    alone = halves(_task({"q1": "a"}))
    assert [side is None for side in alone].count(True) == 1


def test_a_default_setting_is_what_is_served() -> None:
    for borrows in (True, False):
        request = served(borrows=borrows).request(borrows=borrows)
        assert request.digest() == SearchRequest().digest()


def test_a_setting_fuses_as_it_says() -> None:
    own = {"q": {TITLE: _ranking("t", "b"), WORDS: _ranking("w", "b")}}
    one = Collected(_task({"q": "w"}), "m", own, {"q": 1.0}, {3: {"q": _ranking("p", "w")}})
    assert one.fuses
    assert not Collected(one.task, "m", {"q": {TITLE: _ranking("t")}}, {"q": 0.0}, {}).fuses

    def judged(**weights: float) -> float:
        setting = Setting(k=60, weights=weights)
        return float(one.judged(setting)[0])

    assert judged(title=1, words=0, thumbnail=0) == 0.0
    assert judged(title=0, words=1, thumbnail=0) == 1.0
    second = 1 / np.log2(3)
    assert judged(title=0, words=0, thumbnail=1) == pytest.approx(second)
    # With both, ``b`` gets twice 1/62, and ``w`` 1/61 and half of 1/62.
    assert judged(title=1, words=1, thumbnail=0) < 1
    assert judged(title=1, words=1, thumbnail=1) == 1.0
    narrow = Setting(k=60, weights={TITLE: 0, WORDS: 0, THUMBNAIL: 1}, window=1)
    assert one.judged(narrow)[0] == 0.0
    assert one.judged(Setting(weights={TITLE: 0, WORDS: 0, THUMBNAIL: 1}, expand=5))[0] == 0.0


def test_families_count_alike_and_the_best_is_chosen() -> None:
    by_words = {f"q{at}": {TITLE: _ranking("x", "y"), WORDS: _ranking("a", "x")} for at in range(3)}
    by_title = {"q": {TITLE: _ranking("a", "x"), WORDS: _ranking("x", "a")}}
    collected = [
        Collected(
            _task(dict.fromkeys(by_words, "a"), "known"),
            "m",
            by_words,
            dict.fromkeys(by_words, 1.0),
            {},
        ),
        Collected(_task({"q": "a"}, "cross"), "m", by_title, {"q": 1.0}, {}),
    ]
    only_words = Setting(weights={TITLE: 0.0, WORDS: 1.0})
    assert trial(only_words, collected).families == pytest.approx(
        {"known": 1.0, "cross": 1 / np.log2(3)}
    )
    assert trial(only_words, collected).value == pytest.approx((1 + 1 / np.log2(3)) / 2)
    stages = sweep_text(collected, served(borrows=True))
    values = [one.value for stage in stages for one in stage.trials]
    assert stages[-1].best.value == max(values)
    # Neither the window nor the thumbnails make a difference: they stay as they are.
    assert stages[-1].best.setting.window == served(borrows=True).window
    assert stages[-1].best.setting.weights[THUMBNAIL] == 0


def test_a_difference_is_resampled_by_query_id() -> None:
    one, other = _task({"q1": "a", "q2": "a"}), _task({"q1": "a"})
    zeros = {name: np.zeros(2) for name in ("R@1", "R@10", "nDCG@10")}
    ones = {name: np.array([1.0, 0.0]) for name in zeros}
    first = {name: values[:1] for name, values in ones.items()}
    found = over_families([Comparison(one, "m", zeros, ones), Comparison(other, "m", first, first)])
    default, difference = found["f"]["R@1"]
    assert default.value == 0.25  # q1: 0 and 1, q2: 0
    assert difference.value == 0.25


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    videos = []
    titles = [f"{a} {b}" for a in ("red", "blue", "old") for b in ("bus", "tram", "boat", "kite")]
    for at, title in enumerate(titles):
        picture = tmp_path / f"{at}.png"
        Image.new("RGB", (32, 32), (20 * at, 250 - 20 * at, 90)).save(picture)
        videos.append(Video(video_id=f"v{at}", title=title, thumbnail=picture))
    return Corpus("small", videos)


def test_what_is_collected_fuses_to_what_is_served(corpus: Corpus) -> None:
    queries = {video.video_id: Query(text=f"{video.title} again") for video in corpus.videos}
    task = Task("f", "n", corpus, queries, {key: {key: 1} for key in queries})
    cache = VectorCache(None)
    titles = CachedTitleEncoder(WordEncoder(), cache)
    with searcher_over(corpus, lenses=own_lenses(titles, ColourEncoder()), cache=cache) as searcher:
        collected = collect(searcher, task, "m", borrows=True)
        for weights in ({TITLE: 1.0, WORDS: 2.0, THUMBNAIL: 0.0}, {TITLE: 1.0, WORDS: 1.0}):
            borrowed = {THUMBNAIL: 0.3} if THUMBNAIL not in weights else {}
            setting = Setting(weights={**weights, **borrowed})
            answers = ask(searcher, task, setting.request(borrows=True))
            fused = {key: answer.fused for key, answer in answers.items()}
            np.testing.assert_array_equal(
                collected.judged(setting), per_query(task, fused)["nDCG@10"]
            )


def test_a_choice_is_made_and_judged_end_to_end(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def load(model: str, *, threads: int) -> WordEncoder:
        return WordEncoder(fingerprint=model)

    monkeypatch.setattr(run, "load_title_encoder", load)
    texts = {video.video_id: Query(text=str(video.title)) for video in corpus.videos}
    likes = {video.video_id: Query(video_id=video.video_id) for video in corpus.videos}
    own = {key: {key: 1} for key in texts}
    others = {key: {f"v{(int(key[1:]) + 4) % 12}": 1} for key in likes}
    choice = run.choose(
        [
            Task("known", "own title", corpus, texts, own),
            Task("like", "same thing", corpus, likes, others),
        ],
        title_models=["one"],
        thumbnail_encoder=ColourEncoder(),
        cache=VectorCache(None),
        threads=1,
    )
    assert list(choice.stages) == ["search by text", "search by a video"]
    report = json.loads(json.dumps(choice.to_json()))
    for kind in report["kinds"].values():
        assert kind["chosen"]["value"] >= kind["default"]["value"]
    assert [one["task"] for one in report["held_out"]] == ["own title", "same thing"]
    assert report["held_out"][0]["R@10"]["chosen"]["value"] == 1.0
    text = table(choice.stages, choice.defaults, choice.comparisons)
    assert "chosen: k " in text
    assert "own title, one" in text
    pytest.importorskip("matplotlib")
    draw(choice.stages["search by text"][0], tmp_path / "sweep.png")
    with Image.open(tmp_path / "sweep.png") as plot:
        assert plot.format == "PNG"


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["evaluate", "fusion"])
    assert (done.exit_code, "nothing to measure" in done.stderr) == (2, True)
    nowhere = str(tmp_path / "none" / "sweep.json")
    done = CliRunner().invoke(main, ["evaluate", "fusion", "--json", nowhere])
    assert (done.exit_code, "is no folder" in done.stderr) == (2, True)
