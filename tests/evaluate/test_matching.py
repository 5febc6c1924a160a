"""Queries that nothing fits, and the calibration that they and known items give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import ColourEncoder, WordEncoder
from twinlens.catalog.errors import UsageError
from twinlens.catalog.video import Video
from twinlens.evaluate.machine import to_json
from twinlens.evaluate.matching import (
    Asked,
    fit_calibration,
    judge,
    measure_calibration_error,
    measure_matching,
    weigh_families,
)
from twinlens.evaluate.nonsense import NONSENSE, find_off_catalogue, make_nonsense
from twinlens.evaluate.report import format_matching
from twinlens.evaluate.tasks import Corpus, Task, TaskQuery
from twinlens.search.matching import Fit

_FIRST = ["river", "night", "winter", "summer", "early"]
_SECOND = [
    "train",
    "bridge",
    "harbour",
    "window",
    "garden",
    "market",
    "morning",
    "island",
    "forest",
    "castle",
]
_THIRD = ["journey", "song", "kitchen"]
LATIN = [f"{a} {b} {c}" for a in _FIRST for b in _SECOND for c in _THIRD]
TAMIL = ["சென்னை இரவு பயணம்", "கடல் காலை பாடல்", "மலை வழி உணவு"]


def test_nonsense_is_in_each_script_in_turn_and_no_word() -> None:
    made = make_nonsense([*LATIN, *TAMIL * 40], limit=60, seed=1)
    assert made == make_nonsense([*LATIN, *TAMIL * 40], limit=60, seed=1)
    assert len(made) == 60
    words = {word for title in [*LATIN, *TAMIL] for word in title.split()}
    assert not words & {word for text in made for word in text.split()}
    # Three titles are too few words of a script to draw by.
    assert all(text.isascii() for text in made)
    assert make_nonsense(TAMIL, limit=5, seed=1) == []


def test_what_is_off_the_catalogue_is_in_no_title_of_it() -> None:
    corpus = Corpus("own", [Video(video_id=str(at), title=one) for at, one in enumerate(LATIN)])
    found = find_off_catalogue(corpus, [*LATIN, "an unheard of thing", "word"], limit=9, seed=0)
    assert found
    assert all("an unheard of thing".startswith(one) for one in found)


def _draw(seed: int, *, corpus: str = "c") -> list[Asked]:
    rng = np.random.default_rng(seed)
    asked = []
    for family, words, lead, is_good in (
        ("known item", 0.9, 0.02, True),
        ("cross-lingual", 0.05, 0.12, True),
        (NONSENSE, 0.12, 0.02, False),
    ):
        for _ in range(300):
            fit = Fit(float(np.clip(rng.normal(words, 0.1), 0, 1)), float(rng.normal(lead, 0.02)))
            asked.append(Asked(corpus, family, fit, is_good, 0.8))
    return asked


def test_a_calibration_tells_apart_on_queries_that_it_was_not_fitted_by() -> None:
    calibration = fit_calibration(_draw(0))
    assert calibration.far == pytest.approx(0.8)
    judged = judge("c", calibration, _draw(1))
    assert judged.error < 0.05
    assert max(judged.lost.values()) < 0.06
    assert judged.answered[NONSENSE] < 0.1
    with pytest.raises(UsageError, match="some have an answer"):
        fit_calibration([one for one in _draw(0) if one.is_good])


def test_each_half_and_each_family_of_it_counts_alike() -> None:
    asked = [one for one in _draw(0) if one.family != "known item"][100:]
    weights = weigh_families(asked)
    assert weights.sum() == pytest.approx(1)
    assert weights[[one.is_good for one in asked]].sum() == pytest.approx(0.5)


def test_the_error_is_how_far_the_said_is_from_the_seen() -> None:
    said, ones = np.array([0.05, 0.05, 0.95, 0.95]), np.ones(4)
    assert measure_calibration_error(said, np.array([0.0, 0, 1, 1]), ones) == pytest.approx(0.05)
    assert measure_calibration_error(said, np.array([1.0, 1, 0, 0]), ones) == pytest.approx(0.95)


def test_two_catalogues_judge_one_another(corpus: Corpus, cache: Path) -> None:
    one, other = (
        Corpus(name, [Video(video_id=f"{name}{at}", title=one) for at, one in enumerate(titles)])
        for name, titles in (("one", LATIN), ("other", [title[::-1] for title in LATIN]))
    )
    tasks = [
        Task(
            "known item",
            f"{of.name} titles",
            of,
            {one.video_id: TaskQuery(text=one.title) for one in of.videos},
            {one.video_id: {one.video_id: 1} for one in of.videos},
        )
        for of in (one, other)
    ]
    report = measure_matching(
        tasks, WordEncoder(), ColourEncoder(), limit=10, cache=cache, threads=1
    )
    assert [one.corpus for one in report.judged] == ["one", "other"]
    assert report.to_toml().startswith(f'["{WordEncoder().name}"]')
    assert "expected calibration error" in format_matching(report)
    assert to_json(report)["calibration"]["floor"] == pytest.approx(report.calibration.floor, 1e-3)
    with pytest.raises(UsageError, match="at least two"):
        measure_matching(tasks[:1], WordEncoder(), ColourEncoder(), limit=10, cache=cache)
    small = replace(tasks[0], corpus=corpus)
    with pytest.raises(UsageError, match="small has 6 videos"):
        measure_matching([small, tasks[1]], WordEncoder(), ColourEncoder(), limit=10, cache=cache)
