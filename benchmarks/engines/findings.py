"""What a run's figures say, in plain sentences, each computed from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from twinlens.benchmarks.engines.experiments import EMBEDDED, FLAT, VARIANTS
from twinlens.benchmarks.engines.result_file import Experiment, Result, Size, left_out, measured
from twinlens.benchmarks.engines.summary import (
    CHIEF_RECALL,
    FUSED_WHERE,
    Crossing,
    by_reading,
    chosen_search,
    crossing,
    detailed,
    disturbance,
    engines,
    experiments,
    failures,
    flat_ms,
    ratio,
    speedup,
)
from twinlens.benchmarks.engines.wording import listed, number, size, spread, times_faster
from twinlens.evaluate.intervals import over_rounds

_THE_SCAN: Final = "the flat scan"
# What the scan is beside an engine that is faster (1), slower (-1), or neither for sure.
_OUTCOMES: Final = {1: "slower than {}", -1: "faster than {}", 0: "as fast within noise as {}"}
_MANY_CLIENTS: Final = "8"
# What is smaller than this may be read from the processor's cache, not from memory.
_LEAST_FROM_MEMORY: Final = 64 * 2**20
# A filter this strict shows best what an engine does with one.
_STRICT: Final = "0.01"


def findings(result: Result) -> list[str]:
    """The sentences that a report begins with; those that the run can't support are not there."""
    sizes = measured(result)
    told = [sentence for one in sizes for sentence in _embedded(one)]
    told += _crossings(result)
    one = detailed(result)
    told += [*_flat(one), *_others(one), *_servers(one), *_clients(one), *_filters(one)]
    told += [*_fusion(one), *_changes(one), *_costs(one)]
    return told


def warnings(result: Result) -> list[str]:
    """What a reader must know before any figure: made-up vectors, disturbances, gaps."""
    told = []
    synthetic = [one for one in measured(result) if one["vectors"]["synthetic"]]
    if synthetic:
        sizes = listed([f"{one['videos']:,}" for one in synthetic])
        sources = dict.fromkeys(
            one["vectors"]["source"].removeprefix("synthetic: ") for one in synthetic
        )
        told.append(
            f"SYNTHETIC vectors at {sizes} videos ({'; '.join(sources)}): the figures speak of "
            "time, and of recall on such vectors, not of yours."
        )
    if how := disturbance(result):
        told.append(f"DISTURBED: {how}. The tables say which; there, trust ratios before times.")
    if result["machine"]["disturbed"]:
        told.append(
            f"The machine was busy when the run began (load {result['machine']['load'][0]:g})."
        )
    if result.get("continued"):
        times = len(result["continued"])
        told.append(f"The run was stopped and continued {times} time{'s' if times > 1 else ''}.")
    commits = {record.get("commit") for record in (result["machine"], *result.get("continued", ()))}
    if len(commits) > 1:
        told.append(f"MIXED: {len(commits)} commits took part in it.")
    # What a person did to the file afterwards, in their words.
    told += [f"EDITED: {one}" for one in result.get("edited", ())]
    if not result.get("finished", True):
        told.append("UNFINISHED: the run was stopped; what follows is what it had measured.")
    if result["options"].get("quick"):
        told.append("QUICK: a short run of few rounds, to see that all works rather than to quote.")
    if result["options"].get("rounds") == 1:
        told.append("ONE ROUND: no figure has an interval, and nothing is known of their noise.")
    told += [f"Left out: {videos:,} videos: {why}" for videos, why in left_out(result).items()]
    told += [
        f"FAILED: {one.label} at {one.videos:,} videos, in {one.part}: {one.error}"
        for one in failures(result)
    ]
    return told


def _embedded(of: Size) -> Iterator[str]:
    experiment = of["experiments"].get(EMBEDDED)
    if experiment is not None:
        yield from _chosen(of, experiment)


def _others(of: Size) -> Iterator[str]:
    for name, experiment in engines(of).items():
        if name not in (FLAT, EMBEDDED):
            yield from _chosen(of, experiment)


def _chosen(of: Size, experiment: Experiment) -> Iterator[str]:
    search = chosen_search(experiment)
    times = None if search is None else speedup(of, search["ms"])
    flat = flat_ms(of)
    if search is None or times is None or flat is None:
        return
    how = "searching exactly" if search["exact"] else f"with {experiment['chosen']}"
    yield (
        f"At {of['videos']:,} videos, {experiment['label']} {how} found "
        f"{search['recall_at_10']:.3f} of the true ten in {_ms(search)} ms, "
        f"{times_faster(times, _THE_SCAN)} ({number(float(np.median(flat)))} ms)."
    )


