"""The whole measurement: collect, sweep, and judge on held-out queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twinlens.catalog.errors import UsageError
from twinlens.encoders.base import TextThumbnailEncoder, ThumbnailEncoder
from twinlens.encoders.load import load_title_encoder
from twinlens.evaluate.fusion.collected import by_text, collect, halves
from twinlens.evaluate.fusion.held_out import Comparison, compare
from twinlens.evaluate.fusion.setting import served
from twinlens.evaluate.fusion.sweep import Stage, Trial, sweep_text, sweep_videos, trial
from twinlens.evaluate.search.index import searcher_over
from twinlens.evaluate.search.results import by_corpus
from twinlens.evaluate.search.tasks import Task
from twinlens.evaluate.vector_cache import CachedTitleEncoder, VectorCache
from twinlens.search.searcher import Searcher

# Kinds of search, each with settings of its own: whether it is by text, and its name.
_KINDS: Final = {True: "search by text", False: "search by a video"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The stages of the sweep and the default's trial, by kind of search, and the comparisons."""

    stages: Mapping[str, Sequence[Stage]]
    defaults: Mapping[str, Trial]
    comparisons: Sequence[Comparison]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "kinds": {
                kind: {
                    "default": self.defaults[kind].to_json(),
                    "chosen": stages[-1].best.to_json(),
                    "stages": [
                        {
                            "varied": stage.varied,
                            "trials": [one.to_json() for one in stage.trials],
                        }
                        for stage in stages
                    ],
                }
                for kind, stages in self.stages.items()
            },
            "held_out": [one.to_json() for one in self.comparisons],
        }


def choose(
    tasks: Sequence[Task],
    *,
    title_models: Sequence[str],
    thumbnail_encoder: ThumbnailEncoder,
    cache: VectorCache,
    threads: int,
) -> Choice:
    """The settings that did best on one half of the queries, and what they do on the other.

    Raises:
        UsageError: no task has two rankings to fuse.
        EncoderError: a title model can't be loaded.
    """
    encoders = {
        model: CachedTitleEncoder(load_title_encoder(model, threads=threads), cache)
        for model in title_models
    }

    # An encoder with a text side is asked with the text itself.
    lends = not isinstance(thumbnail_encoder, TextThumbnailEncoder)

    def indexed(of: Sequence[Task]) -> Iterator[tuple[str, Searcher, Task]]:
        for model, encoder in encoders.items():
            for corpus, asking in by_corpus(of):
                with searcher_over(
                    corpus, title_encoder=encoder, thumbnail_encoder=thumbnail_encoder, cache=cache
                ) as searcher:
                    for task in asking:
                        yield model, searcher, task

    split = [halves(task) for task in tasks]
    to_choose = [first for first, _ in split if first is not None]
    collected = [
        one
        for model, searcher, task in indexed(to_choose)
        for one in [collect(searcher, task, model, borrows=by_text(task) and lends)]
        if one.fuses
    ]
    stages: dict[str, Sequence[Stage]] = {}
    defaults: dict[str, Trial] = {}
    chosen = {}
    for is_text, kind in _KINDS.items():
        of_kind = [one for one in collected if by_text(one.task) == is_text]
        default = served(borrows=is_text and lends)
        chosen[is_text] = default
        if of_kind:
            defaults[kind] = trial(default, of_kind)
            sweep = sweep_text if is_text else sweep_videos
            stages[kind] = sweep(of_kind, default)
            chosen[is_text] = stages[kind][-1].best.setting
    if not stages:
        raise UsageError("nothing to choose: no task has two rankings to fuse")
    fused = {(one.model, one.task.name) for one in collected}
    comparisons = [
        compare(searcher, task, model, chosen[by_text(task)], borrows=by_text(task) and lends)
        for model, searcher, task in indexed([second for _, second in split if second is not None])
        if (model, task.name) in fused
    ]
    return Choice(stages, defaults, comparisons)
