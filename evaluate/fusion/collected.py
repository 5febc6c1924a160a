"""Rankings that were asked for once, and fused anew for every setting."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.evaluate.fusion.setting import Setting
from twinlens.evaluate.search.metrics import DEPTH, per_query
from twinlens.evaluate.search.rankings import ask
from twinlens.evaluate.search.tasks import Task
from twinlens.search.fusion import fuse, weigh_rankings
from twinlens.search.request import SearchRequest
from twinlens.search.searcher import Searcher
from twinlens.stores.base import ScoredVideo

# How well an order is: the first ten count, the higher the more.
JUDGED_BY: Final = "nDCG@10"
WINDOWS: Final = (50, 100, 200, 400)
EXPANDS: Final = (1, 3, 5, 10)

Rankings = Mapping[str, Sequence[ScoredVideo]]


@dataclass(frozen=True, slots=True)
class Collected:
    """The rankings of a task's queries with one title model, each as deep as the widest window.

    ``coverage`` is what the backend multiplies the words' weight by. ``borrowed`` holds the
    thumbnails' rankings of a search by text, by how many videos lent.
    """

    task: Task
    model: str
    own: Mapping[str, Rankings]
    coverage: Mapping[str, float]
    borrowed: Mapping[int, Mapping[str, Sequence[ScoredVideo]]]

    @property
    def fuses(self) -> bool:
        """Whether there is more than one ranking to fuse."""
        names = {name for rankings in self.own.values() for name in rankings}
        return len(names) + bool(self.borrowed) > 1

    def judged(self, setting: Setting) -> npt.NDArray[np.float64]:
        """``JUDGED_BY`` of each query of the task, fused by ``setting`` with the backend's fuse."""
        lent = self.borrowed.get(setting.expand, {})
        ranked: dict[str, list[str]] = {}
        for query_id, own in self.own.items():
            rankings = {name: ranking[: setting.window] for name, ranking in own.items()}
            if query_id in lent:
                rankings[THUMBNAIL] = lent[query_id][: setting.window]
            weights = {**setting.weights}
            if WORDS in weights:
                weights[WORDS] *= self.coverage[query_id]
            fused = fuse(weigh_rankings(rankings, weights), limit=DEPTH, k=setting.k)
            ranked[query_id] = [one.video_id for one in fused]
        return per_query(self.task, ranked, [JUDGED_BY])[JUDGED_BY]


def collect(searcher: Searcher, task: Task, model: str, *, borrows: bool) -> Collected:
    """The rankings of ``task``, asked through the backend with all weights 1.

    ``borrows`` says that its queries have nothing of their own to ask the thumbnails with.
    Who lends thumbnails hangs on the fusion of what the text found, so strictly on the setting;
    here the default's say, and whoever takes a setting from a sweep measures it as served too.
    """
    plain = SearchRequest(
        weights=dict.fromkeys((TITLE, THUMBNAIL, WORDS), 1.0), window=max(WINDOWS), expand=0
    )
    answered = ask(searcher, task, plain)
    own = {query_id: answer.single for query_id, answer in answered.items()}
    coverage = {query_id: answer.words_coverage for query_id, answer in answered.items()}
    borrowed: dict[int, Mapping[str, Sequence[ScoredVideo]]] = {}
    if borrows and any(video.thumbnail is not None for video in task.corpus.videos):
        for expand in EXPANDS:
            answers = ask(searcher, task, replace(plain, expand=expand))
            borrowed[expand] = {
                query_id: answer.single[THUMBNAIL]
                for query_id, answer in answers.items()
                if THUMBNAIL in answer.single
            }
    return Collected(task, model, own, coverage, borrowed)


def by_text(task: Task) -> bool:
    """Whether the task's queries are texts, and not videos."""
    return any(query.text is not None for query in task.queries.values())


def halves(task: Task) -> tuple[Task | None, Task | None]:
    """The task with the queries to choose by, and with those to judge by; None where none falls.

    A query's half hangs on its id alone. So a title that is asked for in several tasks, or a
    sentence in several languages, is on one side in all of them.
    """
    sides: tuple[dict[str, None], dict[str, None]] = ({}, {})
    for query_id in task.queries:
        sides[hashlib.sha256(query_id.encode()).digest()[0] & 1][query_id] = None
    first, second = (
        replace(
            task,
            queries={query_id: task.queries[query_id] for query_id in side},
            qrels={query_id: task.qrels[query_id] for query_id in side},
        )
        if side
        else None
        for side in sides
    )
    return first, second
