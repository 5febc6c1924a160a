"""What changed between two runs, and what is noise.

Runs on one machine are compared by their times, and by their ratios to the flat index, each formed
within its run: a machine that was slower for a while slows both, so a change must show in either,
and be more than the processor's own pace in that part of the two runs makes of it.
Runs on different machines are compared by these ratios alone, for times would compare the machines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from twinlens.benchmarks.engines.experiments import FLAT
from twinlens.benchmarks.engines.result_file import Result, Size, measured
from twinlens.benchmarks.engines.summary import (
    disturbance,
    disturbed_in,
    first_answer_ms,
    percentiles,
    ratio,
)
from twinlens.benchmarks.engines.wording import number, spread
from twinlens.evaluate.intervals import Interval

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


class _Key(NamedTuple):
    videos: int
    experiment: str
    part: str
    quantity: str


class _Quantity(NamedTuple):
    """One figure of a run: by round, or once, or a recall over so many queries.

    ``like`` names what it is whatever the setting: the flat index's figure of that name is its
    yardstick. ``measured_in`` is the part of the run that it is from.
    """

    values: tuple[float, ...]
    unit: str
    # 1: more is better; -1: less is better.
    better: int
    like: str
    measured_in: str
    queries: int | None = None
    # The same in units of a yardstick of the same run, where there is one.
    relative: tuple[float, ...] = ()
    # Whether it was disturbed by more than the processor's pace; and by that.
    disturbed: bool = False
    slowed: bool = False
    # What the processor took meanwhile for work that is always the same, where that is known.
    pace_ms: float | None = None

    @property
    def is_time(self) -> bool:
        """Whether it depends on how fast the machine is at the moment."""
        return self.unit not in ("", "bytes")


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of both runs. ``ratio`` is b by a; of a recall ``difference`` is b less a.

    ``relative`` is the ratio of what each is in units of a yardstick of its own run, which is the
    flat index, or for that reading memory. ``changed`` says whether it is more than noise; None
    where nobody can say, because there are too few rounds or but one measurement, or because it
    seems so but a run was ``disturbed`` there, or it is no more than the processor's pace explains.
    ``better`` says which way it went, if it went any.
    """

    videos: int
    experiment: str
    part: str
    quantity: str
    unit: str
    a: float
    b: float
    ratio: Interval | None
    relative: Interval | None
    difference: Interval | None
    changed: bool | None
    disturbed: bool
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
        if self.relative is not None:
            times += f", {spread(self.relative)} by the yardstick"
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
        found = [
            one
            for one in self.changes
            if one.changed is None and one.ratio is None and _weight(one) > least
        ]
        return sorted(found, key=_weight, reverse=True)

    @property
    def not_sure(self) -> list[Change]:
        """What seems to have changed, but by the machine's doing, as far as anyone can say."""
        found = [one for one in self.changes if one.changed is None and one.ratio is not None]
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
                    for key, interval in (
                        ("ratio", one.ratio),
                        ("relative", one.relative),
                        ("difference", one.difference),
                    )
                }
                for one in self.changes
            ],
        }


def compare(a: Result, b: Result) -> Comparison:
    """What both runs measured, side by side: the figures of ``b`` against those of ``a``."""
    differences = tuple(_differences(a, b))
    by_ratio = any(a["machine"].get(key) != b["machine"].get(key) for key in _MACHINE)
    # The work that tells the pace is Python's own; and a ratio to the flat index has none.
    paced = not by_ratio and a["machine"].get("python") == b["machine"].get("python")
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
            for key, quantity in _quantities(run, size, by_ratio=by_ratio, paced=paced)
        }
        for run, sizes in ((a, sizes_a), (b, sizes_b))
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
    lines += [f"only in a: {one}" for one in _by_experiment(comparison.only_in_a)]
    lines += [f"only in b: {one}" for one in _by_experiment(comparison.only_in_b)]
    told = [one for one in comparison.changes if one.ratio or one.difference]
    changed = comparison.changed
    by_both = (
        ""
        if comparison.by_ratio
        else ", by itself, by more than the processor's pace, and by the yardstick of its run, "
        f"which is {FLAT}, or for that reading its vectors once"
    )
    lines += [
        *([""] if lines else []),
        f"{len(changed)} of {len(told)} figures changed beyond noise (95 % interval without 1, and "
        f"more than {LEAST_CHANGE:.0%}{by_both}; of a recall, 95 % interval without 0; chance "
        "alone does that to some 5 in 100):",
    ]
    lines += [f"  {_way(one)}  {one}" for one in changed]
    if not_sure := comparison.not_sure:
        lines += [
            "",
            "Not sure, for a run was disturbed there, or the processor's pace explains as much:",
            *(f"  {_way(one)}  {one}" for one in not_sure),
        ]
    if once := comparison.measured_once:
        lines += [
            "",
            f"Differ by more than {LEAST_CHANGE_OF_ONE:.0%}, but were measured in fewer than "
            f"{LEAST_ROUNDS} rounds, or once, so that their noise is unknown:",
            *(f"  {one}" for one in once),
        ]
    return "\n".join(lines)


