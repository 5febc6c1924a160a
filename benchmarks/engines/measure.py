"""A run: sizes one after the other, every engine in a process of its own, in turns, by rounds.

Each part writes what it found into the one result file. A size that is finished there is not
measured again, so a run that was stopped goes on with the others.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
from twinlens.benchmarks.engines.sources import VectorSource, write_vectors
from twinlens.benchmarks.engines.vectors import SHARES, Truth, VectorSet
from twinlens.catalog.errors import StoreError, UsageError
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
        save: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._vectors = vectors
        self._truth = Truth(vectors, limit=plan.limit, window=plan.window)
        self._loads = record.loads
        self._of = record.experiments
        self._save = save
        self._say = say
        self._hosts: dict[str, Host] = {}
        self._rng = np.random.default_rng(plan.seed)
        self._experiments = {one.name: one for one in experiments}
        for name, one in self._experiments.items():
            build = {key: value for key, value in one.build.items() if key != "url"}
            self._of[name] = Measured(label=one.label, build=build, environment=one.environment)

    def measure(self) -> None:
        """Measure every part; what was made on servers for it is removed again."""
        in_turns = {"latency": self._measure_latency, "filters": self._measure_filters}
        # One ranking has nothing to be fused with.
        if len(self._vectors.dims) > 1:
            in_turns["fusion"] = self._measure_fusion
        try:
            for name in self._experiments:
                self._measure_part(f"build {name}", partial(self._build, name))
            self._open_all()
            for name, measure in in_turns.items():
                self._measure_part(name, measure)
            self._end_all()
            self._measure_part("clients", self._measure_clients)
        finally:
            self._end_all()
            for name, one in self._experiments.items():
                if one.on_server:
                    made: Any = one.make(self._vectors)
                    with self._watch(name, "remove"), closing(made):
                        made.remove()

    def _measure_part(self, name: str, measure: Callable[[], None]) -> None:
        started = time.monotonic()
        measure()
        self._loads[name] = load = round(os.getloadavg()[0], 2)
        self._save()
        took_s = time.monotonic() - started
        self._say(f"{self._vectors.videos:,} videos: {name}, {took_s:.0f} s, load {load}")

    # What each engine goes through by itself.

    def _build(self, name: str) -> None:
        other = self._of.get(self._experiments[name].index_of or "")
        if other is not None and other.built is not None:
            self._of[name].built = other.built.model_copy(update={"shared_with": other.label})
            return
        threads = self._plan.build_threads
        (self._vectors.path / name).mkdir()
        with self._watch(name, "build"), self._start_host(name, threads=threads) as host:
            self._of[name].built = host.ask("build", threads)

    def _measure_clients(self) -> None:
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
            for name in self._rng.permutation(self._list_alive()).tolist():
                with self._watch(name, "clients"), ExitStack() as stack:
                    setting, rates = self._find_setting(name), found.setdefault(name, {})
                    hosts = [stack.enter_context(self._start_host(name)) for _ in range(processes)]
                    _ask_all(hosts, "open")
                    # Each process has to find the pages that it maps for itself, and a graph's lie
                    # where its queries lead.
                    now = time.monotonic()
                    _ask_all(hosts, "run_clients", 1, setting, begin_at=now, seconds=2 * seconds)
                    for at in self._rng.permutation(len(ways)):
                        kind, count, many = ways[at]
                        asking = hosts[:count] if kind == "processes" else hosts[:1]
                        when = {"begin_at": time.monotonic() + 0.05, "seconds": seconds}
                        each = count // len(asking)
                        told = _ask_all(asking, "run_clients", each, setting, **when, at_once=many)
                        of = rates.setdefault(kind, {}).setdefault(count, [])
                        of.append(round(sum(told), 2))
        for name in self._list_alive():
            self._of[name].batch = found[name].pop("batch")[1]
            self._of[name].clients = found[name]

    # What all go through in turns.

    def _open_all(self) -> None:
        # All processes start before the first of them is waited for.
        for name in self._list_alive():
            self._hosts[name] = self._start_host(name)
        for name, host in list(self._hosts.items()):
            with self._watch(name, "open"):
                host.ask("open")
                settings = self._experiments[name].searches
                # An exact search touches every vector, which others never do.
                for setting in [one for one in settings if not one.get("exact")] or settings:
                    host.ask("search", self._choose_rows(_WARM_UP, 0), setting)
                self._of[name].memory = host.ask("measure_memory")

    def _end_all(self) -> None:
        for host in self._hosts.values():
            host.kill()
        self._hosts.clear()

    def _measure_latency(self) -> None:
        tasks = [
            _Task(name, label, "search", [setting], self._truth.measure_recall)
            for name in self._hosts
            for label, setting in self._experiments[name].settings.items()
        ]
        for task, answers in self._ask_in_turns("latency", tasks):
            with self._watch(task.name, "latency"):
                search = Search(setting=task.arguments[0], **dict(answers))
                if search.exact and search.recall_at_10 < 1:
                    raise EngineFailed(
                        f"its exact search found {search.recall_at_10:.4f} of the exact best"
                    )
                self._of[task.name].searches[task.label] = search
        for name in self._hosts:
            self._of[name].chosen = choose_setting(self._of[name].searches)

    def _measure_filters(self) -> None:
        tasks = [
            _Task(
                *(name, str(share), "search", [self._find_setting(name), share]),
                recall=partial(self._truth.measure_recall, share=share),
            )
            for name in self._hosts
            for share in SHARES
            if self._vectors.list_passing(share).size  # else there is nothing to find
        ]
        for task, answers in self._ask_in_turns("filters", tasks):
            self._of[task.name].filtered[float(task.label)] = answers

    def _measure_fusion(self) -> None:
        window, k = self._plan.window, self._plan.rrf_k
        recall = partial(self._truth.measure_fused_recall, k=k)
        tasks = [
            _Task(name, "", "fuse", [self._find_setting(name), window, k], recall)
            for name in self._hosts
        ]
        for task, answers in self._ask_in_turns("fusion", tasks):
            self._of[task.name].fused = answers

    def _ask_in_turns(self, part: str, tasks: Sequence[_Task]) -> Iterator[tuple[_Task, Answers]]:
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
                rows = self._choose_rows(counts[at], max(0, number))
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
                    p50_ms=_take_medians([timed.ms for _, timed in rounds]),
                    server_ms=_take_medians(own) if own else None,
                )
                yield task, answers

    def _list_alive(self) -> list[str]:
        return [name for name in self._experiments if not self._of[name].failed]

    def _start_host(self, name: str, *, threads: int = 1) -> Host:
        one, of = self._experiments[name], self._vectors
        probe = partial(Probe, one, of.path, of.dims, self._plan.limit)
        return Host(probe, threads=threads, environment=one.environment)

    def _find_setting(self, name: str) -> Setting:
        return self._experiments[name].settings[self._of[name].chosen]

    def _choose_rows(self, count: int, number: int) -> list[int]:
        """Queries of round ``number``: other ones each time, where not all fit into a round."""
        of = self._vectors.query_count
        return [(number * count + row) % of for row in range(count)]

    @contextmanager
    def _watch(self, name: str, part: str) -> Iterator[None]:
        """Report an engine that fails within, and leave it out from then on."""
        try:
            yield
        except (EngineFailed, StoreError) as error:
            self._of[name].failed = self._of[name].failed or f"{part}: {error}"
            self._say(f"{self._vectors.videos:,} videos: {name} FAILED, {part}: {error}")
            if name in self._hosts:
                self._hosts.pop(name).kill()


def run(
    source: VectorSource,
    plan: Plan,
    experiments: Sequence[Experiment],
    *,
    result: Path,
    work: Path,
    say: Callable[[str], None],
) -> Result:
    """Return the finished result, which lies in the file ``result`` too, as far as it has come.

    Vectors and indexes are made in ``work``, and removed as each size is done or the run stopped.

    Raises:
        UsageError: the file holds the result of another run.
    """
    record = _begin(plan, result)
    record.write(result)
    work.mkdir(parents=True, exist_ok=True)
    for at, videos in enumerate(plan.sizes):
        if record.sizes[at].finished:
            continue
        say(f"{videos:,} videos: vectors and exact answers")
        with tempfile.TemporaryDirectory(prefix="twinlens-bench-", dir=work) as made:
            asked = {"videos": videos, "queries": plan.queries, "seed": plan.seed}
            vectors = write_vectors(source, Path(made), **asked)
            of, drawn = f"{source.description}, seed {plan.seed}", source.synthetic
            size = Size(videos=videos, source=of, synthetic=drawn, dims=vectors.dims)
            record.sizes[at] = size
            SizeRun(plan, vectors, experiments, size, lambda: record.write(result), say).measure()
        size.finished = True
        record.finished = all(one.finished for one in record.sizes)
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


def _take_medians(rounds: Sequence[Sequence[float]]) -> list[float]:
    return [round(float(np.median(waited)), 5) for waited in rounds]


def _ask_all(hosts: Sequence[Host], method: str, *values: object, **options: object) -> list[float]:
    """Return what the method returns in each of these processes, called in all of them at once."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(lambda host: host.ask(method, *values, **options), hosts))
