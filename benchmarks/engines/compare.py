"""What changed between two runs, and what is noise.

Runs on one machine are compared by their times; runs on different ones by their ratios to the flat
index, each formed within its run, for times would compare the machines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.engines.experiments import FLAT
from benchmarks.engines.result_file import Result, Size, measured
from benchmarks.engines.summary import disturbed, ratio
from benchmarks.engines.wording import number, spread
from benchmarks.intervals import Interval

# A change smaller than this is of no account, however sure it is.
LEAST_CHANGE: Final = 0.05
# Of what was measured once nobody knows the noise: only a change of this size is pointed out.
LEAST_CHANGE_OF_ONE: Final = 0.2
# With fewer rounds a bootstrap interval is too narrow: at 5 it excludes 1 by chance in 3 of 100
# comparisons, at 3 in 10.
LEAST_ROUNDS: Final = 5
# Runs that differ in one of these were taken on different machines.
_MACHINE: Final = ("processor", "cores", "memory_bytes", "system")
# Runs that differ in one of these did not ask the same.
_ASKED: Final = ("limit", "window", "rrf_k", "threads", "build_threads", "queries", "seed")
_RESAMPLES: Final = 2000
_NORMAL_95: Final = 1.959964
_RECALL_OF: Final = 10
# How the parts of searches begin, which have one yardstick in the flat index's only search.
_SEARCH: Final = "search "
_PERCENTILES: Final = ("p50", "p95", "p99")


class _Key(NamedTuple):
    videos: int
    experiment: str
    part: str
    quantity: str


class _Quantity(NamedTuple):
    """One figure of a run: by round, or once, or a recall over so many queries."""

    values: tuple[float, ...]
    unit: str
    # 1: more is better; -1: less is better.
    better: int
    queries: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of both runs. ``ratio`` is b by a; of a recall ``difference`` is b less a.

    ``changed`` says whether it is more than noise; None where nobody can say, because there are too
    few rounds or but one measurement. ``better`` says which way it went, if it went any.
    """

    videos: int
    experiment: str
    part: str
    quantity: str
    unit: str
    a: float
    b: float
    ratio: Interval | None
    difference: Interval | None
    changed: bool | None
    better: bool | None

    def __str__(self) -> str:
        where = f"{self.videos:,} videos, {self.experiment}, {self.part}"
        unit = f" {self.unit}" if self.unit else ""
        if self.difference is not None:
            moved = self.difference
            return (
                f"{where}: {self.quantity} {self.a:.4f} -> {self.b:.4f}, "
                f"{moved.median:+.4f} [{moved.low:+.4f}, {moved.high:+.4f}]"
            )
        times = "" if self.ratio is None else f", {spread(self.ratio)} times"
        return f"{where}: {self.quantity} {number(self.a)} -> {number(self.b)}{unit}{times}"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something about the circumstances of the runs that is not the same."""

    what: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side.

    ``by_ratio``: times and rates are given in units of the flat index's own. ``not_compared`` says
    which sizes can't be, and why.
    """

    changes: tuple[Change, ...]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    differences: tuple[Difference, ...]
    not_compared: tuple[str, ...]
    notes: tuple[str, ...]
    by_ratio: bool

    @property
    def changed(self) -> list[Change]:
        """What changed beyond noise, the largest change first."""
        return sorted((one for one in self.changes if one.changed), key=_weight, reverse=True)

    @property
    def measured_once(self) -> list[Change]:
        """What may have changed by much, but was measured too few times to say."""
        least = math.log(1 + LEAST_CHANGE_OF_ONE)
        found = [one for one in self.changes if one.changed is None and _weight(one) > least]
        return sorted(found, key=_weight, reverse=True)

    def to_json(self) -> dict[str, Any]:
        """All of it, every figure compared included."""
        return {
            "by_ratio": self.by_ratio,
            "differences": [asdict(one) for one in self.differences],
            "not_compared": list(self.not_compared),
            "notes": list(self.notes),
            "only_in_a": list(self.only_in_a),
            "only_in_b": list(self.only_in_b),
            "changes": [
                asdict(one)
                | {
                    key: None if interval is None else interval.to_json()
                    for key, interval in (("ratio", one.ratio), ("difference", one.difference))
                }
                for one in self.changes
            ],
        }


