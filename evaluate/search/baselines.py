"""BM25 as others have it, to compare with: by ``bm25s``, and Qdrant's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import qdrant_edge as qe

from twinlens.catalog.errors import UsageError
from twinlens.evaluate.search.metrics import DEPTH
from twinlens.evaluate.search.tasks import Corpus, Task

# Answers the texts of queries: video ids, the best first, at most ``DEPTH`` of each.
Baseline = Callable[[Sequence[str]], list[list[str]]]


def bm25s_over(corpus: Corpus) -> Baseline:
    r"""BM25 of whole words by ``bm25s``, with all that it does unless it is told otherwise.

    So it is what a person gets who adds BM25 in an afternoon: lower case, words of two characters
    or more by ``\w``, English stop words, Lucene's variant, k1 = 1.5, b = 0.75.

    Source: Lù: BM25S: Orders of magnitude faster lexical search via eager sparse scoring, 2024.

    Raises:
        UsageError: ``bm25s`` is not installed.
    """
    try:
        import bm25s
    except ImportError as error:
        raise UsageError("this needs bm25s: pip install 'twinlens[evaluate]'") from error
    video_ids, titles = _titles(corpus)
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(titles, show_progress=False), show_progress=False)

    def ranked(texts: Sequence[str]) -> list[list[str]]:
        tokens = bm25s.tokenize(list(texts), show_progress=False)
        found, scores = retriever.retrieve(
            tokens, k=min(DEPTH, len(video_ids)), show_progress=False
        )
        return [
            [video_ids[at] for at, score in zip(row, of, strict=True) if score > 0]
            for row, of in zip(found, scores, strict=True)
        ]

    return ranked


def qdrant_bm25_over(corpus: Corpus) -> Baseline:
    """BM25 as Qdrant's own model makes it, scored as its inverted index with IDF does.

    All is left as it comes (words taken apart at whatever is no letter, English stop words and
    stemmer, k = 1.2, b = 0.75), but for the average length, which is that of the corpus. Its
    multilingual tokenizer did worse on every task, for it drops numbers.
    """
    video_ids, titles = _titles(corpus)
    lengths = [len(qe.Bm25().embed_document(title).indices) for title in titles]
    model = qe.Bm25(qe.Bm25Config(avg_len=max(1.0, float(np.mean(lengths)))))
    postings: dict[int, list[tuple[int, float]]] = {}
    for at, title in enumerate(titles):
        vector = model.embed_document(title)
        for index, value in zip(vector.indices, vector.values, strict=True):
            postings.setdefault(index, []).append((at, value))

    def ranked(texts: Sequence[str]) -> list[list[str]]:
        return [_best(model.embed_query(text), postings, video_ids) for text in texts]

    return ranked


BASELINES: Final[Mapping[str, Callable[[Corpus], Baseline]]] = {
    "BM25 (bm25s)": bm25s_over,
    "BM25 (Qdrant)": qdrant_bm25_over,
}


def baseline_answers(baseline: Baseline, task: Task) -> dict[str, list[str]]:
    """The video ids that ``baseline`` finds, by query id; none for a query without a text."""
    texts = {key: query.text for key, query in task.queries.items() if query.text is not None}
    return dict(zip(texts, baseline(list(texts.values())), strict=True))


def _best(
    query: Any, postings: Mapping[int, list[tuple[int, float]]], video_ids: Sequence[str]
) -> list[str]:
    scores: dict[int, float] = {}
    for index, weight in zip(query.indices, query.values, strict=True):
        holders = postings.get(index, ())
        # Source: Qdrant's documentation of the IDF modifier.
        idf = np.log(1 + (len(video_ids) - len(holders) + 0.5) / (len(holders) + 0.5))
        for at, value in holders:
            scores[at] = scores.get(at, 0.0) + weight * value * float(idf)
    order = sorted(scores, key=lambda at: (-scores[at], video_ids[at]))
    return [video_ids[at] for at in order[:DEPTH]]


def _titles(corpus: Corpus) -> tuple[list[str], list[str]]:
    titled = {video.video_id: video.title for video in corpus.videos if video.title is not None}
    return list(titled), list(titled.values())
