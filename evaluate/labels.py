"""Known channels, tags and categories: who types such a name wants the videos that have it."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np

from twinlens.encoders.words import NAME_WEIGHTS
from twinlens.evaluate.known_items import TitleHolders, normalize
from twinlens.evaluate.tasks import Corpus, Task, TaskQuery

FAMILY: Final = "labels"
# Fewer names than this say nothing of a field.
_LEAST_NAMES: Final = 10
# A name that most videos have is no name to look for.
_MOST_SHARE: Final = 0.1


def make_label_tasks(corpus: Corpus, *, limit: int, seed: int) -> list[Task]:
    """Make a task per field whose names are searched: at most ``limit`` names, by lot.

    Relevant are the videos that have the name and whose title lacks a word of it; others whose
    title has all of it are not judged. No task of a field that has too few names.
    """
    titles = {video.video_id: video.title for video in corpus.videos if video.title is not None}
    holders = TitleHolders(titles)
    tasks = []
    for number, field in enumerate(NAME_WEIGHTS):
        having: defaultdict[str, set[str]] = defaultdict(set)
        for video in corpus.videos:
            for name in video.list_texts(field):
                having[normalize(name)].add(video.video_id)
        rng = np.random.default_rng([seed, number])
        names = sorted(having)
        queries, qrels, unjudged = {}, {}, {}
        for name in (names[at] for at in rng.permutation(len(names))):
            named = holders.find(name)
            relevant = having[name] - named
            if name and relevant and len(relevant) <= _MOST_SHARE * len(corpus.videos):
                queries[name] = TaskQuery(text=name)
                qrels[name] = dict.fromkeys(sorted(relevant), 1)
                unjudged[name] = named
            if len(queries) == limit:
                break
        if len(queries) >= _LEAST_NAMES:
            title = f"{corpus.name}, {field}"
            tasks.append(Task(FAMILY, title, corpus, queries, qrels, unjudged))
    return tasks
