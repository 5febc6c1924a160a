"""Search measured on labelled queries: every ranking, their fusion, and BM25.

A catalogue is indexed by the job with the real encoders, and asked through the server's own search.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

from tqdm import tqdm

from twinlens.catalog.errors import EncoderError, EncoderUnavailable, UnencodableItems, UsageError
from twinlens.encoders.base import TextThumbnailEncoder, ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lenses import find_lenses
from twinlens.encoders.load import load_title_encoder
from twinlens.evaluate.index import index_corpus
from twinlens.evaluate.measures import (
    CHIEF,
    DEPTH,
    FUSION,
    Mean,
    PerQuery,
    bootstrap_mean,
    measure_rankings,
)
from twinlens.evaluate.tasks import Corpus, Task
from twinlens.search.request import SearchRequest, VideoNotFound
from twinlens.search.searcher import Searcher
from twinlens.stores.base import ScoredVideo

BM25: Final = "BM25 (bm25s)"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RankingFigures:
    """The figures of one ranking on one task; ``model`` is None where no title model has a say.

    ``per_query`` holds what the figures are means of.
    """

    model: str | None
    ranking: str
    figures: Mapping[str, Mean]
    per_query: PerQuery = field(repr=False)


class Lead(NamedTuple):
    """By how much a model's fusion is above a rival in ``CHIEF``, query by query.

    ``apart`` says that the intervals of the two means don't overlap, which is harder than that the
    interval of the difference holds no 0.
    """

    model: str
    rival: str
    difference: Mean
    apart: bool


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What every ranking reaches on a task of so many queries over so many videos."""

    family: str
    name: str
    videos: int
    queries: int
    many_relevant: bool
    rows: list[RankingFigures]

    def find_leads(self) -> list[Lead]:
        """Of each model's fusion over its best single ranking, and over BM25."""
        found: list[Lead] = []
        for fused in self.rows:
            if fused.model is None or fused.ranking != FUSION:
                continue
            singles = [row for row in self.rows if row.model == fused.model and row is not fused]
            singles.sort(key=lambda row: -row.figures[CHIEF].value)
            for rival in [*singles[:1], *(row for row in self.rows if row.model is None)]:
                own, other = fused.figures[CHIEF], rival.figures[CHIEF]
                difference = bootstrap_mean(fused.per_query[CHIEF] - rival.per_query[CHIEF])
                apart = own.low > other.high or own.high < other.low
                found.append(Lead(fused.model, rival.ranking, difference, apart))
        return found


@dataclass(frozen=True, slots=True)
class SearchReport:
    """What was measured: the fingerprint of every title model, and a report per task."""

    title_models: Mapping[str, str]
    tasks: Sequence[TaskReport]


def load_title_encoders(
    names: Sequence[str], *, threads: int = 1
) -> tuple[dict[str, TitleEncoder], dict[str, str]]:
    """Load the title encoders of these names; say why for those that can't be loaded.

    Raises:
        EncoderUnavailable: none of them can be loaded.
    """
    loaded: dict[str, TitleEncoder] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            encoder = load_title_encoder(name, threads=threads)
            encoder.encode_queries(["a first word, to see that it loads"])
            loaded[name] = encoder
        except EncoderError as error:
            failed[name] = str(error)
            logger.warning("%s: left out: %s", name, error)
    if not loaded:
        raise EncoderUnavailable("; ".join(f"{name}: {why}" for name, why in failed.items()))
    return loaded, failed


def measure_search(
    tasks: Sequence[Task],
    title_encoders: Mapping[str, TitleEncoder],
    thumbnail_encoder: ThumbnailEncoder,
    *,
    request: SearchRequest | None = None,
    cache: Path | None = None,
    threads: int = 2,
) -> SearchReport:
    """Measure BM25, and the product with each title encoder, on every task.

    ``request`` has the weights and other settings to ask with; the default's without one.
    Indexes are kept in ``cache``, if there is one.

    Raises:
        UsageError: a package is missing, or a catalogue holds nothing that can be indexed.
    """
    reports = {}
    for one in tasks:
        counts = len(one.corpus.videos), len(one.queries)
        reports[one] = TaskReport(one.family, one.name, *counts, one.many_relevant, [])

    def measure(task: Task, model: str | None, name: str, ranked: Mapping[str, list[str]]) -> None:
        per_query = measure_rankings(task.qrels, leave_out_unjudged(task, ranked))
        figures = {measured: bootstrap_mean(values) for measured, values in per_query.items()}
        reports[task].rows.append(RankingFigures(model, name, figures, per_query))

    for corpus, asking in _group(task for task in tasks if task.texts).items():
        texts = [text for task in asking for text in task.texts.values()]
        found = iter(rank_by_bm25(corpus, texts))
        for task in asking:  # each takes as many as it has texts
            measure(task, None, BM25, dict(zip(task.texts, found, strict=False)))
    how: dict[str, Any] = {"request": request, "cache": cache, "threads": threads}
    for model, task, answers, _ in ask_tasks(tasks, title_encoders, thumbnail_encoder, **how):
        for name in sorted({name for one in answers.values() for name in one.single}):
            singles = {key: answer.single.get(name, ()) for key, answer in answers.items()}
            ranked = {key: [one.video_id for one in of] for key, of in singles.items()}
            measure(task, model, name, ranked)
        measure(task, model, FUSION, {key: answer.fused for key, answer in answers.items()})
    models = {model: encoder.fingerprint for model, encoder in title_encoders.items()}
    return SearchReport(models, [*reports.values()])


