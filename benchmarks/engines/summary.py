"""From what a run measured to what can be said of it: ratios, equal recall, whether it is enough.

Everything is formed within the run: a ratio within its round, so that a noisy machine hurts both
sides alike, and its interval over the rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.benchmarks.engines.experiments import EMBEDDED, FLAT, FLAT_IN_MEMORY, VARIANTS
from twinlens.benchmarks.engines.result_file import Experiment, Result, Size, measured
from twinlens.benchmarks.engines.wording import spread
from twinlens.benchmarks.usage import crowded
from twinlens.evaluate.intervals import Interval, over_rounds

RECALLS: Final = (0.90, 0.95, 0.98, 0.99)
# The recall at which engines are compared when one is to be named.
CHIEF_RECALL: Final = 0.98
# A percentile of fewer queries in a round is only the slowest of them.
_PERCENTILES: Final = {"p50": 0, "p95": 20, "p99": 100}
# The keys of a setting that only say how far a search looks: along these one can interpolate.
_LOOKS_AS_FAR_AS: Final = frozenset({"ef", "nprobe"})
# One round has no interval.
_LEAST_ROUNDS: Final = 2
FUSED_WHERE: Final = {"python": "fused in Python", "engine": "fused in the engine"}

# The demands of the project.
MOST_OFF_THE_LOOP: Final = 0.05
MOST_BY_READING: Final = 1.3
READING_VIDEOS: Final = 1_000_000
LEAST_SPEEDUP: Final = 10.0
LEAST_RECALL: Final = 0.98
LEAST_FUSED_RECALL: Final = 0.98
EMBEDDED_VIDEOS: Final = 100_000

Rounds = npt.NDArray[np.float64]


def ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> Rounds:
    """``above`` by ``below``, round by round; rounds that only one of them has are left out."""
    rounds = min(np.size(above), np.size(below))
    quotients: Rounds = np.asarray(above, np.float64)[:rounds] / np.asarray(below)[:rounds]
    return quotients


def flat_ms(size: Size, percentile: str = "p50") -> Rounds | None:
    """What one query took the FAISS flat index, round by round; None where it was not measured."""
    for search in size["experiments"].get(FLAT, {}).get("searches", {}).values():
        return np.asarray(search["ms"][percentile], np.float64)
    return None


def speedup(size: Size, ms: Mapping[str, Sequence[float]]) -> Interval | None:
    """How many times faster than the flat index of the same size, at the median query."""
    flat = flat_ms(size)
    return None if flat is None else over_rounds(ratio(flat, ms["p50"]))


def chosen_search(experiment: Experiment) -> Mapping[str, Any] | None:
    """The search with the setting chosen for all that is measured beside plain searches."""
    found: Mapping[str, Any] | None = experiment.get("searches", {}).get(experiment.get("chosen"))
    return found


def by_reading(size: Size) -> dict[str, Interval]:
    """A flat index's median query by the time of reading its vectors once, by its name."""
    if "reading" not in size:
        return {}
    return {
        name: over_rounds(
            ratio(experiment["searches"]["exact"]["ms"]["p50"], size["reading"]["ms"])
        )
        for name in (FLAT, FLAT_IN_MEMORY)
        if "searches" in (experiment := size["experiments"].get(name, {}))
    }


def by_loop(size: Size) -> Interval | None:
    """The flat index's median query as we time it, by that of ``faiss``' own loop."""
    flat = flat_ms(size)
    if flat is None or "loop" not in size:
        return None
    return over_rounds(ratio(flat, size["loop"]["ms"]["p50"]))


def queries_in_a_round(ms: Mapping[str, Any]) -> float:
    """How many queries a round of these waits had."""
    asked: int = sum(count for _, count in ms["histogram"])
    return asked / len(ms["p50"])


def percentiles(ms: Mapping[str, Any]) -> dict[str, Sequence[float]]:
    """p50, and p95 and p99 by round where they are more than the slowest of too few queries."""
    asked = queries_in_a_round(ms)
    return {name: ms[name] for name, least in _PERCENTILES.items() if asked >= least}


