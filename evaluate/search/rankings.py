"""What the backend's search answers to a task's queries: its ranking, and each one within it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tqdm import tqdm

from twinlens.catalog.errors import UnencodableItems
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.evaluate.search.tasks import Task
from twinlens.search.request import SearchRequest
from twinlens.search.searcher import Searcher
from twinlens.stores.base import ScoredVideo


@dataclass(frozen=True, slots=True)
class Answer:
    """The fused ranking of one query as video ids, and the rankings that it was fused from.

    ``words_coverage`` is how much of its words the best title found by them has, from 0 to 1.
    """

    fused: list[str]
    single: Mapping[str, list[ScoredVideo]]
    words_coverage: float


def ask(searcher: Searcher, task: Task, settings: SearchRequest) -> dict[str, Answer]:
    """An answer per query of ``task``, asked with the weights and the other ``settings``.

    One search gives all: its page is so long that nothing of the window is cut off, and each hit
    says where every ranking has it. A query with no direction, which the API refuses, has no hits.
    """
    limit = settings.window * 3
    answers: dict[str, Answer] = {}
    for query_id, query in tqdm(task.queries.items(), desc=task.name, unit=" queries", leave=False):
        request = replace(settings, text=query.text, video_id=query.video_id, limit=limit)
        coverage = None
        try:
            result = searcher.search(request)
            hits, coverage = result.hits, result.words_coverage
        except UnencodableItems:
            hits = []
        single: dict[str, list[ScoredVideo]] = {}
        for name in (TITLE, THUMBNAIL, WORDS):
            places = sorted(
                (hit.sources[name].rank, hit.video_id, hit.sources[name].score)
                for hit in hits
                if name in hit.sources
            )
            if places:
                single[name] = [ScoredVideo(video_id, score) for _, video_id, score in places]
        answers[query_id] = Answer([hit.video_id for hit in hits], single, coverage or 0.0)
    return answers