def compare(a: Result, b: Result) -> Comparison:
    """What both runs measured, side by side: the figures of ``b`` against those of ``a``."""
    differences = tuple(_differences(a, b))
    by_ratio = any(a["machine"].get(key) != b["machine"].get(key) for key in _MACHINE)
    sizes_a, sizes_b = ({size["videos"]: size for size in measured(run)} for run in (a, b))
    not_compared = {
        videos: f"{videos:,} videos: vectors of other lengths, {dims_a} and {dims_b}"
        for videos in sorted(sizes_a.keys() & sizes_b.keys())
        if (dims_a := sizes_a[videos]["vectors"]["dims"])
        != (dims_b := sizes_b[videos]["vectors"]["dims"])
    }
    of_a, of_b = (
        {
            key: quantity
            for videos, size in sizes.items()
            if videos not in not_compared
            for key, quantity in _quantities(size, by_ratio=by_ratio)
        }
        for sizes in (sizes_a, sizes_b)
    )
    return Comparison(
        changes=tuple(_change(key, of_a[key], of_b[key]) for key in of_a if key in of_b),
        only_in_a=tuple(_only(of_a, of_b)),
        only_in_b=tuple(_only(of_b, of_a)),
        differences=differences,
        not_compared=tuple(not_compared.values()),
        notes=tuple(_notes(a, b)),
        by_ratio=by_ratio,
    )


def text(comparison: Comparison) -> str:
    """The comparison for a terminal; ``a -> b`` in every line."""
    lines = [f"differs: {one.what}: {one.a} -> {one.b}" for one in comparison.differences]
    lines += [f"note: {one}" for one in comparison.notes]
    if comparison.by_ratio:
        lines.append(
            "The machines differ, so times can't be compared: times and rates are told as ratios "
            f"to {FLAT} in the same run, and building times are left out."
        )
    lines += [f"not compared: {one}" for one in comparison.not_compared]
    lines += [f"only in a: {one}" for one in comparison.only_in_a]
    lines += [f"only in b: {one}" for one in comparison.only_in_b]
    told = [one for one in comparison.changes if one.changed is not None]
    changed = comparison.changed
    lines += [
        *([""] if lines else []),
        f"{len(changed)} of {len(told)} figures changed beyond noise (95 % interval without 1, and "
        f"more than {LEAST_CHANGE:.0%}; of a recall, 95 % interval without 0); noise alone may "
        f"make up to {math.ceil(0.05 * len(told))} seem so:",
    ]
    lines += [f"  {'better' if one.better else 'WORSE '}  {one}" for one in changed]
    if once := comparison.measured_once:
        lines += [
            "",
            f"Differ by more than {LEAST_CHANGE_OF_ONE:.0%}, but were measured in fewer than "
            f"{LEAST_ROUNDS} rounds, or once, so that their noise is unknown:",
            *(f"  {one}" for one in once),
        ]
    return "\n".join(lines)


def _change(key: _Key, a: _Quantity, b: _Quantity) -> Change:
    middle_a, middle_b = float(np.median(a.values)), float(np.median(b.values))
    times: Interval | None = None
    difference: Interval | None = None
    changed: bool | None = None
    if a.queries is not None and b.queries is not None:
        difference = _recall_difference(middle_a, a.queries, middle_b, b.queries)
        changed = difference.low > 0 or difference.high < 0
    elif middle_a > 0 and middle_b > 0:
        enough = min(len(a.values), len(b.values)) >= LEAST_ROUNDS
        times = _ratio(a.values, b.values) if enough else None
        if times is not None:
            beyond = abs(math.log(times.median)) > math.log(1 + LEAST_CHANGE)
            changed = beyond and not times.low <= 1 <= times.high
    moved = (middle_b - middle_a) * a.better
    return Change(
        **key._asdict(),
        unit=a.unit,
        a=middle_a,
        b=middle_b,
        ratio=times,
        difference=difference,
        changed=changed,
        better=None if moved == 0 else moved > 0,
    )