def leave_out_unjudged(
    task: Task, ranked: Mapping[str, Sequence[str]]
) -> Mapping[str, Sequence[str]]:
    """Return rankings of video ids, by query, without what is not judged for it."""
    return {
        key: [one for one in found if one not in task.unjudged.get(key, ())]
        for key, found in ranked.items()
    }


class TaskAnswer(NamedTuple):
    """The fused ranking of one query as video ids, and the rankings that it was fused from.

    ``words_coverage`` is how much of the query's words the best title found by them has, 0 to 1.
    """

    fused: list[str]
    single: Mapping[str, list[ScoredVideo]]
    words_coverage: float


class Asked(NamedTuple):
    """The answers to every query of a task, by the index of one title model.

    ``borrowed`` says that its texts can't ask for thumbnails, which the best hits lend.
    """

    model: str
    task: Task
    answers: Mapping[str, TaskAnswer]
    borrowed: bool


def ask_tasks(
    tasks: Sequence[Task],
    title_encoders: Mapping[str, TitleEncoder],
    thumbnail_encoder: ThumbnailEncoder,
    *,
    request: SearchRequest | None = None,
    cache: Path | None = None,
    threads: int = 2,
) -> Iterator[Asked]:
    """Yield the answers to every task with each title encoder.

    Raises:
        UsageError: a catalogue holds nothing that can be indexed.
    """
    lends = not isinstance(thumbnail_encoder, TextThumbnailEncoder)
    how: dict[str, Any] = {"cache": cache, "threads": threads}
    for (model, encoder), (corpus, asking) in product(
        title_encoders.items(), _group(tasks).items()
    ):
        texts = [text for task in asking for text in task.texts.values()]
        with index_corpus(corpus, encoder, thumbnail_encoder, **how, texts=texts) as index:
            for task in asking:
                answers = ask_task(index.searcher, task, request or SearchRequest())
                yield Asked(model, task, answers, bool(task.texts) and lends)


def _group(tasks: Iterable[Task]) -> dict[Corpus, list[Task]]:
    found: defaultdict[Corpus, list[Task]] = defaultdict(list)
    for task in tasks:
        found[task.corpus].append(task)
    return found


def ask_task(searcher: Searcher, task: Task, request: SearchRequest) -> dict[str, TaskAnswer]:
    """Answer each query of ``task``, asked with the weights and other settings of ``request``.

    One search gives all: its page is so long that nothing of the window is cut off, and each hit
    says where every ranking has it. A query with no direction, which the API refuses, has no hits,
    nor has one by a video that could not be indexed.
    """
    answers: dict[str, TaskAnswer] = {}
    most = request.window * len(find_lenses())
    for query_id, query in tqdm(task.queries.items(), desc=task.name, unit=" queries", leave=False):
        asked = replace(request, text=query.text, video_id=query.video_id, limit=most)
        try:
            result = searcher.search(asked)
        except (UnencodableItems, VideoNotFound):
            answers[query_id] = TaskAnswer([], {}, 0.0)
            continue
        places: defaultdict[str, list[tuple[int, ScoredVideo]]] = defaultdict(list)
        for hit in result.hits:
            for name, source in hit.sources.items():
                places[name].append((source.rank, ScoredVideo(hit.video_id, source.score)))
        single = {name: [video for _, video in sorted(of)] for name, of in sorted(places.items())}
        fused = [hit.video_id for hit in result.hits]
        answers[query_id] = TaskAnswer(fused, single, result.words_coverage or 0.0)
    return answers


def rank_by_bm25(corpus: Corpus, texts: Sequence[str]) -> list[list[str]]:
    r"""For each text the ids of videos that share a word with it, the best ``DEPTH`` first.

    By BM25 of whole words in ``bm25s``, with all that it does unless it is told otherwise. So it is
    what a person gets who adds BM25 in an afternoon: lower case, words of two characters or more by
    ``\w``, English stop words, Lucene's variant, k1 = 1.5, b = 0.75.

    Source: Lù: BM25S: Orders of magnitude faster lexical search via eager sparse scoring, 2024.

    Raises:
        UsageError: ``bm25s`` is not installed.
    """
    try:
        import bm25s
    except ImportError as error:
        raise UsageError("this needs bm25s: pip install 'twinlens[evaluate]'") from error
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    titled = {video.video_id: video.title for video in corpus.videos if video.title is not None}
    video_ids, quietly = list(titled), {"show_progress": False}
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(list(titled.values()), **quietly), **quietly)
    tokens = bm25s.tokenize(list(texts), **quietly)
    found = retriever.retrieve(tokens, k=min(DEPTH, len(video_ids)), **quietly)
    rows = zip(found.documents, found.scores, strict=True)
    return [[video_ids[at] for at, score in zip(*row, strict=True) if score > 0] for row in rows]
