"""Known-item search: a person has seen a video and asks for it by what they remember of its title.

Source of the method: Azzopardi, de Rijke, Balog: Building Simulated Queries for Known-Item Topics,
SIGIR 2007 (queries made from the document itself, seeded).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import regex

from twinlens.evaluate.search.damage import DAMAGES, Damage, plain, script_of
from twinlens.evaluate.search.tasks import Corpus, Query, Task

FAMILY: Final = "known item"
# With fewer titles of a script, an interval is too wide to say anything.
LEAST_TITLES: Final = 30
_TRIES: Final = 8
_WORD: Final = regex.compile(r"[\p{L}\p{M}\p{N}]+")


def known_item_tasks(corpus: Corpus, *, limit: int, seed: int) -> Iterator[Task]:
    """One task per script and kind of damage, each with at most ``limit`` titles, drawn by lot.

    A title that another video has too is not asked for, nor is one whose query would fit another
    title as well: then nobody could say which is meant. A query is never equal to its title. The
    same seed draws the same queries.
    """
    titles = {video.video_id: video.title for video in corpus.videos if video.title is not None}
    times = Counter(plain(title) for title in titles.values())
    unique = {video_id: title for video_id, title in titles.items() if times[plain(title)] == 1}
    words = _WordIndex(titles)
    by_script: dict[str, list[str]] = defaultdict(list)
    for video_id, title in unique.items():
        script = script_of(title)
        if script is not None:
            by_script[script].append(video_id)
    for script, video_ids in sorted(by_script.items()):
        if len(video_ids) < LEAST_TITLES:
            continue
        for number, (kind, damage) in enumerate(DAMAGES.items()):
            rng = np.random.default_rng([seed, number, *script.encode()])
            queries: dict[str, Query] = {}
            for at in rng.permutation(len(video_ids)):
                if len(queries) == limit:
                    break
                video_id = video_ids[at]
                text = _query(video_id, unique[video_id], script, damage, words, rng)
                if text is not None:
                    queries[video_id] = Query(text=text)
            if len(queries) >= LEAST_TITLES:
                yield Task(
                    FAMILY,
                    f"{corpus.name}, {script.capitalize()}, {kind}",
                    corpus,
                    queries,
                    {video_id: {video_id: 1} for video_id in queries},
                )


class _WordIndex:
    """Which titles hold which words, without case and punctuation."""

    def __init__(self, titles: Mapping[str, str]) -> None:
        self._holders: dict[str, set[str]] = defaultdict(set)
        for video_id, title in titles.items():
            for word in _words(title):
                self._holders[word].add(video_id)

    def holders(self, text: str) -> set[str]:
        """The titles that hold every word of ``text``."""
        found = [self._holders.get(word, set()) for word in _words(text)]
        return set.intersection(*found) if found else set()


def _words(text: str) -> set[str]:
    return set(_WORD.findall(plain(text)))


def _query(
    video_id: str,
    title: str,
    script: str,
    damage: Damage,
    words: _WordIndex,
    rng: np.random.Generator,
) -> str | None:
    for _ in range(_TRIES):
        remembered = damage(title, script, rng)
        if (
            remembered is not None
            and words.holders(" ".join(remembered.meant)) == {video_id}
            and words.holders(remembered.text) <= {video_id}
        ):
            return remembered.text
    return None