def _ratio(a: Sequence[float], b: Sequence[float]) -> Interval:
    """The median of ``b`` by that of ``a``: their rounds are of two runs, so are drawn apart.

    It knows the noise between rounds, not what a machine does from one day to the next.
    """
    rng = np.random.default_rng(0)
    drawn_a, drawn_b = (
        np.median(rng.choice(np.asarray(values), (_RESAMPLES, len(values))), axis=1)
        for values in (a, b)
    )
    low, high = np.percentile(drawn_b / drawn_a, [2.5, 97.5])
    return Interval(float(np.median(b) / np.median(a)), float(low), float(high))


def _recall_difference(a: float, queries_a: int, b: float, queries_b: int) -> Interval:
    """``b`` less ``a``, as if each of a query's ten were found or missed by itself.

    Source: Agresti and Caffo, Simple and Effective Confidence Intervals for Proportions, 2000,
    which holds where nothing is missed, too.
    """
    shares, variance = [], 0.0
    for recall, queries in ((a, queries_a), (b, queries_b)):
        asked = queries * _RECALL_OF
        share = (recall * asked + 1) / (asked + 2)
        shares.append(share)
        variance += share * (1 - share) / (asked + 2)
    middle, reach = shares[1] - shares[0], _NORMAL_95 * math.sqrt(variance)
    return Interval(b - a, middle - reach, middle + reach)


def _weight(change: Change) -> float:
    """How large a change is, recalls beside times: by the ratio of times, or of what is missed."""
    a, b = change.a, change.b
    if change.difference is not None:
        a, b = 1 - a + 1e-3, 1 - b + 1e-3
    return abs(math.log(b / a)) if a > 0 and b > 0 else 0.0


def _quantities(size: Size, *, by_ratio: bool) -> Iterator[tuple[_Key, _Quantity]]:
    flat = dict(_figures(size["experiments"].get(FLAT, {}), size["videos"], FLAT))
    for name, experiment in size["experiments"].items():
        for key, quantity in _figures(experiment, size["videos"], name):
            if not by_ratio or quantity.unit in ("", "bytes"):
                yield key, quantity
            elif name != FLAT and (yardstick := _yardstick(key, flat)) is not None:
                values = tuple(ratio(quantity.values, yardstick.values).tolist())
                yield key, quantity._replace(values=values, unit=f"times {FLAT}")


def _yardstick(key: _Key, flat: Mapping[_Key, _Quantity]) -> _Quantity | None:
    """The same figure of the flat index; of a search by any setting, that of its only one."""
    own = flat.get(key._replace(experiment=FLAT))
    if own is not None:
        return own if len(own.values) > 1 else None
    if not key.part.startswith(_SEARCH):
        return None
    return next(
        (
            quantity
            for at, quantity in flat.items()
            if at.part.startswith(_SEARCH) and at.quantity == key.quantity
        ),
        None,
    )