def first_answer_ms(cold: Mapping[str, Any]) -> list[float]:
    """What opening and the first query took together, by try."""
    return [sum(both) for both in zip(cold["open_ms"], cold["first_query_ms"], strict=True)]


@dataclass(frozen=True, slots=True)
class AtRecall:
    """What one query takes an engine at a recall, in milliseconds.

    ``between`` are the settings between which it was interpolated. ``exceeded``: already the
    fastest setting of their family finds more, so that there is nothing to interpolate; then both
    are that setting and ``ms`` is its time.
    """

    recall: float
    ms: Interval
    rounds: tuple[float, ...]
    between: tuple[str, str]
    exceeded: bool

    @property
    def settings(self) -> str:
        """The settings that give it, for a person."""
        low, high = self.between
        return low if low == high else f"{low} to {high}"


class Point(NamedTuple):
    """What a setting finds, and the logarithms of its median waits in milliseconds, by round."""

    recall: float
    log_ms: Rounds
    setting: str


def at_recall(experiment: Experiment, recall: float) -> AtRecall | None:
    """The latency at ``recall`` by interpolation: log latency over recall, round by round.

    It is interpolated within a family of settings, and the fastest family counts. Of a family only
    settings count that no other beats in both; exact ones where there are no others. None where no
    setting finds as much, or nothing was measured.
    """
    found = [at for curve in curves(experiment) if (at := _on_curve(curve, recall)) is not None]
    return min(found, key=lambda at: at.ms.median, default=None)


def _on_curve(curve: Sequence[Point], recall: float) -> AtRecall | None:
    if curve[-1].recall < recall:
        return None
    above = next(at for at, point in enumerate(curve) if point.recall >= recall)
    high = curve[above]
    exceeded = above == 0
    if exceeded or high.recall == recall:
        low, log_ms = high, high.log_ms
    else:
        low = curve[above - 1]
        share = (recall - low.recall) / (high.recall - low.recall)
        rounds = min(low.log_ms.size, high.log_ms.size)
        log_ms = (1 - share) * low.log_ms[:rounds] + share * high.log_ms[:rounds]
    ms = np.exp(log_ms)
    return AtRecall(
        recall,
        over_rounds(ms),
        tuple(ms.tolist()),
        (low.setting, high.setting),
        exceeded and high.recall > recall,
    )


def families(experiment: Experiment) -> list[dict[str, Mapping[str, Any]]]:
    """The searches by setting; those of a family differ in nothing but how far they look."""
    found: dict[Any, dict[str, Mapping[str, Any]]] = {}
    for name, search in experiment.get("searches", {}).items():
        fixed = frozenset(
            (key, value) for key, value in search["setting"].items() if key not in _LOOKS_AS_FAR_AS
        )
        found.setdefault((bool(search["exact"]), fixed), {})[name] = search
    return list(found.values())


def curves(experiment: Experiment) -> list[list[Point]]:
    """Of each family the settings that none of it beats in both recall and time, by recall.

    Those of exact searches only where there are no others.
    """
    approximate, exact = (
        [of for of in families(experiment) if all(one["exact"] is kind for one in of.values())]
        for kind in (False, True)
    )
    return [_curve(of) for of in approximate or exact]


def _curve(searches: Mapping[str, Mapping[str, Any]]) -> list[Point]:
    points = [
        Point(float(one["recall_at_10"]), np.log(one["ms"]["p50"]), name)
        for name, one in searches.items()
    ]
    # The best recall first, and of equal recall the fastest: then each must be faster than all
    # that stand before it.
    points.sort(key=lambda point: (-point.recall, float(np.median(point.log_ms))))
    curve: list[Point] = []
    for point in points:
        if not curve or np.median(point.log_ms) < np.median(curve[-1].log_ms):
            curve.append(point)
    return curve[::-1]