def _by_experiment(only: Sequence[str]) -> list[str]:
    """The same in one line for each size and experiment."""
    parts: dict[str, list[str]] = {}
    for one in only:
        *where, part = one.split(", ", 2) if one.count(", ") > 1 else (one, "")
        parts.setdefault(", ".join(where), []).append(part)
    return [f"{where}: {'; '.join(of)}".removesuffix(": ") for where, of in parts.items()]


def _way(change: Change) -> str:
    return "better" if change.better else "WORSE "


def _change(key: _Key, a: _Quantity, b: _Quantity) -> Change:
    middle_a, middle_b = float(np.median(a.values)), float(np.median(b.values))
    times: Interval | None = None
    relative: Interval | None = None
    difference: Interval | None = None
    changed: bool | None = None
    paces = (b.pace_ms, a.pace_ms) if a.better < 0 else (a.pace_ms, b.pace_ms)
    owed = paces[0] / paces[1] if a.is_time and paces[0] and paces[1] else None
    uncertain = a.is_time and (
        a.disturbed or b.disturbed or ((a.slowed or b.slowed) and owed is None)
    )
    if a.queries is not None and b.queries is not None:
        difference = _recall_difference(middle_a, a.queries, middle_b, b.queries)
        changed = difference.low > 0 or difference.high < 0
    elif middle_a > 0 and middle_b > 0:
        times, relative = (
            _ratio(of_a, of_b) if min(len(of_a), len(of_b)) >= LEAST_ROUNDS else None
            for of_a, of_b in ((a.values, b.values), (a.relative, b.relative))
        )
        if times is not None:
            ways = {_moved(one) for one in (times, relative) if one is not None}
            changed = ways in ({1}, {-1})
            if changed and (uncertain or _moved(_beyond(times, owed)) not in ways):
                changed = None
    moved = (middle_b - middle_a) * a.better
    return Change(
        **key._asdict(),
        unit=a.unit,
        a=middle_a,
        b=middle_b,
        ratio=times,
        relative=relative,
        difference=difference,
        changed=changed,
        disturbed=uncertain,
        better=None if moved == 0 else moved > 0,
    )


def _beyond(times: Interval, owed: float | None) -> Interval:
    """``times`` less what the processor's pace alone makes of it, where both go the same way."""
    if owed is None or (owed > 1) != (times.median > 1):
        return times
    return Interval(*(one / owed for one in times))


def _moved(times: Interval) -> int:
    """1 or -1 where it rose or fell beyond noise and by enough to be of account, else 0."""
    if times.low <= 1 <= times.high or abs(math.log(times.median)) <= math.log(1 + LEAST_CHANGE):
        return 0
    return 1 if times.median > 1 else -1


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


def _quantities(
    run: Result, size: Size, *, by_ratio: bool, paced: bool
) -> Iterator[tuple[_Key, _Quantity]]:
    """Every figure of a size; ``by_ratio``: times and rates in units of the flat index's own.

    ``paced``: with the processor's pace, as far as it was looked at.
    """
    marks = {one.part: one for one in disturbed_in(run, size)}
    crowded = {part for part, one in marks.items() if one.by_others or one.reading_slowed}
    watched = size.get("watched", {}) if paced else {}
    paces = {part: float(np.mean(one["pace_ms"])) for part, one in watched.items()}
    flat = {
        quantity.like: quantity
        for _, quantity in _figures(size["experiments"].get(FLAT, {}), size["videos"], FLAT)
    }
    machine = _machine_yardstick(size)
    for name, experiment in size["experiments"].items():
        for key, quantity in _figures(experiment, size["videos"], name):
            found = quantity._replace(
                disturbed=quantity.measured_in in crowded,
                slowed=quantity.measured_in in marks,
                pace_ms=paces.get(quantity.measured_in),
            )
            own = flat.get(found.like) if name != FLAT else None
            yardstick = own.values if own is not None and len(own.values) > 1 else ()
            if not by_ratio:
                # What the flat index has no like of is held against the machine, as itself is.
                if not yardstick and machine:
                    # A rate falls as reading takes longer.
                    yardstick = machine if found.better < 0 else tuple(1 / ms for ms in machine)
                if found.is_time and yardstick:
                    found = found._replace(relative=tuple(ratio(found.values, yardstick).tolist()))
                yield key, found
            elif not found.is_time:
                yield key, found
            elif yardstick:
                values = tuple(ratio(found.values, yardstick).tolist())
                yield key, found._replace(values=values, unit=f"times {FLAT}")


