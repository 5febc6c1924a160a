"""A run: sizes one after the other, every engine in a process of its own, in turns, by rounds.

Each part writes what it found into the one result file; a part that is there already is not
measured again, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from twinlens.benchmarks.engines.base import Experiment
from twinlens.benchmarks.engines.process import Host, Probe, Timed
from twinlens.benchmarks.engines.record import (
    FORMAT,
    Answers,
    EngineFailed,
    Machine,
    Measured,
    Plan,
    Result,
    Search,
    Setting,
    Size,
    read_result,
)
from twinlens.benchmarks.engines.sources import VectorSource, prepare_vectors
from twinlens.benchmarks.engines.vectors import SHARES, Truth, VectorSet
from twinlens.catalog.errors import StoreError, UsageError
from twinlens.catalog.files import create_whole, hold_lock
from twinlens.evaluate.machine import describe_machine

# The parts that take one setting of an engine take the first that finds so much.
CHOSEN_RECALL: Final = 0.99
_FEWEST: Final = 3
_WARM_UP: Final = 3
_BATCH: Final = 100

_Recall = Callable[[Sequence[int], Sequence[Sequence[int]]], float]
# What must not change within one result.
_SAME: Final = ("processor", "cores", "memory_bytes", "versions")


class _Task(NamedTuple):
    """What an engine is asked in turns with the others: a method of its `Probe`, with arguments."""

    name: str
    label: str
    method: str
    arguments: Sequence[Any]
    recall: _Recall


class SizeRun:
    """The parts of one size, measured in order into ``record``; ``save`` is called after each.

    Indexes are made in folders of ``vectors``' own.
    """

    def __init__(
        self,
        plan: Plan,
        vectors: VectorSet,
        experiments: Sequence[Experiment],
        record: Size,
        *,
        save: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._vectors = vectors
        self._truth = Truth(vectors, limit=plan.limit, window=plan.window)
        self._done = record.loads
        self._of = record.experiments
        self._save = save
        self._say = say
        self._hosts: dict[str, Host] = {}
        self._rng = np.random.default_rng(plan.seed)
        self._experiments = {one.name: one for one in experiments}
        for name, one in self._experiments.items():
            build = {key: value for key, value in one.build.items() if key != "url"}
            fresh = Measured(label=one.label, build=build, environment=one.environment)
            self._of.setdefault(name, fresh)

    def measure(self) -> None:
        """Return every part that the record does not hold yet."""
        in_turns = {"latency": self._latency, "filters": self._filters}
        # One ranking has nothing to be fused with.
        if len(self._vectors.dims) > 1:
            in_turns["fusion"] = self._fusion
        for name in self._experiments:
            if not self._directory(name).exists() and not self._of[name].failed:
                # An index that was removed since is made again.
                self._done.pop(f"build {name}", None)
            self._part(f"build {name}", partial(self._build, name))
        try:
            if any(name not in self._done for name in in_turns):
                self._open_all()
                for name, measure in in_turns.items():
                    self._part(name, measure)
        finally:
            # Killed, for whoever interrupts doesn't want to wait for what they are at.
            for host in self._hosts.values():
                host.kill()
            self._hosts.clear()
        self._part("clients", self._clients)

    def remove(self) -> None:
        """Remove what was made to be measured."""
        for name, one in self._experiments.items():
            if one.on_server:
                made: Any = one.make(self._vectors, self._directory(name))
                with self._watch(name, "remove"), closing(made):
                    made.remove()
        shutil.rmtree(self._vectors.path, ignore_errors=True)

    def _part(self, name: str, measure: Callable[[], None]) -> None:
        if name in self._done:
            return
        started = time.monotonic()
        measure()
        self._done[name] = load = round(os.getloadavg()[0], 2)
        self._save()
        took_s = time.monotonic() - started
        self._say(f"{self._vectors.videos:,} videos: {name}, {took_s:.0f} s, load {load}")

    # What each engine goes through by itself.

    def _build(self, name: str) -> None:
        directory, shared = self._directory(name), self._experiments[name].index_of
        other = self._of.get(shared or "")
        with self._watch(name, "build"):
            if other is not None and other.built is not None:
                built = other.built.model_copy(update={"shared_with": other.label})
            else:
                shutil.rmtree(directory, ignore_errors=True)
                threads = self._plan.build_threads
                with (
                    create_whole(directory) as making,
                    self._host(name, making, threads=threads) as host,
                ):
                    built = host.ask("build", threads)
            self._of[name].built = built

    def _clients(self) -> None:
        """Queries a second in batches, by threads of one process, and by processes on its cores.

        What an engine holds in memory it holds once for each process.
        """
        cores = max(2, len(os.sched_getaffinity(0)))
        at_once = min(_BATCH, self._vectors.query_count)
        ways = [("batch", 1, at_once), *(("threads", count, 1) for count in self._plan.clients)]
        ways += [("processes", count, 1) for count in self._plan.clients if count <= cores]
        processes = max(count for kind, count, _ in ways if kind != "threads")
        seconds = self._plan.client_seconds
        found: dict[str, dict[Any, dict[int, list[float]]]] = {}
        for _ in range(self._plan.client_rounds):
            for name in self._shuffle(self._alive()):
                with self._watch(name, "clients"), ExitStack() as stack:
                    setting, rates = self._setting(name), found.setdefault(name, {})
                    hosts = [stack.enter_context(self._host(name)) for _ in range(processes)]
                    _ask_all(hosts, "open")
                    # Each process has to find the pages that it maps for itself, and a graph's lie
                    # where its queries lead.
                    now = time.monotonic()
                    _ask_all(hosts, "clients", 1, setting, begin_at=now, seconds=2 * seconds)
                    for at in self._rng.permutation(len(ways)):
                        kind, count, many = ways[at]
                        asking = hosts[:count] if kind == "processes" else hosts[:1]
                        when = {"begin_at": time.monotonic() + 0.05, "seconds": seconds}
                        each = count // len(asking)
                        told = _ask_all(asking, "clients", each, setting, **when, at_once=many)
                        of = rates.setdefault(kind, {}).setdefault(count, [])
                        of.append(round(sum(told), 2))
        for name in self._alive():
            self._of[name].batch = found[name].pop("batch")[1]
            self._of[name].clients = found[name]

    # What all go through in turns.

    def _open_all(self) -> None:
        # All processes start before the first of them is waited for.
        for name in self._alive():
            self._hosts[name] = self._host(name)
        for name, host in list(self._hosts.items()):
            with self._watch(name, "open"):
                host.ask("open")
                settings = self._experiments[name].searches
                # An exact search touches every vector, which others never do.
                for setting in [one for one in settings if not one.get("exact")] or settings:
                    host.ask("searches", self._rows(_WARM_UP, 0), setting)
                self._of[name].memory = host.ask("memory")

    def _latency(self) -> None:
        tasks = [
            _Task(name, label, "searches", [setting], self._truth.recall)
            for name in self._hosts
            for label, setting in self._experiments[name].settings.items()
        ]
        for task, answers in self._in_turns("latency", tasks):
            with self._watch(task.name, "latency"):
                search = Search(setting=task.arguments[0], **dict(answers))
                if search.exact and search.recall_at_10 < 1:
                    raise EngineFailed(
                        f"its exact search found {search.recall_at_10:.4f} of the exact best"
                    )
                self._of[task.name].searches[task.label] = search
        for name in self._hosts:
            self._of[name].chosen = choose_setting(self._of[name].searches)

    def _filters(self) -> None:
        tasks = [
            _Task(
                *(name, str(share), "searches", [self._setting(name), share]),
                recall=partial(self._truth.recall, share=share),
            )
            for name in self._hosts
            for share in SHARES
            if self._vectors.passing(share).size  # else there is nothing to find
        ]
        for task, answers in self._in_turns("filters", tasks):
            self._of[task.name].filtered[float(task.label)] = answers

    def _fusion(self) -> None:
        window, k = self._plan.window, self._plan.rrf_k
        recall = partial(self._truth.fused_recall, k=k)
        tasks = [
            _Task(name, "", "fused", [self._setting(name), window, k], recall)
            for name in self._hosts
        ]
        for task, answers in self._in_turns("fusion", tasks):
            self._of[task.name].fused = answers

    def _in_turns(self, part: str, tasks: Sequence[_Task]) -> Iterator[tuple[_Task, Answers]]:
        """Yield the answers to each task, asked once a round in an order drawn anew.

        What a task gets in a round is a time, not a count: slow ones are asked fewer queries.
        """
        queries = self._vectors.query_count
        counts = [_WARM_UP] * len(tasks)
        samples: list[list[tuple[list[int], Timed]]] = [[] for _ in tasks]
        # The first round says how many queries fit into the next, the second warms up.
        for number in range(-1, self._plan.rounds + 1):
            for at in self._rng.permutation(len(tasks)):
                task = tasks[at]
                if task.name not in self._hosts:
                    continue
                rows = self._rows(counts[at], max(0, number))
                with self._watch(task.name, part):
                    timed: Timed = self._hosts[task.name].ask(task.method, rows, *task.arguments)
                    if number < 0:
                        fitting = self._plan.seconds * 1000 / max(float(np.median(timed.ms)), 1e-3)
                        counts[at] = max(_FEWEST, min(int(fitting), queries))
                    elif number > 0:
                        samples[at].append((rows, timed))
        # In the order of the tasks, which is that of the work they make.
        for task, rounds in zip(tasks, samples, strict=True):
            if task.name not in self._hosts:
                continue
            # Of each query the first answer.
            found: dict[int, Sequence[int]] = {}
            for rows, timed in reversed(rounds):
                found |= zip(rows, timed.found, strict=True)
            own = [timed.server_ms for _, timed in rounds if timed.server_ms]
            with self._watch(task.name, part):
                recall = task.recall(list(found), list(found.values()))
                answers = Answers(
                    recall_at_10=round(recall, 5),
                    queries=len(found),
                    p50_ms=_medians([timed.ms for _, timed in rounds]),
                    server_ms=_medians(own) if own else None,
                )
                yield task, answers

    def _alive(self) -> list[str]:
        return [name for name in self._experiments if not self._of[name].failed]

    def _shuffle(self, names: Collection[str]) -> list[str]:
        """Those of these that have not failed, in an order drawn anew."""
        order = [list(names)[at] for at in self._rng.permutation(len(names))]
        return [name for name in order if not self._of[name].failed]

    def _directory(self, name: str) -> Path:
        return self._vectors.path / name

    def _host(self, name: str, directory: Path | None = None, *, threads: int = 1) -> Host:
        experiment = self._experiments[name]
        where = directory or self._directory(name)
        return Host(
            partial(Probe, experiment, self._vectors.path, where, self._plan.limit),
            threads=threads,
            environment=experiment.environment,
        )

    def _setting(self, name: str) -> Setting:
        return self._experiments[name].settings[self._of[name].chosen]

    def _rows(self, count: int, number: int) -> list[int]:
        """Queries of round ``number``: other ones each time, where not all fit into a round."""
        of = self._vectors.query_count
        return [(number * count + row) % of for row in range(count)]

    @contextmanager
    def _watch(self, name: str, part: str) -> Iterator[None]:
        """Report an engine that fails within, and leave it out from then on."""
        try:
            yield
        except (EngineFailed, StoreError) as error:
            self._of[name].failed = f"{part}: {error}"
            self._say(f"{self._vectors.videos:,} videos: {name} FAILED, {part}: {error}")
            host = self._hosts.pop(name, None)
            if host is not None:
                host.kill()


def run(
    source: VectorSource,
    plan: Plan,
    experiments: Sequence[Experiment],
    *,
    result: Path,
    work: Path,
    say: Callable[[str], None],
    keep: bool = False,
) -> Result:
    """Return the finished result, which lies in the file ``result`` too, as far as it has come.

    Vectors and indexes are made in ``work``, and removed as each size is done unless they are to be
    kept. A run that goes on tries an engine that failed again as long as nothing was measured in
    turns at its size.

    Raises:
        UsageError: the file holds the result of another run, or one runs in ``work`` already.
    """

    def explain(holder: str) -> UsageError:
        return UsageError(
            f"{work}: another comparison (process {holder}) works in it; wait for it to end, or"
            " name another --work-dir"
        )

    with hold_lock(work / "bench.lock", explain):
        record = _begin(plan, result)
        record.write(result)
        try:
            for size in record.sizes:
                if size.finished:
                    continue
                say(f"{size.videos:,} videos: vectors and exact answers")
                vectors = prepare_vectors(
                    source, work, videos=size.videos, queries=plan.queries, seed=plan.seed
                )
                size.source = vectors.source
                size.synthetic = vectors.synthetic
                size.dims = dict(vectors.dims)
                measured = SizeRun(
                    plan, vectors, experiments, size, save=lambda: record.write(result), say=say
                )
                measured.measure()
                size.finished = True
                record.write(result)
                if not keep:
                    measured.remove()
        except KeyboardInterrupt:
            say(f"stopped; the same command goes on from {result}")
            raise
        record.finished = True
        record.write(result)
        return record


def _begin(plan: Plan, result: Path) -> Result:
    """Return a new result, or the one that is to go on."""
    here = Machine.model_validate(describe_machine("h5py", "grpcio"))
    if not result.exists():
        sizes = [Size(videos=videos) for videos in plan.sizes]
        return Result(format=FORMAT, machine=here, plan=plan, sizes=sizes)
    record = read_result(result)
    other = [name for name, value in plan if getattr(record.plan, name) != value]
    if other:
        raise UsageError(
            f"{result}: the result of another run (other {', '.join(other)});"
            " name another file with --json, or remove it"
        )
    for size in record.sizes:
        for name, one in list(size.experiments.items()):
            if one.failed and "latency" not in size.loads:
                del size.experiments[name]
                size.loads.pop(f"build {name}", None)
    if all(size.finished for size in record.sizes):
        return record
    moved = [name for name in _SAME if getattr(here, name) != getattr(record.machine, name)]
    if moved:
        raise UsageError(
            f"{result}: was begun elsewhere (other {', '.join(moved)}), and the figures of two"
            " machines don't go into one result; name another file with --json"
        )
    record.finished = False
    record.continued.append(here)
    return record


def choose_setting(searches: dict[str, Search]) -> str:
    """Choose the first that finds enough, else what finds most; an exact one if alone.

    Settings stand in the order of the work they make, so that no noise decides between two.
    """
    approximate = {label: one for label, one in searches.items() if not one.exact} or searches
    for label, search in approximate.items():
        if search.recall_at_10 >= CHOSEN_RECALL:
            return label
    return max(approximate, key=lambda label: approximate[label].recall_at_10)


def _medians(rounds: Sequence[Sequence[float]]) -> list[float]:
    return [round(float(np.median(waited)), 5) for waited in rounds]


def _ask_all(hosts: Sequence[Host], method: str, *values: object, **options: object) -> list[float]:
    """Return what the method returns in each of these processes, called in all of them at once."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(lambda host: host.ask(method, *values, **options), hosts))
