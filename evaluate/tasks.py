"""A task: a catalogue, the queries, and the right answers."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from twinlens.catalog.errors import UsageError
from twinlens.catalog.sources import Reject, open_source
from twinlens.catalog.video import Video

MORE_LIKE: Final = "more like this"
# Of all labels that two videos have, how many they share at least (Jaccard) to be alike.
_LEAST_SHARED: Final = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The videos of one index; several tasks may ask the same one."""

    name: str
    videos: Sequence[Video]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """What is asked: a text, or "more like this video"; exactly one of them is given."""

    text: str | None = None
    video_id: str | None = None


# Query id -> video id -> how relevant, 1 or more; a video that is not named is not relevant.
Qrels = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Labelled queries over a corpus; ``family`` is the kind of task, for means and for sweeps.

    ``qrels`` are of these queries, in their order; what is found of ``unjudged`` for a query is
    passed over.

    Raises:
        UsageError: there is no query, or one that nothing is relevant to.
    """

    family: str
    name: str
    corpus: Corpus
    queries: Mapping[str, TaskQuery]
    qrels: Qrels
    unjudged: Mapping[str, Collection[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.queries:
            raise UsageError(f"{self.name}: no query is left to ask")
        for query_id in self.queries:
            if not self.qrels.get(query_id):
                raise UsageError(f"{self.name}: nothing is relevant to query {query_id!r}")

    @property
    def texts(self) -> dict[str, str]:
        """The queries that are texts, by query id."""
        return {key: query.text for key, query in self.queries.items() if query.text is not None}

    @property
    def many_relevant(self) -> bool:
        """Whether some query has more than one relevant video."""
        return any(len(relevant) > 1 for relevant in self.qrels.values())


def read_corpus(spec: str, *, columns: Mapping[str, str] | None = None) -> Corpus:
    """Read the videos of a source, named after its file or folder; rejected rows are not there.

    Raises:
        SourceError: there is no such source, or it lacks what is needed.
        UsageError: it holds no video.
    """
    videos: dict[str, Video] = {}
    rejects = []
    for row in open_source(spec, columns=columns):
        if isinstance(row, Reject):
            rejects.append(row)
        elif row.video.title is not None or row.video.thumbnail is not None:
            videos.setdefault(row.video.video_id, row.video)
    if rejects:
        at, detail = rejects[0].origin, rejects[0].detail
        told = "%s: %d rows left out, the first at %s, row %d: %s"
        logger.warning(told, spec, len(rejects), at.file, at.row, detail)
    if not videos:
        raise UsageError(f"{spec}: no video in it")
    path = Path(spec)
    # ``titles-lk/videos.jsonl.gz`` says more by its folder.
    name = path.name if path.is_dir() or not path.parent.name else path.parent.name
    return Corpus(name, list(videos.values()))


def make_more_like_task(spec: str, column: str, *, limit: int, seed: int) -> Task:
    """Ask by a video for those that share its labels, which ``column`` of the source holds.

    Relevant are videos that share at least half of the labels that the two have together; twice as
    relevant are those with the same labels. At most ``limit`` videos ask, drawn by lot.

    Raises:
        SourceError: there is no such source, or it has no such column.
        UsageError: no two videos share labels.
    """
    corpus = read_corpus(spec, columns={"tags": column})
    labels = {one.video_id: frozenset(of) for one in corpus.videos if (of := one.texts("tags"))}
    video_ids, qrels = list(labels), dict[str, dict[str, int]]()
    for at in np.random.default_rng(seed).permutation(len(labels)):
        if len(qrels) == limit:
            break
        own = labels[asked := video_ids[at]]
        relevant = {
            other: 2 if of == own else 1
            for other, of in labels.items()
            if other != asked and len(of & own) >= _LEAST_SHARED * len(of | own)
        }
        if relevant:
            qrels[asked] = relevant
    queries = {video_id: TaskQuery(video_id=video_id) for video_id in qrels}
    return Task(MORE_LIKE, f"{corpus.name}, same {column}", corpus, queries, qrels)
