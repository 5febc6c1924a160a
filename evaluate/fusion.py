"""A sweep of the fusion's rank constant and weights over labelled queries.

One half of the queries chooses a setting, the other half says by how much it beats the default.
docs/decisions/0012-fusion-settings.md has the table that chose the defaults.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from twinlens.catalog.errors import UsageError
from twinlens.encoders.lenses import DEFAULT_WEIGHTS, THUMBNAIL, TITLE, WORDS
from twinlens.evaluate.measures import DEPTH, JUDGED_BY, Mean, bootstrap_mean, measure_rankings
from twinlens.evaluate.search import Asked
from twinlens.evaluate.tasks import Task
from twinlens.search.fusion import fuse, weigh_rankings
from twinlens.search.request import DEFAULT_RRF_K
from twinlens.search.searcher import BORROWED_WEIGHT

_CONSTANTS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
_WORDS_WEIGHTS: Final = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)
_THUMBNAIL_WEIGHTS: Final = (0.0, 1.0, 3.0)


class FusionSetting(NamedTuple):
    """A rank constant, and weights as a request gives them."""

    rrf_k: float
    weights: Mapping[str, float]

    def __str__(self) -> str:
        weights = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        return f"k {self.rrf_k:g}; {weights}"


DEFAULT: Final = FusionSetting(DEFAULT_RRF_K, DEFAULT_WEIGHTS)


class Trial(NamedTuple):
    """A setting and what it reached: the mean over families, and each family's mean over tasks."""

    setting: FusionSetting
    value: float
    families: Mapping[str, float]


class HeldOut(NamedTuple):
    """The default on the queries that had no say in the choice, and the choice's difference."""

    default: Mean
    difference: Mean


class Sweep(NamedTuple):
    """All trials of one kind of search; ``held_out`` compares default and best, by family."""

    kind: str
    default: Trial
    best: Trial
    trials: Sequence[Trial]
    held_out: Mapping[str, HeldOut]


def judge(asked: Asked, setting: FusionSetting) -> npt.NDArray[np.float64]:
    """``JUDGED_BY`` of each query, fused by ``setting`` as the server would.

    Who lends thumbnails is the default's say here, while a server lets the setting decide.
    """
    ranked: dict[str, list[str]] = {}
    for query_id, answer in asked.answers.items():
        weights = dict(setting.weights)
        weights[WORDS] *= answer.words_coverage
        weights[THUMBNAIL] *= BORROWED_WEIGHT if asked.borrowed else 1.0
        # Lenses of other packages have no say.
        own = {name: of for name, of in answer.single.items() if name in weights}
        fused = fuse(weigh_rankings(own, weights), limit=DEPTH, k=setting.rrf_k)
        ranked[query_id] = [video.video_id for video in fused]
    return measure_rankings(asked.task.qrels, ranked, [JUDGED_BY])[JUDGED_BY]


def choose(task: Task) -> npt.NDArray[np.bool_]:
    """Which queries are in the half that chooses.

    That depends on a query's id alone: a title that is asked for in several tasks, or a sentence in
    several languages, is in one half in all of them.
    """
    digests = (hashlib.sha256(query_id.encode()).digest() for query_id in task.queries)
    return np.array([digest[0] % 2 == 0 for digest in digests])


def sweep_fusion(asked: Iterable[Asked]) -> list[Sweep]:
    """Sweep the settings for each kind of search, over all tasks and all encoders.

    Raises:
        UsageError: a package is missing, or a kind has too few queries for two halves.
    """
    kinds: defaultdict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        kinds["search by text" if one.task.texts else "search by a video"].append(one)
    return [sweep_kind(kind, of) for kind, of in kinds.items()]


def sweep_kind(kind: str, asked: Sequence[Asked]) -> Sweep:
    """Try every setting of the grid on the half that chooses, and the best on the other.

    Raises:
        UsageError: too few queries for two halves.
    """
    choosing = np.concatenate([choose(one.task) for one in asked])
    if choosing.all() or not choosing.any():
        raise UsageError(f"{kind}: too few queries to choose by one half and judge by the other")
    default = _try_setting(DEFAULT, asked)
    grid = [*product(_CONSTANTS, _WORDS_WEIGHTS, _THUMBNAIL_WEIGHTS)]
    trials = [
        _try_setting(FusionSetting(k, {TITLE: 1.0, WORDS: words, THUMBNAIL: thumbnail}), asked)
        for k, words, thumbnail in tqdm(grid, desc=kind, unit=" settings", leave=False)
    ]
    # Where nothing is better, nothing is changed.
    best = max([default, *trials], key=lambda trial: trial.value)
    return Sweep(kind, default, best, trials, _compare(best.setting, asked))


def _try_setting(setting: FusionSetting, asked: Sequence[Asked]) -> Trial:
    """Families count alike, and in each of them tasks and models do."""
    by_family: defaultdict[str, list[float]] = defaultdict(list)
    for one in asked:
        if (chooses := choose(one.task)).any():
            by_family[one.task.family].append(float(judge(one, setting)[chooses].mean()))
    families = {name: float(np.mean(values)) for name, values in by_family.items()}
    return Trial(setting, float(np.mean([*families.values()])), families)


def _compare(chosen: FusionSetting, asked: Sequence[Asked]) -> dict[str, HeldOut]:
    """Default and choice by family, on the half that judges.

    Queries that one title was made into, or one sentence in several languages, are not independent:
    they are resampled together.
    """
    found: defaultdict[str, dict[str, list[npt.NDArray[np.float64]]]] = defaultdict(dict)
    for one in asked:
        default, best = judge(one, DEFAULT), judge(one, chosen)
        pairs = np.stack([default, best - default], axis=1)
        for query_id, pair, chooses in zip(one.task.queries, pairs, choose(one.task), strict=True):
            if not chooses:
                found[one.task.family].setdefault(query_id, []).append(pair)
    means = {name: [np.mean(of, axis=0) for of in by.values()] for name, by in found.items()}
    return {name: HeldOut(*map(bootstrap_mean, np.transpose(of))) for name, of in means.items()}
