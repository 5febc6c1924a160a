"""From answers to figures: what every ranking reaches on every task, and what fusing them gains."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tqdm import tqdm

from twinlens.catalog.errors import EncoderError, EncoderUnavailable
from twinlens.encoders.base import ThumbnailEncoder
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.encoders.load import load_title_encoder
from twinlens.evaluate.bootstrap import Mean, mean
from twinlens.evaluate.search.baselines import BASELINES, Baseline, baseline_answers
from twinlens.evaluate.search.index import searcher_over
from twinlens.evaluate.search.metrics import CHIEF, PerQuery, per_query
from twinlens.evaluate.search.rankings import ask
from twinlens.evaluate.search.tasks import Corpus, Task
from twinlens.evaluate.vector_cache import CachedTitleEncoder, VectorCache
from twinlens.search.request import SearchRequest

FUSION: Final = "fusion"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one ranking on one task; ``model`` is None for what no title model is in."""

    model: str | None
    ranking: str
    per_query: PerQuery

    def means(self) -> dict[str, Mean]:
        """Each measure's mean over the queries, with its interval."""
        return {name: mean(values) for name, values in self.per_query.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """By how much a model's fusion is above a rival in ``CHIEF``, query by query.

    ``apart`` says that the intervals of the two means don't overlap, which is harder than that the
    interval of the difference holds no 0.
    """

    model: str
    rival: str
    difference: Mean
    apart: bool


@dataclass(frozen=True, slots=True)
class TaskResult:
    """All rows of one task."""

    task: Task
    rows: Sequence[Row]

    def leads(self) -> list[Lead]:
        """Of each model's fusion over its best single ranking, and over the baselines."""
        found: list[Lead] = []
        for fused in self.rows:
            if fused.model is None or fused.ranking != FUSION:
                continue
            singles = [row for row in self.rows if row.model == fused.model and row is not fused]
            best = max(singles, key=lambda row: row.per_query[CHIEF].mean())
            baselines = [row for row in self.rows if row.model is None]
            found += [_lead(fused, rival) for rival in (best, *baselines)]
        return found


def _lead(fused: Row, rival: Row) -> Lead:
    own, other = fused.means()[CHIEF], rival.means()[CHIEF]
    return Lead(
        model=str(fused.model),
        rival=rival.ranking,
        difference=mean(fused.per_query[CHIEF] - rival.per_query[CHIEF]),
        apart=own.low > other.high or own.high < other.low,
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """The results by task, in their order, and the models that could not be loaded, with why."""

    results: Sequence[TaskResult]
    fingerprints: Mapping[str, str]
    failed: Mapping[str, str]


def measure(
    tasks: Sequence[Task],
    *,
    title_models: Sequence[str],
    thumbnail_encoder: ThumbnailEncoder,
    settings: SearchRequest,
    cache: VectorCache,
    threads: int,
) -> Measured:
    """Every task asked of both baselines, and with every title model.

    A title model that can't be loaded is reported, and the rest goes on.

    Raises:
        EncoderUnavailable: none of the title models can be loaded.
    """
    rows: dict[str, list[Row]] = {task.name: [] for task in tasks}
    for corpus, asking in by_corpus(tasks):
        for name, make in BASELINES.items():
            baseline: Baseline | None = None
            for task in asking:
                if any(query.text is not None for query in task.queries.values()):
                    baseline = baseline or make(corpus)
                    rows[task.name].append(
                        Row(None, name, per_query(task, baseline_answers(baseline, task)))
                    )
    fingerprints: dict[str, str] = {}
    failed: dict[str, str] = {}
    for model in title_models:
        try:
            encoder = CachedTitleEncoder(load_title_encoder(model, threads=threads), cache)
            fingerprints[model] = encoder.fingerprint
            encoder.encode_queries(["a first word, to see that it loads"])
        except EncoderError as error:
            fingerprints.pop(model, None)
            failed[model] = str(error)
            logger.warning("%s: left out: %s", model, error)
            continue
        _encode_ahead(encoder, tasks)
        for corpus, asking in by_corpus(tasks):
            with searcher_over(
                corpus, title_encoder=encoder, thumbnail_encoder=thumbnail_encoder, cache=cache
            ) as searcher:
                for task in asking:
                    answers = ask(searcher, task, settings)
                    for name in (TITLE, THUMBNAIL, WORDS):
                        ranked = {
                            key: [one.video_id for one in answer.single[name]]
                            for key, answer in answers.items()
                            if name in answer.single
                        }
                        if ranked:
                            rows[task.name].append(Row(model, str(name), per_query(task, ranked)))
                    fused = {key: answer.fused for key, answer in answers.items()}
                    rows[task.name].append(Row(model, FUSION, per_query(task, fused)))
    if not fingerprints:
        raise EncoderUnavailable("; ".join(f"{model}: {why}" for model, why in failed.items()))
    return Measured([TaskResult(task, rows[task.name]) for task in tasks], fingerprints, failed)


def _encode_ahead(encoder: CachedTitleEncoder, tasks: Sequence[Task]) -> None:
    """All queries in batches, which takes a fraction of the time that one by one would."""
    texts = [
        query.text for task in tasks for query in task.queries.values() if query.text is not None
    ]
    with tqdm(total=len(texts), desc=f"queries, {encoder.name}", leave=False) as progress:
        encoder.query_vectors(texts, progress.update)


def by_corpus(tasks: Sequence[Task]) -> Iterator[tuple[Corpus, list[Task]]]:
    """The tasks that ask the same catalogue, together."""
    corpora = list(dict.fromkeys(task.corpus for task in tasks))
    for corpus in corpora:
        yield corpus, [task for task in tasks if task.corpus is corpus]


def to_json(result: TaskResult) -> dict[str, Any]:
    """A task's figures as JSON values."""
    task = result.task
    return {
        "family": task.family,
        "name": task.name,
        "videos": len(task.corpus.videos),
        "queries": len(task.queries),
        "many_relevant": task.many_relevant,
        "rows": [
            {
                "model": row.model,
                "ranking": row.ranking,
                "figures": {name: found.to_json() for name, found in row.means().items()},
            }
            for row in result.rows
        ],
        f"fusion_leads_{CHIEF}": [
            {
                "model": lead.model,
                "rival": lead.rival,
                "difference": lead.difference.to_json(),
                "apart": lead.apart,
            }
            for lead in result.leads()
        ],
    }