def _figures(
    experiment: Mapping[str, Any], videos: int, name: str
) -> Iterator[tuple[_Key, _Quantity]]:
    def once(part: str, of: Mapping[str, Any], *keys: str) -> Iterator[tuple[_Key, _Quantity]]:
        for key in keys:
            if of.get(key) is not None:
                quantity, _, unit = key.rpartition("_")
                yield (
                    _Key(videos, name, part, quantity.replace("_", " ")),
                    _Quantity((float(of[key]),), unit, -1),
                )

    def answers(part: str, of: Mapping[str, Any]) -> Iterator[tuple[_Key, _Quantity]]:
        if "recall_at_10" in of:
            recall = (float(of["recall_at_10"]),)
            yield _Key(videos, name, part, "recall@10"), _Quantity(recall, "", 1, of["queries"])
        for percentile in _PERCENTILES:
            values = tuple(of["ms"][percentile])
            yield _Key(videos, name, part, percentile), _Quantity(values, "ms", -1)

    def rate(part: str, values: Sequence[float]) -> Iterator[tuple[_Key, _Quantity]]:
        yield _Key(videos, name, part, "throughput"), _Quantity(tuple(values), "a second", 1)

    for setting, search in experiment.get("searches", {}).items():
        yield from answers(f"{_SEARCH}{setting}", search)
    for share, filtered in experiment.get("filtered", {}).items():
        yield from answers(f"filtered {share}", filtered)
    for where, fused in experiment.get("fused", {}).items():
        yield from answers(f"fused in {where}", fused)
    for how, changing in experiment.get("changing", {}).items():
        yield from answers(f"{how} changes", changing)
    if "batch" in experiment:
        yield from rate("batch", experiment["batch"]["per_second"])
    for kind, by_count in experiment.get("clients", {}).items():
        for count, rates in by_count.items():
            yield from rate(f"clients: {count} {kind}", rates)
    yield from once(
        "building", experiment.get("built", {}), "upload_s", "index_s", "disk_bytes", "peak_bytes"
    )
    yield from once("memory", experiment.get("memory", {}), "rss_bytes", "anonymous_bytes")
    yield from once("cold start", experiment.get("cold", {}), "open_s", "first_query_ms")


def _only(of: Mapping[_Key, _Quantity], other: Mapping[_Key, _Quantity]) -> Iterator[str]:
    """What has no counterpart, told as coarsely as it can be: a size, an experiment, a part."""
    told: dict[str, None] = {}
    sizes = {key.videos for key in other}
    experiments = {(key.videos, key.experiment) for key in other}
    parts = {(key.videos, key.experiment, key.part) for key in other}
    for key in of:
        if key.videos not in sizes:
            told[f"{key.videos:,} videos"] = None
        elif (key.videos, key.experiment) not in experiments:
            told[f"{key.videos:,} videos, {key.experiment}"] = None
        elif (key.videos, key.experiment, key.part) not in parts:
            told[f"{key.videos:,} videos, {key.experiment}, {key.part}"] = None
    yield from told


def _differences(a: Result, b: Result) -> Iterator[Difference]:
    for key in (*_MACHINE, "python", "commit"):
        yield from _difference(key, a["machine"].get(key), b["machine"].get(key))
    versions = [run["machine"].get("versions", {}) for run in (a, b)]
    for package in sorted(set(versions[0]) | set(versions[1])):
        yield from _difference(package, *(of.get(package) for of in versions))
    for name in sorted(set(a["options"]) | set(b["options"])):
        yield from _difference(f"option {name}", a["options"].get(name), b["options"].get(name))
    sources = [
        {size["videos"]: size["vectors"]["source"] for size in measured(run)} for run in (a, b)
    ]
    for videos in sorted(sources[0].keys() & sources[1].keys()):
        yield from _difference(
            f"vectors at {videos:,} videos", *(source[videos] for source in sources)
        )
    builds = [
        {
            (name, size["videos"]): experiment["build"]
            for size in measured(run)
            for name, experiment in size["experiments"].items()
        }
        for run in (a, b)
    ]
    shared = sorted(builds[0].keys() & builds[1].keys())
    told = {
        difference: None
        for name, videos in shared
        for difference in _difference(
            f"build of {name}", *(build[name, videos] for build in builds)
        )
    }
    yield from told


def _difference(what: str, a: object, b: object) -> Iterator[Difference]:
    if a != b:
        yield Difference(what, str(a), str(b))


def _notes(a: Result, b: Result) -> Iterator[str]:
    for letter, run in (("a", a), ("b", b)):
        if not run.get("finished", True):
            yield f"{letter} is unfinished"
        parts = disturbed(run)
        if parts or run["machine"]["disturbed"]:
            what = ", ".join(map(str, parts)) or "its beginning"
            yield f"{letter} was disturbed: {what}"
    changed = sorted(
        name
        for name in set(a["options"]) & set(b["options"])
        if name in _ASKED and a["options"][name] != b["options"][name]
    )
    if changed:
        yield f"the runs did not ask the same ({', '.join(changed)}): a change may be due to that"