@dataclass(frozen=True, slots=True)
class Crossing:
    """From how many videos on an engine is faster than the flat index, at ``CHIEF_RECALL``.

    ``sizes`` says of each size measured which one is faster: 1 the engine, -1 the flat index, 0
    where the interval of their ratio holds 1. ``videos`` is where the medians cross on log axes,
    between the last size of -1 and the first of the 1 that stay; None where there are not both.
    """

    videos: float | None
    sizes: tuple[tuple[int, int], ...]

    @property
    def between(self) -> tuple[int, int]:
        """The sizes between which ``videos`` lies, or the smallest and the largest measured."""
        if self.videos is None or self.faster_from is None:
            return self.sizes[0][0], self.sizes[-1][0]
        return max(videos for videos, faster in self.sizes if faster < 0), self.faster_from

    @property
    def always(self) -> bool:
        """Whether the engine is the faster one at every size."""
        return all(faster > 0 for _, faster in self.sizes)

    @property
    def faster_from(self) -> int | None:
        """The smallest size measured from which on the engine is the faster one at all."""
        found = None
        for videos, faster in reversed(self.sizes):
            if faster <= 0:
                break
            found = videos
        return found

    @property
    def videos_shown(self) -> str:
        """The number for a person: an interpolation is not good for more than two figures."""
        return "" if self.videos is None else f"{float(f'{self.videos:.2g}'):,.0f}"


def crossing(result: Result, name: str) -> Crossing | None:
    """Where the experiment ``name`` passes the flat index; None where no size says, or it is one.

    Of several crossings the last counts: from there on it stays the faster one. A size of a single
    round says nothing.
    """
    if name in (FLAT, FLAT_IN_MEMORY):
        return None
    found: list[tuple[int, Rounds]] = []
    for size in measured(result):
        flat = flat_ms(size)
        experiment = size["experiments"].get(name)
        at = None if experiment is None else at_recall(experiment, CHIEF_RECALL)
        if flat is not None and at is not None:
            rounds = ratio(at.rounds, flat)
            if rounds.size >= _LEAST_ROUNDS:
                found.append((size["videos"], rounds))
    if not found:
        return None
    crossed = Crossing(None, tuple((videos, _faster(rounds)) for videos, rounds in found))
    first = crossed.faster_from
    slower = [videos for videos, faster in crossed.sizes if faster < 0]
    if first is None or not slower:
        return crossed
    # Between these two there may be sizes where neither is the faster one for sure.
    medians = {videos: float(np.median(np.log(rounds))) for videos, rounds in found}
    between = [videos for videos in medians if slower[-1] <= videos <= first]
    *_, (small, large) = (
        (small, large) for small, large in pairwise(between) if medians[small] >= 0 > medians[large]
    )
    share = medians[small] / (medians[small] - medians[large])
    videos = np.exp(np.log(small) + share * (np.log(large) - np.log(small)))
    return Crossing(float(videos), crossed.sizes)


