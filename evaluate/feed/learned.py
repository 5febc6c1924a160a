"""The learned candidates, trained anew on what a question allows, whole or without an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from twinlens.evaluate.feed.protocols import Question, measure
from twinlens.evaluate.measures import PerQuery
from twinlens.recommender.candidate_training import (
    TrainedCandidates,
    TrainingOptions,
    make_scorer,
    train_candidates,
)
from twinlens.recommender.interactions import Interactions, Texts
from twinlens.recommender.person_inputs import PersonEncoder
from twinlens.recommender.videos import VideoTable


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
