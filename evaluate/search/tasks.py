"""What is measured: a catalogue, what is asked of it, and what the answers should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinlens.catalog.errors import UsageError
from twinlens.catalog.video import Video


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The videos of one index; several tasks may ask the same one."""

    name: str
    videos: Sequence[Video]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked: a text, or "more like this video"; exactly one of them is given."""

    text: str | None = None
    video_id: str | None = None


# Query id -> video id -> how relevant, 1 or more; a video that is not named is not relevant.
Qrels = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Labelled queries over a corpus; ``family`` is the kind of task, for means and for sweeps.

    Raises:
        UsageError: no query, or one that nothing is relevant to.
    """

    family: str
    name: str
    corpus: Corpus
    queries: Mapping[str, Query]
    qrels: Qrels

    def __post_init__(self) -> None:
        if not self.queries:
            raise UsageError(f"{self.name}: no query is left to ask")
        for query_id in self.queries:
            if not self.qrels.get(query_id):
                raise UsageError(f"{self.name}: nothing is relevant to query {query_id!r}")

    @property
    def many_relevant(self) -> bool:
        """Whether some query has more than one relevant video."""
        return any(len(self.qrels[query_id]) > 1 for query_id in self.queries)
