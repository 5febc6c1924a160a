"""One size measured: every engine in a process of its own, in turns, round by round.

Each part writes what it found into the record of its size; a part that is there already is not
measured again, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np

from twinlens.benchmarks.engines.base import EngineFailed
from twinlens.benchmarks.engines.experiments import Experiment
from twinlens.benchmarks.engines.process import Host, Probe, Timed
from twinlens.benchmarks.engines.record import Answers, Measured, Plan, Search, Setting, Size
from twinlens.benchmarks.engines.truth import Truth
from twinlens.benchmarks.engines.vectors import SHARES, VectorSet

# The parts that take one setting of an engine take the first that finds so much.
CHOSEN_RECALL: Final = 0.99
_FEWEST: Final = 3
_WARM_UP: Final = 3
_BATCH: Final = 100

# An engine, and which of several things is asked of it in turns: a setting, a share.
_Task = tuple[str, str]


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
        """Every part that the record does not hold yet."""
        in_turns = {"latency": self._latency, "batches": self._batches, "filters": self._filters}
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
                with self._watch(name, "remove"), self._host(name) as host:
                    host.ask("remove")
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
                making = directory.with_name(f"{name}.making")
                shutil.rmtree(making, ignore_errors=True)
                making.mkdir()
                with self._host(name, making, threads=self._plan.build_threads) as host:
                    built = host.ask("build", self._plan.build_threads)
                making.rename(directory)
            self._of[name].built = built

    def _clients(self) -> None:
        """Queries a second by threads of one process, and by processes, as far as there are cores.

        What an engine holds in memory it holds once for each process.
        """
        cores = max(2, len(os.sched_getaffinity(0)))
        ways: list[tuple[Literal["threads", "processes"], int]] = []
        ways += [("threads", count) for count in self._plan.clients]
        ways += [("processes", count) for count in self._plan.clients if count <= cores]
        processes = max(count for kind, count in ways if kind == "processes")
        seconds = self._plan.client_seconds
        for name in self._alive():
            # Of a run that was stopped in the midst of it there may be some.
            self._of[name].clients = {"threads": {}, "processes": {}}
        for _ in range(self._plan.client_rounds):
            for name in self._shuffle(self._alive()):
                with self._watch(name, "clients"), ExitStack() as stack:
                    setting, of = self._setting(name), self._of[name].clients
                    hosts = [stack.enter_context(self._host(name)) for _ in range(processes)]
                    _ask_all(hosts, "open")
                    # Each process has to find the pages that it maps for itself, and a graph's lie
                    # where its queries lead.
                    _ask_all(
                        hosts, "clients", 1, setting, begin_at=time.monotonic(), seconds=2 * seconds
                    )
                    for at in self._rng.permutation(len(ways)):
                        kind, count = ways[at]
                        asking = hosts[:1] if kind == "threads" else hosts[:count]
                        rates = _ask_all(
                            asking,
                            "clients",
                            count // len(asking),
                            setting,
                            begin_at=time.monotonic() + 0.05,
                            seconds=seconds,
                        )
                        of[kind].setdefault(count, []).append(round(sum(rates), 2))

    # What all go through in turns.

    def _open_all(self) -> None:
        for name in self._alive():
            with self._watch(name, "open"):
                host = self._hosts[name] = self._host(name)
                host.ask("open")
                settings = self._experiments[name].searches
                # An exact search touches every vector, which others never do.
                for setting in [one for one in settings if not one.get("exact")] or settings:
                    host.ask("searches", self._rows(_WARM_UP, 0), setting)
                self._of[name].memory = host.ask("memory")

    def _latency(self) -> None:
        settings = {name: self._experiments[name].settings for name in self._hosts}
        found = self._in_turns(
            "latency",
            [(name, label) for name in self._hosts for label in settings[name]],
            lambda task, rows: self._ask(task[0], "searches", rows, settings[task[0]][task[1]]),
            lambda _, rows, found: self._truth.recall(rows, found),
        )
        for (name, label), answers in found.items():
            with self._watch(name, "latency"):
                search = Search(setting=settings[name][label], **dict(answers))
                if search.exact and search.recall_at_10 < 1:
                    raise EngineFailed(
                        f"its exact search found {search.recall_at_10:.4f} of the exact best"
                    )
                self._of[name].searches[label] = search
        for name in self._hosts:
            self._of[name].chosen = choose_setting(self._of[name].searches)

    def _filters(self) -> None:
        # Where nothing passes there is nothing to find.
        shares = [str(share) for share in SHARES if self._vectors.passing(share).size]
        found = self._in_turns(
            "filters",
            [(name, share) for name in self._hosts for share in shares],
            lambda task, rows: self._ask(
                task[0], "searches", rows, self._setting(task[0]), float(task[1])
            ),
            lambda task, rows, found: self._truth.filtered_recall(float(task[1]), rows, found),
        )
        for (name, share), answers in found.items():
            self._of[name].filtered[float(share)] = answers

    def _fusion(self) -> None:
        window, k = self._plan.window, self._plan.rrf_k
        found = self._in_turns(
            "fusion",
            [(name, "") for name in self._hosts],
            lambda task, rows: self._ask(
                task[0], "fused", rows, self._setting(task[0]), window=window, k=k
            ),
            lambda _, rows, found: self._truth.fused_recall(rows, found, k=k),
        )
        for (name, _), answers in found.items():
            self._of[name].fused = answers

    def _batches(self) -> None:
        count = min(_BATCH, self._vectors.description.queries)
        rates: dict[str, list[float]] = {}
        for number in range(self._plan.rounds + 1):
            for name in self._shuffle(self._hosts):
                with self._watch(name, "batches"):
                    rows, seconds = self._rows(count, number), self._plan.seconds / 2
                    rate = self._hosts[name].ask(
                        "batch", rows, self._setting(name), seconds=seconds
                    )
                    if number > 0:  # the first round warms up
                        rates.setdefault(name, []).append(round(rate, 2))
        for name, per_second in rates.items():
            self._of[name].batch = per_second

    def _in_turns(
        self,
        part: str,
        tasks: Sequence[_Task],
        ask: Callable[[_Task, list[int]], Timed],
        recall: Callable[[_Task, list[int], list[Sequence[int]]], float],
    ) -> dict[_Task, Answers]:
        """The answers to each task, asked once a round in an order drawn anew.

        What a task gets in a round is a time, not a count: slow ones are asked fewer queries.
        """
        counts: dict[_Task, int] = {}
        samples: dict[_Task, list[tuple[list[int], Timed]]] = {}
        # The first round says how many queries fit into the next, the second warms up.
        for number in range(-1, self._plan.rounds + 1):
            for at in self._rng.permutation(len(tasks)):
                task = tasks[at]
                if task[0] not in self._hosts:
                    continue
                rows = self._rows(counts.get(task, _WARM_UP), max(0, number))
                with self._watch(task[0], part):
                    timed = ask(task, rows)
                    if number < 0:
                        fitting = self._plan.seconds * 1000 / max(float(np.median(timed.ms)), 1e-3)
                        most = self._vectors.description.queries
                        counts[task] = max(_FEWEST, min(int(fitting), most))
                    elif number > 0:
                        samples.setdefault(task, []).append((rows, timed))
        found: dict[_Task, Answers] = {}
        # In the order of the tasks, which is that of the work they make.
        for task in tasks:
            if task[0] not in self._hosts:
                continue
            rounds = samples[task]
            # Of each query the first answer.
            answers: dict[int, Sequence[int]] = {}
            for rows, timed in rounds:
                for row, ids in zip(rows, timed.found, strict=True):
                    answers.setdefault(row, ids)
            with self._watch(task[0], part):
                waits = [timed.ms for _, timed in rounds]
                own = [timed.server_ms for _, timed in rounds if timed.server_ms]
                found[task] = Answers(
                    recall_at_10=round(recall(task, list(answers), list(answers.values())), 5),
                    queries=len(answers),
                    p50_ms=_medians(waits),
                    server_ms=_medians(own) if own else None,
                )
        return found

    def _ask(self, name: str, method: str, *arguments: object, **options: object) -> Timed:
        timed: Timed = self._hosts[name].ask(method, *arguments, **options)
        return timed

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
        of = self._vectors.description.queries
        return [(number * count + row) % of for row in range(count)]

    @contextmanager
    def _watch(self, name: str, part: str) -> Iterator[None]:
        """An engine that fails within is reported so, and left out from then on."""
        try:
            yield
        except EngineFailed as error:
            self._of[name].failed = f"{part}: {error}"
            self._say(f"{self._vectors.videos:,} videos: {name} FAILED, {part}: {error}")
            host = self._hosts.pop(name, None)
            if host is not None:
                host.kill()


def choose_setting(searches: dict[str, Search]) -> str:
    """The first that finds enough, else the one that finds most; an exact one if there is no other.

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
    """What the method returns in each of these processes, called in all of them at once."""
    for host in hosts:
        host.begin(method, *values, **options)
    return [host.finish() for host in hosts]
