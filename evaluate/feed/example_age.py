"""Figure 4 of Covington et al. 2016 on any log: when videos are watched, and when networks say so.

The paper counts from a video's upload. Public logs hardly know that, so here it is counted from the
day on which a video was watched most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import UsageError
from twinlens.evaluate.feed.protocols import ask, measure
from twinlens.evaluate.report import write_figure
from twinlens.recommender.candidate_training import (
    TrainedCandidates,
    TrainingOptions,
    make_scorer,
    train_candidates,
)
from twinlens.recommender.examples import DAY_S, draw_some
from twinlens.recommender.interactions import Interactions, Ints
from twinlens.recommender.person_inputs import PersonEncoder
from twinlens.recommender.videos import VideoTable

WATCHED: Final = "watched"
_EXAMPLES: Final = 500
_VIDEOS: Final = 200
_LEAST_DAYS: Final = 5
_MEASURES: Final = ("HR@50", "HR@200")

Shares = npt.NDArray[np.float64]


class ExampleAge(NamedTuple):
    """When the videos watched most are watched, and what each way of training makes of it.

    ``curves`` are shares by day from a video's best, over the mean of its shares. ``correlations``
    are those by day of what a network expects correlation by day, means over videos. ``found``
    has for each way of training the means over people of one training a seed.
    """

    days: Sequence[int]
    curves: Mapping[str, Sequence[float]]
    correlations: Mapping[str, float]
    found: Mapping[str, Mapping[str, Sequence[float]]]


# With the ages of the log, with these in an order drawn by lot, and with none.
WAYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "example age": {},
    "shuffled ages": {"example_age": "shuffled"},
    "no example age": {"example_age": "none"},
}


def measure_example_age(
    known: Interactions,
    videos: VideoTable,
    options: TrainingOptions,
    *,
    days: float,
    seeds: int,
    on_step: Callable[[str], None],
) -> ExampleAge:
    """Train each way, one network alone a seed; draw the curves by the first.

    Raises:
        UsageError: the log has no times, or is of a few days.
    """
    [question] = ask("next-day", known, len(videos), days=days)
    watched = _count(question.past, len(videos))
    chosen = np.argsort(-watched.sum(axis=0), kind="stable")[:_VIDEOS]
    shares = _scale(watched[:, chosen])
    expected: dict[str, Shares] = {}
    found: dict[str, dict[str, list[float]]] = {}
    for name, change in WAYS.items():
        found[name] = {measure: [] for measure in _MEASURES}
        for seed in range(seeds):
            on_step(f"{name}, seed {seed}")
            changed = replace(options, seed=seed, co_watching=False, **change)
            trained = train_candidates(question.past, videos, changed)
            asked = PersonEncoder(question.asked, trained.people)
            figures = measure(question, make_scorer(trained.network, asked), len(videos))
            for one in _MEASURES:
                found[name][one].append(float(figures[one].mean()))
            if not seed:
                expected[name] = _scale(_expect(question.past, trained)[:, chosen])
    bests = np.argmax(shares, axis=0)
    lags = np.arange(1 - len(shares), len(shares))
    kept = [lag for lag in lags.tolist() if _has_most(lag, bests, len(shares))]
    return ExampleAge(
        kept,
        {
            name: [_average_at(lag, of, bests) for lag in kept]
            for name, of in {WATCHED: shares, **expected}.items()
        },
        {name: _correlate(shares, of) for name, of in expected.items()},
        found,
    )


def _count(past: Interactions, videos: int) -> Shares:
    """Return the share of each video in the watches of each day, (days, videos).

    Raises:
        UsageError: the log is of a few days.
    """
    days = _number_days(past)
    if days.max() + 1 < _LEAST_DAYS:
        raise UsageError(
            f"the log has {days.max() + 1} days to learn from: {_LEAST_DAYS} are needed"
        )
    counts = np.zeros((days.max() + 1, videos))
    np.add.at(counts, (days[days >= 0], past.videos[days >= 0]), 1)
    shares: Shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _number_days(past: Interactions) -> Ints:
    """Return the day of each watch, from 0; -1 where it has no time."""
    days = (past.times - np.nanmin(past.times)) / DAY_S
    return np.where(np.isnan(days), -1, days).astype(np.int64)


def _expect(past: Interactions, trained: TrainedCandidates) -> Shares:
    """Return the mean chances by a softmax over all videos, of the same people on each day."""
    encoder, network = PersonEncoder(past, trained.people), trained.network
    labels = draw_some(np.flatnonzero(~np.isnan(past.times)), 0, most=_EXAMPLES)
    days = _number_days(past).max()
    shares = []
    for day in range(days + 1):
        score = make_scorer(network, encoder, example_days=float(days - day))
        logits = score(labels) / network.shape.temperature
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares.append((chances / chances.sum(axis=1, keepdims=True)).mean(axis=0))
    return np.stack(shares)


def _scale(shares: Shares) -> Shares:
    scaled: Shares = shares / np.maximum(shares.mean(axis=0), 1e-12)
    return scaled


def _has_most(lag: int, bests: Ints, days: int) -> bool:
    """Return whether most videos have a day so far from their best."""
    return bool(((bests + lag >= 0) & (bests + lag < days)).mean() > 0.5)


def _average_at(lag: int, shares: Shares, bests: Ints) -> float:
    at = bests + lag
    there = np.flatnonzero((at >= 0) & (at < len(shares)))
    return float(shares[at[there], there].mean())


def _correlate(watched: Shares, expected: Shares) -> float:
    pairs = zip(watched.T, expected.T, strict=True)
    each = [
        np.corrcoef(one, other)[0, 1]
        for one, other in pairs
        if np.ptp(one) > 1e-6 and np.ptp(other) > 1e-6
    ]
    return float(np.mean(each)) if each else 0.0


def format_example_age(measured: ExampleAge) -> str:
    """Format a line a way of training."""
    lines = [f"{'':<18}{'correlation by day':>23}  by seed"]
    for name, figures in measured.found.items():
        told = "; ".join(
            f"{measure} {' '.join(f'{value:.3f}' for value in values)}"
            for measure, values in figures.items()
        )
        lines.append(f"{name:<18}{measured.correlations[name]:>23.2f}  {told}")
    return "\n".join(lines)


def draw_example_age(measured: ExampleAge, path: Path | None) -> None:
    """Write figure 4 as a PNG to ``path``, if there is one."""
    if path is None:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, style in zip(measured.curves, ("k-", "C0-", "C1--", "C2:"), strict=True):
        axes.plot(measured.days, measured.curves[name], style, label=name)
    axes.set_xlabel("days from that on which a video was watched most")
    axes.set_ylabel("share of the day's watches, over its mean")
    axes.set_ylim(bottom=0)
    axes.grid(color="0.9")
    axes.legend(frameon=False)
    write_figure(path, figure)