def _crossings(result: Result) -> Iterator[str]:
    alike: dict[Crossing, list[str]] = {}
    for name, label in experiments(result).items():
        found = crossing(result, name) if name not in VARIANTS else None
        if found is None:
            continue
        small, large = found.between
        if found.videos is None:
            alike.setdefault(found, []).append(label)
        else:
            yield (
                f"{label} passes {_THE_SCAN} at about {found.videos_shown} videos "
                f"(recall {CHIEF_RECALL}; interpolated between {small:,} and {large:,})."
            )
    for found, labels in alike.items():
        by_outcome: dict[int, list[str]] = {}
        for videos, faster in found.sizes:
            by_outcome.setdefault(faster, []).append(f"{videos:,}")
        small, large = found.between
        if len(by_outcome) > 1:
            told = [
                f"{_OUTCOMES[faster].format(listed(labels))} at {listed(sizes)} videos"
                for faster, sizes in by_outcome.items()
            ]
            yield f"{_THE_SCAN.capitalize()} is {listed(told)} (recall {CHIEF_RECALL})."
            continue
        where = (
            f"At every size measured at that recall, from {small:,} to {large:,} videos,"
            if small < large
            else f"At {small:,} videos, the only size measured at that recall,"
        )
        [faster] = by_outcome
        yield (
            f"{where} {_THE_SCAN} is {_OUTCOMES[faster].format(listed(labels))} "
            f"(recall {CHIEF_RECALL})."
        )


def _flat(of: Size) -> Iterator[str]:
    for name, found in by_reading(of).items():
        read = of["reading"]["bytes"]
        whence = "once from memory" if read >= _LEAST_FROM_MEMORY else "once"
        yield (
            f"At {of['videos']:,} videos, a query of {of['experiments'][name]['label']} takes "
            f"{spread(found)} times as long as reading its vectors ({size(read)}) {whence}."
        )


def _servers(of: Size) -> Iterator[str]:
    for experiment in of["experiments"].values():
        search = chosen_search(experiment)
        if search is None or not search.get("engine_ms"):
            continue
        whole, engine = (np.asarray(search[which]["p50"]) for which in ("ms", "engine_ms"))
        rounds = min(whole.size, engine.size)
        transport = over_rounds(whole[:rounds] - engine[:rounds])
        yield (
            f"{experiment['label']}: of {number(float(np.median(whole)))} ms a query at "
            f"{of['videos']:,} videos, the server itself takes {number(float(np.median(engine)))} "
            f"ms; {spread(transport)} ms are transport."
        )


def _clients(of: Size) -> Iterator[str]:
    for name in (FLAT, EMBEDDED):
        clients = of["experiments"].get(name, {}).get("clients", {})
        told = [
            f"{spread(over_rounds(ratio(by_count[_MANY_CLIENTS], by_count['1'])))} times as {kind}"
            for kind, by_count in clients.items()
            if {"1", _MANY_CLIENTS} <= by_count.keys()
        ]
        if told:
            yield (
                f"{of['experiments'][name]['label']} at {of['videos']:,} videos: {_MANY_CLIENTS} "
                f"clients get {listed(told)} the queries a second of one."
            )


def _filters(of: Size) -> Iterator[str]:
    told = []
    for name in (FLAT, EMBEDDED):
        experiment = of["experiments"].get(name, {})
        if (found := experiment.get("filtered", {}).get(_STRICT)) is not None:
            told.append(
                f"{experiment['label']} takes {_ms(found)} ms and finds {found['recall_at_10']:.3f}"
            )
    if told:
        yield (
            f"Under a filter that lets {float(_STRICT):.0%} of {of['videos']:,} videos through, "
            f"{listed(told)} of the true ten."
        )


def _fusion(of: Size) -> Iterator[str]:
    experiment = of["experiments"].get(EMBEDDED, {})
    told = [
        f"{_ms(one)} ms with recall {one['recall_at_10']:.3f} {FUSED_WHERE[how]}"
        for how, one in experiment.get("fused", {}).items()
    ]
    if told:
        yield (
            f"A query of both vectors at {of['videos']:,} videos takes {experiment['label']} "
            f"{listed(told)}."
        )


def _changes(of: Size) -> Iterator[str]:
    experiment = of["experiments"].get(EMBEDDED, {})
    if {"without", "beside"} <= (changing := experiment.get("changing", {})).keys():
        beside, without = changing["beside"], changing["without"]
        slower = over_rounds(ratio(beside["ms"]["p50"], without["ms"]["p50"]))
        yield (
            f"While {number(beside['upserts_per_second'])} upserts and "
            f"{number(beside['deletes_per_second'])} deletes a second run beside it, a query of "
            f"{experiment['label']} at {of['videos']:,} videos takes {spread(slower)} times as "
            f"long{' (measured once)' if slower.low == slower.high else ''}."
        )


def _costs(of: Size) -> Iterator[str]:
    for name in (FLAT, EMBEDDED):
        experiment = of["experiments"].get(name, {})
        built, memory = experiment.get("built"), experiment.get("memory")
        if built and memory:
            yield (
                f"{experiment['label']} at {of['videos']:,} videos: built in "
                f"{number(built['upload_s'] + built['index_s'])} s, {size(built['disk_bytes'])} on "
                f"disk, {size(memory['rss_bytes'])} resident, of which "
                f"{size(memory['anonymous_bytes'])} anonymous (each measured once)."
            )


def _ms(found: Any) -> str:
    return number(float(np.median(found["ms"]["p50"])))