def _machine_yardstick(size: Size) -> tuple[float, ...]:
    """How fast the machine was, by round: reading the vectors once, or else faiss' own loop."""
    if "reading" in size:
        return tuple(size["reading"]["ms"])
    return tuple(size["loop"]["ms"]["p50"]) if "loop" in size else ()


def _figures(
    experiment: Mapping[str, Any], videos: int, name: str
) -> Iterator[tuple[_Key, _Quantity]]:
    searches = experiment.get("searches", {})
    # What is measured with the setting chosen says which one, so that no others meet.
    chosen = f", {experiment['chosen']}" if len(searches) > 1 and experiment.get("chosen") else ""

    def figure(
        part: str, at: str, quantity: str, values: Sequence[float], unit: str, better: int, of: str
    ) -> tuple[_Key, _Quantity]:
        like = f"{part} {quantity}"
        return (
            _Key(videos, name, f"{part}{at}", quantity),
            _Quantity(tuple(map(float, values)), unit, better, like, of),
        )

    def once(part: str, of: Mapping[str, Any], *keys: str) -> Iterator[tuple[_Key, _Quantity]]:
        for key in keys:
            if of.get(key) is not None:
                quantity, _, unit = key.rpartition("_")
                yield figure(
                    part, "", quantity.replace("_", " "), [of[key]], unit, -1, f"build {name}"
                )

    def answers(
        part: str, at: str, of: Mapping[str, Any], measured_in: str
    ) -> Iterator[tuple[_Key, _Quantity]]:
        if "recall_at_10" in of:
            key, recall = figure(part, at, "recall@10", [of["recall_at_10"]], "", 1, measured_in)
            yield key, recall._replace(queries=of["queries"])
        for percentile, values in percentiles(of["ms"]).items():
            yield figure(part, at, percentile, values, "ms", -1, measured_in)

    for setting, search in searches.items():
        yield from answers("search", f" {setting}", search, "latency")
    for share, filtered in experiment.get("filtered", {}).items():
        yield from answers(f"filtered {share}", chosen, filtered, "filters")
    for where, fused in experiment.get("fused", {}).items():
        yield from answers(f"fused in {where}", chosen, fused, "fusion")
    for how, changing in experiment.get("changing", {}).items():
        yield from answers(f"{how} changes", chosen, changing, "changing")
    if "batch" in experiment:
        rates = experiment["batch"]["per_second"]
        yield figure("batch", chosen, "throughput", rates, "a second", 1, "batches")
    for kind, by_count in experiment.get("clients", {}).items():
        for count, rates in by_count.items():
            part = f"clients: {count} {kind}"
            yield figure(part, chosen, "throughput", rates, "a second", 1, "clients")
    built = experiment.get("built") or {}
    if built.get("shared_with") is None:
        yield from once("building", built, "upload_s", "index_s", "disk_bytes", "peak_bytes")
    yield from once("memory", experiment.get("memory") or {}, "rss_bytes", "anonymous_bytes")
    if cold := experiment.get("cold"):
        at = f", {cold['setting']}" if len(searches) > 1 else ""
        values = first_answer_ms(cold)
        yield figure("cold start", at, "opening and first query", values, "ms", -1, "cold")


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
        how = disturbance(run)
        if how or run["machine"]["disturbed"]:
            yield f"{letter} was disturbed: {how or 'its beginning'}"
    changed = sorted(
        name
        for name in set(a["options"]) & set(b["options"])
        if name in _ASKED and a["options"][name] != b["options"][name]
    )
    if changed:
        yield f"the runs did not ask the same ({', '.join(changed)}): a change may be due to that"
