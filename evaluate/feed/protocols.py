"""Questions to a log: the next watch, the next days, videos that are new, the other half.

Every figure is over a ranking of all videos. (Krichene, Rendle: On Sampled Metrics for Item
Recommendation, KDD 2020: figures over some drawn ones do not even keep the order of two systems.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import UsageError
from twinlens.catalog.vectors import FloatMatrix
from twinlens.evaluate.feed.baselines import BASELINES
from twinlens.evaluate.measures import Mean, PerQuery, bootstrap_mean
from twinlens.recommender.examples import (
    Scorer,
    draw_some,
    find_first_views,
    hold_out_days,
    hold_out_last,
    measure_gain,
    rank_labels,
)
from twinlens.recommender.interactions import Interactions, Ints
from twinlens.recommender.videos import Mask, VideoTable

Protocol = Literal["next-watch", "next-day", "new-videos", "halves"]
LEARNED: Final = "learned"
CONTENT: Final = "content of the last 20"
NEW_VIDEOS: Final = 512
_CONTENT_WATCHES: Final = 20
_FOLDS: Final = 5
_LEAST_HALVED: Final = 10
_SOUGHT_AMONG: Final = 20


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """What may be learned from, and whose next watch is to be found, by all that came before it.

    ``asked`` has the watches that are told, and the ``labels``, which are to be found; ``among``
    marks videos of which those are ranked alone, too. ``sought`` has, where more than one video is
    to be found, the rows of all, a label each.
    """

    protocol: Protocol
    past: Interactions
    asked: Interactions
    labels: Ints
    among: Mask | None = None
    sought: Sequence[Ints] | None = None


class Row(NamedTuple):
    """One way to find candidates: means by measure, and how far the learned one is above it."""

    name: str
    figures: Mapping[str, Mean]
    learned_above: Mapping[str, Mean]


def ask(
    protocol: Protocol, known: Interactions, videos: int, *, days: float = 1.0, seed: int = 0
) -> list[Question]:
    """Return the questions that a protocol asks of a log, one after the other: most ask one.

    Of at most 10,000 people, drawn by lot.

    Raises:
        UsageError: the log can't answer it.
    """
    match protocol:
        case "next-watch":
            split = hold_out_last(known)
        case "next-day":
            if not known.is_timed:
                raise UsageError("the log has no times: ask it for the next watch")
            split = hold_out_days(known, days)
        case "new-videos":
            return [_ask_for_new(known, videos, seed)]
        case "halves":
            return _ask_for_halves(known, seed)
    if not len(split.held_out) or not split.trained.any():
        raise UsageError("nothing is left to learn from, or to find, once a part is held out")
    labels = draw_some(split.held_out, seed)
    past = known.keep(split.trained)
    return [Question(protocol=protocol, past=past, asked=known, labels=labels)]


def _ask_for_new(known: Interactions, videos: int, seed: int) -> Question:
    """Leave videos, drawn by lot, out of training; each person's last of them is to be found."""
    watched = np.unique(known.videos)
    if len(watched) <= NEW_VIDEOS:
        raise UsageError(f"new videos are {NEW_VIDEOS}, and the log has {len(watched)} in all")
    new = np.zeros(videos, dtype=np.bool_)
    new[np.random.default_rng(seed).permutation(watched)[:NEW_VIDEOS]] = True
    places = np.flatnonzero(new[known.videos])
    persons = known.persons[places]
    lasts = np.ones(len(places), dtype=np.bool_)
    lasts[:-1] = np.diff(persons) != 0
    told = ~new[known.videos]
    kept = told.copy()
    kept[places[lasts]] = True
    asked = known.keep(kept)
    labels = draw_some(np.flatnonzero(new[asked.videos]), seed)
    return Question(
        protocol="new-videos", past=known.keep(told), asked=asked, labels=labels, among=new
    )


def _ask_for_halves(known: Interactions, seed: int) -> list[Question]:
    """Tell half of what someone watched, drawn by lot, and have the other half found.

    Five folds by person: each learns from the watches of the others alone. What is asked for has no
    order, and so neither have these.
    """
    rng = np.random.default_rng(seed)
    known = known.keep(find_first_views(known)).shuffle(rng)
    counts = np.diff(known.starts)
    people = rng.permutation(np.flatnonzero(counts >= _LEAST_HALVED))
    if len(people) < _FOLDS:
        raise UsageError(f"fewer than {_FOLDS} people watched {_LEAST_HALVED} videos or more")
    halves = known.starts[:-1] + counts // 2
    questions = []
    for fold in range(_FOLDS):
        judged = np.sort(people[fold::_FOLDS])
        is_judged = np.isin(known.persons, judged)
        # The first of those to be found is the label: what is told comes before it.
        told = is_judged & (np.arange(len(known)) <= halves[known.persons])
        asked = known.keep(told)
        videos = known.videos.astype(np.int64)
        sought = [videos[halves[one] : known.starts[one + 1]] for one in judged]
        labels = asked.starts[judged + 1] - 1
        past = known.keep(~is_judged)
        questions.append(
            Question(protocol="halves", past=past, asked=asked, labels=labels, sought=sought)
        )
    return questions


