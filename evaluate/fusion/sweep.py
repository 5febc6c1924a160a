"""The settings that are tried, stage by stage, and the one that did best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

import numpy as np
from tqdm import tqdm

from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.evaluate.fusion.collected import EXPANDS, WINDOWS, Collected
from twinlens.evaluate.fusion.setting import Setting

_CONSTANTS: Final = (1, 2, 5, 10, 20, 40, 60, 100)
_WORDS: Final = (0, 0.5, 1, 1.25, 1.5, 2, 3, 5)
_BORROWED: Final = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 1)
_BESIDE_THUMBNAIL: Final = (0, 0.25, 0.5, 1, 2)


@dataclass(frozen=True, slots=True)
class Trial:
    """A setting and what it reached: the mean over families, and each family's mean over tasks."""

    setting: Setting
    value: float
    families: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The trial as JSON values."""
        return {
            **self.setting.to_json(),
            "value": round(self.value, 5),
            "families": {name: round(value, 5) for name, value in self.families.items()},
        }


@dataclass(frozen=True, slots=True)
class Stage:
    """What was varied, and every trial of it, in the order tried."""

    varied: str
    trials: Sequence[Trial]

    @property
    def best(self) -> Trial:
        """The best trial; of equals the first."""
        return max(self.trials, key=lambda trial: trial.value)


def sweep_text(collected: Sequence[Collected], start: Setting) -> list[Stage]:
    """Searches by text: rank constant with weights, borrowed thumbnails, window; one after another.

    Each stage starts from the best of the one before, the first from ``start``, which is kept where
    nothing is better. The best of the last stage is the choice.
    """
    title, words, thumbnail = TITLE, WORDS, THUMBNAIL
    stages: list[Stage] = []

    def run(varied: str, settings: Iterable[Setting]) -> Setting:
        stages.append(_stage(varied, list(settings), collected))
        return stages[-1].best.setting

    best = run(
        "rank constant and weight of the words, without borrowed thumbnails",
        (
            start,
            *(
                replace(start, k=k, weights={title: 1.0, words: weight, thumbnail: 0.0})
                for k, weight in product(_CONSTANTS, _WORDS)
            ),
        ),
    )
    best = run(
        "weight of the borrowed thumbnails, and how many lend",
        (
            replace(best, weights={**best.weights, thumbnail: weight}, expand=expand)
            for weight, expand in [(0.0, start.expand), *product(_BORROWED[1:], EXPANDS)]
        ),
    )
    stages.append(_windows(best, collected))
    return stages


def sweep_videos(collected: Sequence[Collected], start: Setting) -> list[Stage]:
    """Searches by a video: rank constant, and weights of title and words beside the thumbnail."""
    settings = [
        replace(
            start,
            k=k,
            weights={
                TITLE: title,
                WORDS: words,
                THUMBNAIL: 1.0,
            },
        )
        for k, title, words in product(_CONSTANTS, _BESIDE_THUMBNAIL, _BESIDE_THUMBNAIL)
    ]
    first = _stage("rank constant and weights beside the thumbnail", [start, *settings], collected)
    return [first, _windows(first.best.setting, collected)]


def trial(setting: Setting, collected: Sequence[Collected]) -> Trial:
    """What ``setting`` reaches: families count alike, and in each of them tasks and models do."""
    by_family: dict[str, list[float]] = {}
    for one in collected:
        by_family.setdefault(one.task.family, []).append(float(one.judged(setting).mean()))
    families = {name: float(np.mean(values)) for name, values in by_family.items()}
    return Trial(setting, float(np.mean(list(families.values()))), families)


def _windows(start: Setting, collected: Sequence[Collected]) -> Stage:
    # What it starts from comes first: where it makes no difference, nothing is changed.
    windows = dict.fromkeys((start.window, *WINDOWS))
    return _stage("window", [replace(start, window=one) for one in windows], collected)


def _stage(varied: str, settings: Sequence[Setting], collected: Sequence[Collected]) -> Stage:
    shown = tqdm(settings, desc=varied, unit=" settings", leave=False)
    return Stage(varied, [trial(setting, collected) for setting in shown])
