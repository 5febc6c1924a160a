"""Tasks from what ``twinlens index`` takes too: files and folders of videos."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from twinlens.catalog.errors import UsageError
from twinlens.catalog.sources import Reject, open_source
from twinlens.catalog.video import Video
from twinlens.evaluate.search.known_item import known_item_tasks
from twinlens.evaluate.search.tasks import Corpus, Query, Task

MORE_LIKE: Final = "more like this"
# Half of all labels that either has are shared; of one label each, that one.
_ALIKE: Final = 0.5

logger = logging.getLogger(__name__)


def read_corpus(spec: str, *, columns: Mapping[str, str] | None = None) -> Corpus:
    """The videos of a source, named after its file or folder; rows that hold none are left out.

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
        first = rejects[0]
        logger.warning(
            "%s: %d rows left out, the first at %s, row %d: %s",
            spec,
            len(rejects),
            first.origin.file,
            first.origin.row,
            first.detail,
        )
    if not videos:
        raise UsageError(f"{spec}: no video in it")
    path = Path(spec)
    # ``titles-lk/videos.jsonl.gz`` says more by its folder.
    name = path.name if path.is_dir() or not path.parent.name else path.parent.name
    return Corpus(name, list(videos.values()))


def known_items(spec: str, *, limit: int, seed: int) -> Iterator[Task]:
    """Known-item tasks over the titles of a source; see ``known_item_tasks``.

    Raises:
        SourceError: there is no such source, or it lacks what is needed.
        UsageError: it holds no video, or too few titles that can be asked for.
    """
    tasks = list(known_item_tasks(read_corpus(spec), limit=limit, seed=seed))
    if not tasks:
        raise UsageError(f"{spec}: too few titles that are like no other for a known-item task")
    yield from tasks


def more_like(spec: str, column: str, *, limit: int, seed: int) -> Task:
    """Ask by a video for those that share its labels, which ``column`` of the source holds.

    Relevant are videos that share at least half of the labels that the two have together (Jaccard),
    twice as relevant those with the same labels. At most ``limit`` videos ask, drawn by lot.

    Raises:
        SourceError: there is no such source, or it has no such column.
        UsageError: no two videos share labels.
    """
    corpus = read_corpus(spec, columns={"tags": column})
    labels = {
        video.video_id: frozenset(tags) for video in corpus.videos if (tags := video.texts("tags"))
    }
    video_ids = list(labels)
    rng = np.random.default_rng(seed)
    queries: dict[str, Query] = {}
    qrels: dict[str, dict[str, int]] = {}
    for at in rng.permutation(len(video_ids)):
        if len(queries) == limit:
            break
        asked = video_ids[at]
        relevant = {
            other: 2 if of == labels[asked] else 1
            for other, of in labels.items()
            if other != asked and len(of & labels[asked]) >= _ALIKE * len(of | labels[asked])
        }
        if relevant:
            queries[asked], qrels[asked] = Query(video_id=asked), relevant
    return Task(MORE_LIKE, f"{corpus.name}, same {column}", corpus, queries, qrels)