def measure(question: Question, score: Scorer, videos: int) -> PerQuery:
    """Return each measure of each label; what the person has seen is left out but where told."""
    asked, labels = question.asked, question.labels
    if question.sought is not None:
        return _measure_sets(question, question.sought, score)
    ranks = rank_labels(score, asked, labels, videos)
    found = {
        "HR@10": ranks < 10,
        "nDCG@10": measure_gain(ranks, 10),
        "HR@50": ranks < 50,
        "HR@200": ranks < 200,
        "HR@50, seen left in": rank_labels(score, asked, labels, videos, leave_out_seen=False) < 50,
    }
    if (among := question.among) is not None:
        alone = rank_labels(
            lambda some: np.where(among, score(some), -np.inf).astype(np.float32),
            asked,
            labels,
            videos,
        )
        found |= {"HR@10 among new": alone < 10, "HR@50 among new": alone < 50}
    return {name: np.asarray(values, dtype=np.float64) for name, values in found.items()}


def _measure_sets(question: Question, sought: Sequence[Ints], score: Scorer) -> PerQuery:
    """Return nDCG@20 and R@20 (of all that is sought) of each label."""
    asked, depth = question.asked, _SOUGHT_AMONG
    gains = 1 / np.log2(np.arange(depth) + 2)
    found: dict[str, list[float]] = {f"nDCG@{depth}": [], f"R@{depth}": []}
    for label, wanted in zip(question.labels, sought, strict=True):
        scores = np.array(score(np.array([label]))[0])
        scores[asked.videos[asked.starts[asked.persons[label]] : label]] = -np.inf
        hits = np.isin(np.argsort(-scores, kind="stable")[:depth], wanted)
        found[f"nDCG@{depth}"].append(float(gains[hits].sum() / gains[: len(wanted)].sum()))
        found[f"R@{depth}"].append(float(hits.sum()) / len(wanted))
    return {name: np.array(values) for name, values in found.items()}


def score_by_content(question: Question, videos: VideoTable) -> Scorer | None:
    """Return what scores by likeness to the last 20 watches in all lenses; None without vectors."""
    matrices = [of.astype(np.float32) for of in videos.vectors.values()]
    if not matrices:
        return None
    matrix = np.concatenate(matrices, axis=1)
    asked = question.asked

    def score(labels: Ints) -> FloatMatrix:
        starts = np.maximum(asked.starts[asked.persons[labels]], labels - _CONTENT_WATCHES)
        means = [
            matrix[asked.videos[first:label]].sum(axis=0)
            for first, label in zip(starts, labels, strict=True)
        ]
        scores: FloatMatrix = np.stack(means) @ matrix.T
        return scores

    return score


def measure_baselines(
    question: Question, videos: VideoTable, names: Sequence[str] = tuple(BASELINES)
) -> dict[str, PerQuery]:
    """Return the measures of each baseline that this log and catalogue allow."""
    found = {}
    for name in names:
        if name == "popular on the last day" and not question.past.is_timed:
            continue
        score = BASELINES[name](question.past, question.asked, len(videos))
        found[name] = measure(question, score, len(videos))
    asks_for_content = question.among is not None or question.sought is not None
    if asks_for_content and (by_content := score_by_content(question, videos)):
        found[CONTENT] = measure(question, by_content, len(videos))
    return found


def join(found: Sequence[Mapping[str, PerQuery]]) -> dict[str, PerQuery]:
    """Return the measures of several questions, one behind the other, of each way."""
    return {
        way: {name: np.concatenate([one[way][name] for one in found]) for name in found[0][way]}
        for way in found[0]
    }


def compare(found: Mapping[str, PerQuery]) -> list[Row]:
    """Return means with their intervals, and the paired differences to the learned one."""
    learned = found[LEARNED]

    def average(values: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, Mean]:
        return {measure: bootstrap_mean(of) for measure, of in values.items()}

    return [
        Row(name, average(of), average({one: learned[one] - of[one] for one in of}))
        for name, of in found.items()
    ]
