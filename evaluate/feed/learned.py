"""The learned candidates, trained anew on what a question allows, whole or without an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix
from twinlens.evaluate.feed.protocols import LEARNED, Question, measure
from twinlens.evaluate.measures import PerQuery
from twinlens.recommender.candidate_training import (
    TrainedCandidates,
    TrainingOptions,
    make_scorer,
    train_candidates,
)
from twinlens.recommender.interactions import Interactions, Ints, Texts
from twinlens.recommender.mixing import fuse_sources
from twinlens.recommender.person_inputs import PersonEncoder
from twinlens.recommender.popularity import HALF_LIVES_S
from twinlens.recommender.videos import VideoTable
from twinlens.stores.base import ScoredVideo

FUSED: Final = "learned, popular and trending, fused"
# As many as a feed asks of each.
_ASKED: Final = {LEARNED: 200, "popular": 100, "trending": 100}


class Part(NamedTuple):
    """What a training is given."""

    known: Interactions
    videos: VideoTable
    options: TrainingOptions


def _leave_out_searches(part: Part) -> Part:
    return part._replace(known=part.known.forget_searches())


def _leave_out_context(part: Part) -> Part:
    known = part.known
    nothing = {
        name: Texts(values=(), codes=of.codes * 0 - 1) for name, of in known.contexts.items()
    }
    return part._replace(
        known=replace(known, contexts=nothing, demographics=known.demographics.forget())
    )


def _leave_out_content(part: Part) -> Part:
    bare = VideoTable(video_ids=part.videos.video_ids, vectors={}, columns={})
    return part._replace(videos=bare)


def _set(**values: Any) -> Callable[[Part], Part]:
    return lambda part: part._replace(options=replace(part.options, **values))


# What can be done without, and the ways to pool that the paper compares: each alone.
ABLATIONS: Final[Mapping[str, Callable[[Part], Part]]] = {
    "without searches": _leave_out_searches,
    "without context": _leave_out_context,
    "without example age": _set(example_age="none"),
    "without content": _leave_out_content,
    "without tables": _set(co_watching=False),
    "without tables, average (the paper's)": _set(co_watching=False, pooling="average"),
    "without tables, sum": _set(co_watching=False, pooling="sum"),
    "without tables, max": _set(co_watching=False, pooling="max"),
    "no hidden layer": _set(hidden=()),
}


def measure_fused(question: Question, trained: TrainedCandidates, videos: int) -> PerQuery:
    """Return the measures of what was trained, fused with popular and trending as in a feed."""
    past, asked = question.past, question.asked
    learned = make_scorer(trained.network, PersonEncoder(asked, trained.people), trained.tables)
    ages_s = np.nan_to_num(np.nanmax(past.times) - past.times, nan=np.inf)
    counts: Mapping[str, npt.NDArray[Any]] = {
        trend: np.bincount(past.videos, 2.0 ** (-ages_s / half_life), minlength=videos)
        for trend, half_life in HALF_LIVES_S.items()
    }

    def score(labels: Ints) -> FloatMatrix:
        fused = np.zeros((len(labels), videos), dtype=np.float32)
        for at, (label, scores) in enumerate(zip(labels, learned(labels), strict=True)):
            seen = asked.videos[asked.starts[asked.persons[label]] : label]
            sources: dict[str, npt.NDArray[Any]] = {LEARNED: scores, **counts}
            found = {name: _list_best(of, seen, _ASKED[name]) for name, of in sources.items()}
            for one in fuse_sources(found, limit=videos):
                fused[at, int(one.video_id)] = one.score
        return fused

    return measure(question, score, videos)


def _list_best(
    scores: npt.NDArray[Any], seen: npt.NDArray[np.integer], limit: int
) -> list[ScoredVideo]:
    scores = np.array(scores)
    scores[seen] = -np.inf
    best = np.argsort(-scores, kind="stable")[:limit].tolist()
    return [ScoredVideo(str(row), float(scores[row])) for row in best if scores[row] > -np.inf]


def measure_learned(
    question: Question,
    videos: VideoTable,
    options: TrainingOptions,
    *,
    ablation: str | None = None,
    folder: Path | None = None,
    on_step: Callable[[int, int, str], None] | None = None,
) -> tuple[PerQuery, TrainedCandidates]:
    """Train on the question's past; return the measures of each label, and what was trained.

    A run that was killed goes on from ``folder``.
    """
    past = Part(question.past, videos, options)
    asked = Part(question.asked, videos, options)
    if ablation is not None:
        past, asked = ABLATIONS[ablation](past), ABLATIONS[ablation](asked)
    trained = train_candidates(
        past.known, past.videos, past.options, folder=folder, on_step=on_step
    )
    encoder = PersonEncoder(asked.known, trained.people)
    score = make_scorer(trained.network, encoder, trained.tables)
    return measure(question, score, len(videos)), trained
