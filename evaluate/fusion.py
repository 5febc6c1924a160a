"""A sweep of the fusion's rank constant and weights over labelled queries.

One half of the queries chooses a setting, the other half says by how much it beats the default.
docs/decisions/0012-fusion-settings.md has the table that chose the defaults.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from twinlens.catalog.errors import UsageError
from twinlens.encoders.base import TextThumbnailEncoder, ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lenses import DEFAULT_WEIGHTS, THUMBNAIL, TITLE, WORDS
from twinlens.evaluate.index import VectorCache
from twinlens.evaluate.intervals import Mean, bootstrap_mean
from twinlens.evaluate.measures import DEPTH, measure_task
from twinlens.evaluate.search import Answer, ask_tasks
from twinlens.evaluate.tasks import Task
from twinlens.search.fusion import fuse, weigh_rankings
from twinlens.search.request import DEFAULT_RRF_K, SearchRequest
from twinlens.search.searcher import BORROWED_WEIGHT

# How good an order is: the first ten count, the higher the more.
JUDGED_BY: Final = "nDCG@10"
_CONSTANTS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
_WORDS_WEIGHTS: Final = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)
_THUMBNAIL_WEIGHTS: Final = (0.0, 1.0, 3.0)
_KINDS: Final = {True: "search by text", False: "search by a video"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A rank constant, and weights as a request gives them."""

    rrf_k: float
    weights: Mapping[str, float]

    def __str__(self) -> str:
        weights = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        return f"k {self.rrf_k:g}; {weights}"


DEFAULT: Final = Setting(DEFAULT_RRF_K, DEFAULT_WEIGHTS)


@dataclass(frozen=True, slots=True)
class Trial:
    """A setting and what it reached: the mean over families, and each family's mean over tasks."""

    setting: Setting
    value: float
    families: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The default on the queries that had no say in the choice, and the choice's difference."""

    default: Mean
    difference: Mean


@dataclass(frozen=True, slots=True)
class Sweep:
    """All trials of one kind of search; ``held_out`` compares default and best, by family."""

    kind: str
    default: Trial
    best: Trial
    trials: Sequence[Trial]
    held_out: Mapping[str, HeldOut]


@dataclass(frozen=True, slots=True)
class Collected:
    """What the default finds for a task's queries with one title model, to be fused anew.

    ``borrowed`` says that its rankings by thumbnail come from thumbnails that hits lent. Who lends
    is the default's say here, while a server that is asked with a setting lets that decide.
    """

    task: Task
    answers: Mapping[str, Answer]
    borrowed: bool

    def judge(self, setting: Setting) -> npt.NDArray[np.float64]:
        """``JUDGED_BY`` of each query, fused by ``setting`` as the server would."""
        ranked: dict[str, list[str]] = {}
        for query_id, answer in self.answers.items():
            weights = dict(setting.weights)
            weights[WORDS] *= answer.words_coverage
            if self.borrowed:
                weights[THUMBNAIL] *= BORROWED_WEIGHT
            fused = fuse(weigh_rankings(answer.single, weights), limit=DEPTH, k=setting.rrf_k)
            ranked[query_id] = [video.video_id for video in fused]
        return measure_task(self.task, ranked, [JUDGED_BY])[JUDGED_BY]

    @property
    def chooses(self) -> npt.NDArray[np.bool_]:
        """Which queries are in the half that chooses.

        That depends on a query's id alone: a title that is asked for in several tasks, or a
        sentence in several languages, is in one half in all of them.
        """
        digests = (hashlib.sha256(query_id.encode()).digest() for query_id in self.task.queries)
        return np.array([digest[0] % 2 == 0 for digest in digests])


def sweep_fusion(
    tasks: Sequence[Task],
    title_encoders: Mapping[str, TitleEncoder],
    thumbnail_encoder: ThumbnailEncoder,
    *,
    cache: VectorCache | None = None,
    threads: int = 2,
) -> list[Sweep]:
    """Sweep the settings for each kind of search in ``tasks``, over all of them and all encoders.

    Raises:
        UsageError: a package is missing, or a kind has too few queries for two halves.
    """
    collected: dict[str, list[Collected]] = {}
    lends = not isinstance(thumbnail_encoder, TextThumbnailEncoder)
    asked = ask_tasks(
        tasks,
        title_encoders,
        thumbnail_encoder,
        request=SearchRequest(),
        cache=cache or VectorCache(),
        threads=threads,
    )
    for _, task, answers in asked:
        one = Collected(task, answers, bool(task.texts) and lends)
        collected.setdefault(_KINDS[bool(task.texts)], []).append(one)
    return [sweep_kind(kind, of) for kind, of in collected.items()]


def sweep_kind(kind: str, collected: Sequence[Collected]) -> Sweep:
    """Try every setting of the grid on the half that chooses, and the best on the other.

    Raises:
        UsageError: too few queries for two halves.
    """
    settings = [
        Setting(k, {TITLE: 1.0, WORDS: words, THUMBNAIL: thumbnail})
        for k, words, thumbnail in product(_CONSTANTS, _WORDS_WEIGHTS, _THUMBNAIL_WEIGHTS)
    ]
    if not any(one.chooses.any() for one in collected) or all(
        one.chooses.all() for one in collected
    ):
        raise UsageError(f"{kind}: too few queries to choose by one half and judge by the other")
    default = _try_setting(DEFAULT, collected)
    shown = tqdm(settings, desc=kind, unit=" settings", leave=False)
    trials = [_try_setting(setting, collected) for setting in shown]
    # Where nothing is better, nothing is changed.
    best = max([default, *trials], key=lambda trial: trial.value)
    return Sweep(kind, default, best, trials, _compare(best.setting, collected))


def _try_setting(setting: Setting, collected: Sequence[Collected]) -> Trial:
    """Families count alike, and in each of them tasks and models do."""
    by_family: dict[str, list[float]] = {}
    for one in collected:
        if one.chooses.any():
            value = float(one.judge(setting)[one.chooses].mean())
            by_family.setdefault(one.task.family, []).append(value)
    families = {name: float(np.mean(values)) for name, values in by_family.items()}
    return Trial(setting, float(np.mean(list(families.values()))), families)


def _compare(chosen: Setting, collected: Sequence[Collected]) -> dict[str, HeldOut]:
    """Default and choice by family, on the half that judges.

    Queries that one title was made into, or one sentence in several languages, are not independent:
    they are resampled together.
    """
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for one in collected:
        default, difference = one.judge(DEFAULT), one.judge(chosen) - one.judge(DEFAULT)
        by_query = found.setdefault(one.task.family, {})
        for at, query_id in enumerate(one.task.queries):
            if not one.chooses[at]:
                by_query.setdefault(query_id, []).append((default[at], difference[at]))
    means = {
        family: np.array([np.mean(pairs, axis=0) for pairs in by_query.values()])
        for family, by_query in found.items()
        if by_query
    }
    return {
        family: HeldOut(bootstrap_mean(pairs[:, 0]), bootstrap_mean(pairs[:, 1]))
        for family, pairs in means.items()
    }
