"""Which watches are learned from, and which are held out to stop by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix
from twinlens.recommender.interactions import Interactions, Ints

MOST_POSITIONS: Final = 64
DAY_S: Final = 86_400.0
_LEAST_HELD_OUT: Final = 50
_LEAST_WATCHES: Final = 3
_MOST_SCORES: Final = 2**24

# Scores of all videos, float32 (n, videos), for people as they were before each of n watches.
Scorer = Callable[[Ints], FloatMatrix]


class Split(NamedTuple):
    """Which watches may be labels in training (bool), and the held-out ones."""

    trained: npt.NDArray[np.bool_]
    held_out: Ints


def hold_out_last(known: Interactions) -> Split:
    """Hold out the last watch of each person who has three or more."""
    counts = np.diff(known.starts)
    held_out = known.starts[1:][counts >= _LEAST_WATCHES] - 1
    trained = np.ones(len(known), dtype=np.bool_)
    trained[held_out] = False
    return Split(trained, held_out)


def hold_out_days(known: Interactions, days: float) -> Split:
    """Hold out the last days: of each person the first watch in them of a video not seen before.

    No other watch of these days is learned from.
    """
    start = np.nanmax(known.times) - days * DAY_S
    late = np.flatnonzero(known.times >= start)
    late = late[find_first_views(known)[late]]
    persons = known.persons[late]
    firsts = np.ones(len(late), dtype=np.bool_)
    firsts[1:] = np.diff(persons) != 0
    return Split(~(known.times >= start), late[firsts])


def hold_out(known: Interactions, *, days: float = 1.0) -> Split:
    """Hold out the last day of a log, or else the last watch of each person.

    So where it has no times, or so few people came that day that they say nothing.
    """
    if known.is_timed:
        split = hold_out_days(known, days)
        if len(split.held_out) >= _LEAST_HELD_OUT and split.trained.any():
            return split
    return hold_out_last(known)


def find_first_views(known: Interactions) -> npt.NDArray[np.bool_]:
    """Return which watches are the person's first of that video."""
    order = np.lexsort((np.arange(len(known)), known.videos, known.persons))
    again = np.zeros(len(known), dtype=np.bool_)
    videos, persons = known.videos[order], known.persons[order]
    again[order[1:]] = (np.diff(videos) == 0) & (np.diff(persons) == 0)
    return ~again


def draw_some(labels: Ints, seed: int, *, most: int = 10_000) -> Ints:
    """Return at most so many of the labels, drawn by lot, in their order."""
    drawn = np.random.default_rng(seed).permutation(len(labels))[:most]
    return labels[np.sort(drawn)]


def draw_examples(
    known: Interactions, trained: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Ints, npt.NDArray[np.float32]]:
    """Draw the labels of an epoch, in random order, and their weights, 1 on average.

    Of each person at most ``MOST_POSITIONS``, all together of the same weight whoever it is.

    Source: Covington et al. 2016, 3.4 (a fixed number of examples per person).
    """
    labels = np.flatnonzero(trained)
    labels = labels[rng.permutation(len(labels))]
    persons = known.persons[labels]
    order = np.argsort(persons, kind="stable")
    counts = np.bincount(persons, minlength=len(known.person_ids))
    starts = np.cumsum(counts) - counts
    places = np.empty(len(labels), dtype=np.int64)
    places[order] = np.arange(len(labels)) - np.repeat(starts, counts)
    kept = places < MOST_POSITIONS
    labels, persons = labels[kept], persons[kept]
    weights = 1.0 / np.minimum(counts, MOST_POSITIONS)[persons]
    return labels, (weights * len(weights) / weights.sum()).astype(np.float32)


def rank_labels(
    score: Scorer, known: Interactions, labels: Ints, videos: int, *, leave_out_seen: bool = True
) -> Ints:
    """Return the place of each label's own video, from 0, among all ``videos``; ties by row.

    What a person has seen before is left out, or left in.
    """
    ranks = []
    at_once = max(1, _MOST_SCORES // max(videos, 1))
    for start in range(0, len(labels), at_once):
        batch = labels[start : start + at_once]
        scores = np.array(score(batch))
        rows = known.videos[batch]
        own = scores[np.arange(len(batch)), rows].copy()
        if leave_out_seen:
            for at, (first, label) in enumerate(
                zip(known.starts[known.persons[batch]], batch, strict=True)
            ):
                scores[at, known.videos[first:label]] = -np.inf
        better = scores > own[:, None]
        equal = (scores == own[:, None]) & (np.arange(scores.shape[1]) < rows[:, None])
        ranks.append((better | equal).sum(axis=1))
    return np.concatenate(ranks) if ranks else np.zeros(0, dtype=np.int64)


def measure_gain(ranks: Ints, depth: int) -> npt.NDArray[np.float64]:
    """Return nDCG at ``depth`` of each label: one video is to be found, at this rank from 0.

    Source: Järvelin, Kekäläinen: Cumulated gain-based evaluation of IR techniques, 2002.
    """
    return np.where(ranks < depth, 1 / np.log2(ranks + 2.0), 0.0)