def _faster(times: Rounds) -> int:
    """1 where what took so many times as long is faster for sure, -1 where it is slower, else 0."""
    interval = over_rounds(times)
    return int(interval.high < 1) - int(interval.low > 1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A demand, whether it is met, and the figures behind it; ``met`` is None where none are."""

    demand: str
    met: bool | None
    found: str


def verdicts(result: Result) -> list[Verdict]:
    """Each demand of the project against this run."""
    sizes = {size["videos"]: size for size in measured(result)}
    return [
        _loop_verdict(sizes.values()),
        _reading_verdict(sizes.get(READING_VIDEOS)),
        *_embedded_verdicts(sizes.get(EMBEDDED_VIDEOS)),
    ]


def demands_met(result: Result) -> dict[str, bool]:
    """Whether each demand that this run can say something of is met."""
    return {one.demand: one.met for one in verdicts(result) if one.met is not None}


def _loop_verdict(sizes: Any) -> Verdict:
    demand = f"our FAISS timings within {MOST_OFF_THE_LOOP:.0%} of faiss' own single-query loop"
    found = {size["videos"]: by_loop(size) for size in sizes}
    told = {videos: one for videos, one in found.items() if one is not None}
    if not told:
        return Verdict(demand, None, "no size has both")
    return Verdict(
        demand,
        all(abs(one.median - 1) <= MOST_OFF_THE_LOOP for one in told.values()),
        ", ".join(f"{one.median:.3f} times at {videos:,} videos" for videos, one in told.items()),
    )


def _reading_verdict(size: Size | None) -> Verdict:
    demand = (
        f"FAISS flat at {READING_VIDEOS:,} videos within {MOST_BY_READING} times the time of "
        "reading its vectors once from memory"
    )
    found = {} if size is None else by_reading(size)
    if size is None or not found:
        return Verdict(demand, None, f"no latency at {READING_VIDEOS:,} videos")
    told = ", ".join(
        f"{size['experiments'][name]['label']} {spread(one)} times" for name, one in found.items()
    )
    return Verdict(demand, min(one.median for one in found.values()) <= MOST_BY_READING, told)


def _embedded_verdicts(size: Size | None) -> list[Verdict]:
    demand = (
        f"Qdrant embedded at {EMBEDDED_VIDEOS:,} videos: recall@10 of at least {LEAST_RECALL} with "
        f"a median query at least {LEAST_SPEEDUP:g} times faster than the flat scan"
    )
    fused = (
        f"both vectors fused at {EMBEDDED_VIDEOS:,} videos, at those settings: recall@10 of at "
        f"least {LEAST_FUSED_RECALL} against fused exact"
    )
    if size is None or flat_ms(size) is None:
        why = f"no latency of FAISS flat at {EMBEDDED_VIDEOS:,} videos"
        return [Verdict(demand, None, why), Verdict(fused, None, why)]
    best: tuple[float, str, Experiment] | None = None
    for name, experiment in size["experiments"].items():
        chosen = chosen_search(experiment)
        if not name.startswith(EMBEDDED) or name in VARIANTS or chosen is None:
            continue
        times = speedup(size, chosen["ms"])
        if chosen["recall_at_10"] >= LEAST_RECALL and times is not None:
            told = (
                f"{experiment['label']}, {experiment['chosen']}, {described(experiment['build'])}: "
                f"{chosen['recall_at_10']:.4f} and {spread(times)} times"
            )
            if best is None or times.median > best[0]:
                best = (times.median, told, experiment)
    if best is None:
        return [
            Verdict(demand, False, f"no chosen setting finds {LEAST_RECALL}"),
            Verdict(fused, None, "there are no such settings"),
        ]
    times_faster, told, experiment = best
    recalls = {how: one["recall_at_10"] for how, one in experiment.get("fused", {}).items() if one}
    return [
        Verdict(demand, times_faster >= LEAST_SPEEDUP, told),
        Verdict(
            fused,
            recalls["python"] >= LEAST_FUSED_RECALL if "python" in recalls else None,
            ", ".join(f"{recall:.4f} {FUSED_WHERE[how]}" for how, recall in recalls.items())
            or "not measured",
        ),
    ]


def described(options: Mapping[str, Any]) -> str:
    """Build options or a setting for a person: ``m=16, ef_construct=100``."""
    told = (f"{name}={value}" for name, value in options.items() if value is not None)
    return ", ".join(told) or "no options"


@dataclass(frozen=True, slots=True)
class Disturbed:
    """A part of the run whose times are not the engines' alone.

    ``others_cores``: what other programs had of the processors, ``worst_cores`` in their worst few
    seconds. ``slowed`` and ``reading_slowed``: how many times as long the processor took for the
    same work, and memory for the same reading, when they were slowest; None where they kept their
    pace. ``cores``: how many there are.
    """

    videos: int
    part: str
    cores: int
    others_cores: float
    worst_cores: float | None = None
    slowed: float | None = None
    reading_slowed: float | None = None

    @property
    def most_cores(self) -> float:
        """What others had when they had most."""
        return max(self.others_cores, self.worst_cores or 0.0)

    @property
    def by_others(self) -> bool:
        """Whether it is marked because of other programs, not of the machine's pace alone."""
        return (self.slowed or self.reading_slowed) is None or crowded(
            self.others_cores, self.most_cores, cores=self.cores
        )

    @property
    def how(self) -> str:
        """What disturbed it."""
        told = []
        if self.by_others:
            worst = "" if self.worst_cores is None else f", at worst {self.worst_cores:.2f}"
            told.append(f"others had {self.others_cores:.2f} cores{worst}")
        told += _slower(self.slowed, self.reading_slowed)
        return "; ".join(told)


def disturbed_in(result: Result, size: Size) -> list[Disturbed]:
    """The disturbed parts of one size of a run."""
    return [
        Disturbed(
            size["videos"],
            part,
            result["machine"]["cores"] or 1,
            float(one.get("others_cores") or 0),
            *(one.get(key) for key in ("worst_cores", "slowed", "reading_slowed")),
        )
        for part, one in size.get("disturbed", {}).items()
    ]


def disturbed(result: Result) -> list[Disturbed]:
    """The disturbed parts, size by size."""
    return [one for size in measured(result) for one in disturbed_in(result, size)]


def disturbance(result: Result) -> str:
    """All that disturbed the run, in a line: ``2 of 40 parts, others had up to 0.40 cores``.

    Nothing where nothing did.
    """
    found = disturbed(result)
    if not found:
        return ""
    parts = sum(len(size.get("parts", ())) for size in measured(result))
    told = [f"{len(found)} of {parts} parts" if parts else f"{len(found)} parts"]
    if by_others := [one.most_cores for one in found if one.by_others]:
        told.append(f"others had up to {max(by_others):.2f} cores")
    told += _slower(
        *(
            max((value for one in found if (value := getattr(one, key)) is not None), default=None)
            for key in ("slowed", "reading_slowed")
        )
    )
    return ", ".join(told)


def _slower(slowed: float | None, reading_slowed: float | None) -> list[str]:
    return [
        f"{what} took up to {times:.2f} times as long for the same"
        for what, times in (("the processor", slowed), ("reading from memory", reading_slowed))
        if times is not None
    ]


@dataclass(frozen=True, slots=True)
class Failure:
    """An experiment that failed: in which part, and why. What came before that part stands."""

    videos: int
    label: str
    part: str
    error: str


def failures(result: Result) -> list[Failure]:
    """Every experiment that failed, size by size."""
    return [
        Failure(size["videos"], one["label"], one["failed"]["part"], one["failed"]["error"])
        for size in measured(result)
        for one in size["experiments"].values()
        if one["failed"]
    ]


def detailed(result: Result) -> Size:
    """The size that is told of in detail: that of the demands, or else the largest measured."""
    sizes = measured(result)
    return next((one for one in sizes if one["videos"] == EMBEDDED_VIDEOS), sizes[-1])


def engines(of: Size) -> dict[str, Experiment]:
    """The experiments of a size but for the variants of an engine with other settings."""
    return {name: one for name, one in of["experiments"].items() if name not in VARIANTS}


def experiments(result: Result) -> dict[str, str]:
    """Every experiment's name and label, the flat index first, then as they were measured."""
    labels: dict[str, str] = {}
    for size in measured(result):
        for name, one in size["experiments"].items():
            labels.setdefault(name, one["label"])
    return {name: labels[name] for name in sorted(labels, key=lambda name: name != FLAT)}


def summarize(result: Result) -> dict[str, Any]:
    """All of this as JSON values."""
    names = experiments(result)
    crossings = {name: crossing(result, name) for name in names}
    return {
        "sizes": [_size_summary(size) for size in measured(result)],
        "crossings": {
            name: {
                "videos": one.videos,
                "between": one.between,
                "always": one.always,
                "faster": {str(videos): faster for videos, faster in one.sizes},
            }
            for name, one in crossings.items()
            if one is not None
        },
        "verdicts": [
            {"demand": one.demand, "met": one.met, "found": one.found} for one in verdicts(result)
        ],
    }


def _size_summary(size: Size) -> dict[str, Any]:
    return {
        "videos": size["videos"],
        "flat_by_reading": {name: _json(one) for name, one in by_reading(size).items()},
        "flat_by_loop": _json(by_loop(size)),
        "experiments": {
            name: {
                "times_faster_than_flat": {
                    setting: _json(speedup(size, search["ms"]))
                    for setting, search in one.get("searches", {}).items()
                },
                "ms_at_recall": {
                    str(recall): {
                        **at.ms.to_json(), "between": at.between, "exceeded": at.exceeded
                    }
                    if (at := at_recall(one, recall))
                    else None
                    for recall in RECALLS
                },
            }
            for name, one in size["experiments"].items()
        },
    }  # fmt: skip


def _json(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else interval.to_json()
