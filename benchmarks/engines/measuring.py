"""One size measured: every engine in a process of its own, in turns, round by round.

Each part writes what it found into the record of its size; a part that is there already is not
measured again, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from twinlens.benchmarks.engines.base import EngineFailed, Setting
from twinlens.benchmarks.engines.experiments import FLAT, Experiment
from twinlens.benchmarks.engines.host import Host
from twinlens.benchmarks.engines.latency import latency
from twinlens.benchmarks.engines.probe import Probe, Timed, Yardstick
from twinlens.benchmarks.engines.summary import Disturbed
from twinlens.benchmarks.engines.truth import Truth
from twinlens.benchmarks.engines.vectors import SHARES, VectorSet
from twinlens.benchmarks.usage import NeighbourWatch, PaceWatch, crowded, listening_at
from twinlens.catalog.files import write_atomically

# The parts that take one setting of an engine take the first that finds so much.
CHOSEN_RECALL: Final = 0.99
# Where the processor takes so many times as long for the same work, in that share of the looks at
# it, it was throttled; and where reading the same memory does in some round, a neighbour had it.
SLOWED: Final = 1.25
_SLOWED_SHARE: Final = 0.2
READING_SLOWED: Final = 1.5
_FEWEST: Final = 10
_FEWEST_QUICK: Final = 3
_COLD_TRIES: Final = 3
_WARM_UP: Final = 3
# Processes of clients warm up for as long as so many rounds at most.
_WARM_UP_ROUNDS: Final = 5
_BATCH: Final = 100
_ROOM_TO_USE: Final = 0.8
_READ_AT_ONCE: Final = 16 * 2**20
_BUILT: Final = "built.json"

Record = MutableMapping[str, Any]
# Measures a part, and returns what else it saw of the machine meanwhile, if anything.
Measure = Callable[[], Mapping[str, float] | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. ``seconds`` is about what one setting of one engine gets in a round.

    Changes beside searches are measured up to ``most_changed`` videos, on a copy of the index.
    """

    sizes: tuple[int, ...]
    queries: int = 500
    seed: int = 0
    limit: int = 10
    window: int = 200
    rrf_k: float = 5.0
    rounds: int = 5
    seconds: float = 1.0
    clients: tuple[int, ...] = (1, 2, 4, 8)
    client_rounds: int = 3
    client_seconds: float = 1.0
    changing_seconds: float = 5.0
    most_changed: int = 100_000
    threads: int = 1
    build_threads: int = 1
    quick: bool = False


class SizeRun:
    """The parts of one size, measured in order into ``record``; ``save`` is called after each.

    ``commit`` is what they are measured with, and is told beside each. ``fastest_ms`` is the best
    pace of the processor that the run has seen before.
    """

    def __init__(
        self,
        plan: Plan,
        vectors: VectorSet,
        truth: Truth,
        experiments: Sequence[Experiment],
        *,
        directory: Path,
        record: Record,
        save: Callable[[], None],
        say: Callable[[str], None],
        commit: str | None,
        fastest_ms: float = math.inf,
    ) -> None:
        self._commit = commit
        self._fastest_ms = fastest_ms
        self._plan = plan
        self._vectors = vectors
        self._truth = truth
        self._directory = directory
        self._record = record
        self._save = save
        self._say = say
        self._hosts: dict[str, Host] = {}
        self._pace = PaceWatch()
        urls = {one.build["url"] for one in experiments if one.on_server}
        self._servers = [pid for url in urls if (pid := listening_at(url)) is not None]
        self._rng = np.random.default_rng(plan.seed)
        self._experiments = {
            one.name: one
            for one in experiments
            if one.most_videos is None or vectors.videos <= one.most_videos
        }
        for one in self._experiments.values():
            record["experiments"].setdefault(
                one.name,
                {
                    "engine": one.name,
                    "label": one.label,
                    "build": {k: v for k, v in one.build.items() if k != "url"},
                    "environment": dict(one.environment),
                    "failed": None,
                },
            )

    def measure(self) -> None:
        """Every part that the record does not hold yet."""
        in_turns, by_itself = self._parts_in_turns(), self._parts_by_itself()
        unfinished = any(name not in self._record["parts"] for name in (*in_turns, *by_itself))
        for name in self._experiments:
            failed = self._of(name)["failed"] is not None
            if unfinished and not failed and not self._is_built(name):
                # An index that was removed since is made again, and measured again.
                self._record["parts"] = [
                    one for one in self._record["parts"] if one != f"build {name}"
                ]
            self._part(f"build {name}", partial(self._build, name))
        if any(name not in self._record["parts"] for name in in_turns):
            try:
                self._open_all()
                for name, measure in in_turns.items():
                    self._part(name, measure)
                    # Latency and recall are what settings are chosen by.
                    self._close(set(self._hosts) - set(self._chief()))
            except BaseException:
                # Whoever interrupts doesn't want to wait for what they are at.
                for host in self._hosts.values():
                    host.kill()
                self._hosts.clear()
                raise
            self._close(set(self._hosts))
        for name, measure in by_itself.items():
            self._part(name, measure)

    def remove(self) -> None:
        """Remove what was made to be measured."""
        for name, one in self._experiments.items():
            if one.on_server:
                with self._watched(name, "remove"), self._host(name) as host:
                    host.ask("remove")
        shutil.rmtree(self._directory, ignore_errors=True)

    def _parts_in_turns(self) -> dict[str, Measure]:
        """What all engines go through in turns, all of them open."""
        parts: dict[str, Measure] = {
            "latency": self._latency,
            "batches": self._batches,
            "filters": self._filters,
        }
        # One ranking has nothing to be fused with.
        return parts if len(self._vectors.dims) < 2 else {**parts, "fusion": self._fusion}

    def _parts_by_itself(self) -> dict[str, Measure]:
        """What each engine goes through while no other is open."""
        parts: dict[str, Measure] = {"cold": self._cold, "clients": self._clients}
        if self._vectors.videos <= self._plan.most_changed:
            parts["changing"] = self._changing
        return parts

    def _part(self, name: str, measure: Measure) -> None:
        """Measure it, unless it is there already, and mark it where it was disturbed."""
        if name in self._record["parts"]:
            return
        started = time.monotonic()
        with NeighbourWatch(besides=self._servers) as watch:
            self._pace = PaceWatch()
            self._pace.look()
            seen = dict(measure() or {})
            self._pace.look(now=True)
        took = time.monotonic() - started
        self._record.setdefault("watched", {})[name] = {
            "others_cores": round(watch.mean, 3),
            "worst_cores": round(watch.worst, 3),
            "pace_ms": [round(ms, 2) for ms in self._pace.ms],
            **seen,
        }
        self._judge()
        self._record["parts"].append(name)
        self._record.setdefault("commits", {})[name] = self._commit
        self._save()
        told = f"{self._vectors.videos:,} videos: {name}, {took:.0f} s"
        if marks := self._record["disturbed"].get(name):
            how = Disturbed(self._vectors.videos, name, _cores(), **marks).how
            told += f", disturbed: {how}"
        self._say(told)

    def _judge(self) -> None:
        """Mark the parts that were disturbed: by others, or by the machine's own pace.

        All of them again after each, for only a faster one shows that those before were slow.
        """
        watched: Mapping[str, Mapping[str, Any]] = self._record["watched"]
        fastest_ms = min(self._fastest_ms, *(min(one["pace_ms"]) for one in watched.values()))
        for part, one in watched.items():
            marks = {}
            slow = sum(ms > SLOWED * fastest_ms for ms in one["pace_ms"])
            if slow >= _SLOWED_SHARE * len(one["pace_ms"]):
                marks["slowed"] = round(max(one["pace_ms"]) / fastest_ms, 2)
            if one.get("reading_slowed", 1.0) > READING_SLOWED:
                marks["reading_slowed"] = one["reading_slowed"]
            others = {key: one[key] for key in ("others_cores", "worst_cores")}
            self._record["disturbed"].pop(part, None)
            if marks or crowded(*others.values(), cores=_cores()):
                self._record["disturbed"][part] = others | marks

    # What each engine goes through by itself.

    def _built_from(self, name: str) -> dict[str, Any]:
        """What an index must have been made from to be taken for this one."""
        return {
            "vectors": asdict(self._vectors.description),
            "build": dict(self._experiments[name].build),
        }

    def _is_built(self, name: str) -> bool:
        try:
            kept = json.loads((self._directory / name / _BUILT).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return False
        wanted = self._built_from(name)
        return {key: kept.get(key) for key in wanted} == wanted

    def _build(self, name: str) -> None:
        directory = self._directory / name
        with self._watched(name, "build"):
            if not self._is_built(name):
                shutil.rmtree(directory, ignore_errors=True)
                with self._host(name, threads=self._plan.build_threads) as host:
                    built = host.ask("build", self._plan.build_threads)
                shared = built.pop("shared")
                if self._experiments[name].on_server:
                    del built["peak_bytes"]  # this process's, which is only its client
                    if shared:
                        built["shared_with"] = next(
                            one.label for one in self._experiments.values() if one.on_server
                        )
                # An index on a server leaves none.
                directory.mkdir(parents=True, exist_ok=True)
                write_atomically(
                    directory / _BUILT, json.dumps({**self._built_from(name), "built": built})
                )
            self._of(name)["built"] = json.loads((directory / _BUILT).read_text("utf-8"))["built"]

    def _cold(self) -> None:
        """Opening and the first query in a new process, when the system has forgotten the files."""
        here = [name for name in self._chief() if not self._experiments[name].on_server]
        for name in here:
            self._of(name).pop("cold", None)  # of a run that was stopped in the midst of it
        for _ in range(1 if self._plan.quick else _COLD_TRIES):
            for name in self._shuffled(here):
                if self._of(name)["failed"]:
                    continue
                with self._watched(name, "cold"):
                    _forget_pages(self._directory / name)
                    with self._host(name) as host:
                        opened = host.ask("open")
                        timed: Timed = host.ask("searches", [0], self._setting(name))
                    cold = self._of(name).setdefault(
                        "cold",
                        {"setting": self._of(name)["chosen"], "open_ms": [], "first_query_ms": []},
                    )
                    cold["open_ms"].append(round(opened * 1000, 2))
                    cold["first_query_ms"].append(round(timed.ms[0], 3))

    def _open_all(self) -> None:
        for name in list(self._alive()):
            with self._watched(name, "open"):
                _read_pages(self._directory / name)
                host = self._hosts[name] = self._host(name)
                host.ask("open")
                # Exact searches last: they touch every vector, which others never do.
                for _, setting in sorted(
                    self._settings(name), key=lambda one: bool(one[1].get("exact"))
                ):
                    if setting.get("exact") and len(self._settings(name)) > 1:
                        self._of(name)["memory"] = host.ask("memory")
                    host.ask("searches", self._rows(_WARM_UP, 0), setting)
                self._of(name).setdefault("memory", host.ask("memory"))
                if self._experiments[name].on_server:
                    del self._of(name)["memory"]  # this process's, which is only its client

    def _close(self, names: Collection[str]) -> None:
        for name in names:
            self._hosts.pop(name).close()

    # What all go through in turns.

    def _latency(self) -> dict[str, float]:
        tasks = [
            (name, label, setting)
            for name in self._hosts
            for label, setting in self._settings(name)
        ]
        samples: dict[tuple[str, str], list[Timed]] = {}
        asked: dict[tuple[str, str], list[list[int]]] = {}
        reading: list[float] = []
        loop: list[list[float]] = []
        sizes: dict[tuple[str, str], int] = {}
        for name, label, setting in tasks:
            if name not in self._hosts:
                continue
            with self._watched(name, "latency"):
                timed: Timed = self._hosts[name].ask("searches", self._rows(_WARM_UP, 0), setting)
                sizes[name, label] = self._fitting(timed.ms)
        with Host(Yardstick, self._vectors.path, threads=self._plan.threads) as yardstick:
            for number in range(self._plan.rounds + 1):
                for at in self._rng.permutation(len(tasks) + 1):
                    if at == len(tasks):
                        read = yardstick.ask("read")
                        if number > 0:
                            reading.append(round(read, 4))
                        continue
                    name, label, setting = tasks[at]
                    if name not in self._hosts or (name, label) not in sizes:
                        continue
                    rows = self._rows(sizes[name, label], number)
                    with self._watched(name, "latency"):
                        own = None
                        # The two take turns at going first, for what comes second is warmer.
                        if name == FLAT and number % 2:
                            own = self._hosts[name].ask("own_loop", rows)
                        timed = self._hosts[name].ask("searches", rows, setting)
                        if name == FLAT and own is None:
                            own = self._hosts[name].ask("own_loop", rows)
                        if number > 0:  # the first round warms up
                            samples.setdefault((name, label), []).append(timed)
                            asked.setdefault((name, label), []).append(rows)
                            loop += [] if own is None else [own]
        for name, label, setting in tasks:
            if (name, label) not in samples or name not in self._hosts:
                continue
            with self._watched(name, "latency"):
                rounds, rows_of = samples[name, label], asked[name, label]
                recall, count = self._recall(rounds, rows_of)
                exact = bool(setting.get("exact"))
                if exact and recall < 1.0:
                    raise EngineFailed(f"its exact search found {recall:.4f} of the exact best")
                self._of(name).setdefault("searches", {})[label] = {
                    "setting": dict(setting),
                    "exact": exact,
                    "recall_at_10": round(recall, 5),
                    "queries": count,
                    "ms": latency([one.ms for one in rounds]),
                    "engine_ms": latency([one.engine_ms for one in rounds if one.engine_ms])
                    if all(one.engine_ms for one in rounds)
                    else None,
                }
        for name in self._hosts:
            self._of(name)["chosen"] = chosen_setting(self._of(name)["searches"])
        values = self._vectors.videos * self._vectors.dims[self._vectors.first]
        self._record["reading"] = {"bytes": values * 4, "ms": reading}
        if loop:
            self._record["loop"] = {"ms": latency(loop)}
        return {"reading_slowed": round(max(reading) / min(reading), 2)}

    def _batches(self) -> None:
        samples: dict[str, list[float]] = {}
        for number in range(self._plan.rounds + 1):
            for name in self._shuffled(self._hosts):
                rows = self._rows(min(_BATCH, self._vectors.description.queries), number)
                with self._watched(name, "batches"):
                    answered = self._hosts[name].ask(
                        "batch", rows, self._setting(name), seconds=self._plan.seconds / 2
                    )
                    if number > 0:  # the first round warms up
                        samples.setdefault(name, []).append(round(answered, 2))
        for name, per_second in samples.items():
            self._of(name)["batch"] = {
                "queries": min(_BATCH, self._vectors.description.queries),
                "per_second": per_second,
            }

    def _filters(self) -> None:
        def recall(key: str, rows: list[int], found: list[list[int]]) -> float:
            return self._truth.filtered_recall(
                float(key), np.asarray(rows), found, limit=self._plan.limit
            )

        self._in_turns(
            "filtered",
            # Where nothing passes there is nothing to find.
            [str(share) for share in SHARES if self._vectors.passing(share).size],
            lambda name, key, rows: self._hosts[name].ask(
                "searches", rows, self._setting(name), float(key)
            ),
            recall,
        )

    def _fusion(self) -> None:
        def recall(_: str, rows: list[int], found: list[list[int]]) -> float:
            return self._truth.fused_recall(
                np.asarray(rows),
                found,
                limit=self._plan.limit,
                window=self._plan.window,
                k=self._plan.rrf_k,
            )

        self._in_turns(
            "fused",
            ["python", "engine"],
            lambda name, key, rows: self._hosts[name].ask(
                "fused",
                rows,
                self._setting(name),
                by=key,
                window=self._plan.window,
                k=self._plan.rrf_k,
            ),
            recall,
        )

    def _in_turns(
        self,
        part: str,
        kinds: Sequence[str],
        ask: Callable[[str, str, list[int]], Timed | None],
        recall: Callable[[str, list[int], list[list[int]]], float],
    ) -> None:
        tasks = [(name, kind) for name in self._hosts for kind in kinds]
        counts: dict[tuple[str, str], int] = {}
        for name, kind in tasks:
            if name not in self._hosts:
                continue
            with self._watched(name, part):
                first = ask(name, kind, self._rows(_WARM_UP, 0))
                if first is not None:
                    counts[name, kind] = self._fitting(first.ms)
        samples: dict[tuple[str, str], list[tuple[list[int], Timed]]] = {}
        for number in range(self._plan.rounds + 1):
            for at in self._rng.permutation(len(tasks)):
                name, kind = tasks[at]
                if (name, kind) not in counts or name not in self._hosts:
                    continue
                rows = self._rows(counts[name, kind], number)
                with self._watched(name, part):
                    timed = ask(name, kind, rows)
                    if timed is not None and number > 0:  # the first round warms up
                        samples.setdefault((name, kind), []).append((rows, timed))
        for (name, kind), rounds in samples.items():
            with self._watched(name, part):
                rows, found = _first_of_each(
                    [rows for rows, _ in rounds], [timed.found for _, timed in rounds]
                )
                self._of(name).setdefault(part, {})[kind] = {
                    "recall_at_10": round(recall(kind, rows, found), 5),
                    "queries": len(rows),
                    "ms": latency([timed.ms for _, timed in rounds]),
                }

    def _clients(self) -> None:
        for name in self._chief():
            self._of(name).pop("clients", None)  # of a run that was stopped in the midst of it
        for _ in range(self._plan.client_rounds):
            for name in self._shuffled(self._chief()):
                with self._watched(name, "clients"), ExitStack() as stack:
                    counts = self._fitting_processes(name)
                    hosts = [self._host(name) for _ in range(max(counts))]
                    for host in hosts:
                        stack.enter_context(host)
                        host.begin("open")
                    for host in hosts:
                        host.finish()
                    # Each process has to find the pages that it maps for itself, and a graph's lie
                    # where its queries lead.
                    warming = _WARM_UP_ROUNDS * self._plan.client_seconds
                    for host in hosts:
                        host.begin("warm_up", self._setting(name), seconds=warming)
                    for host in hosts:
                        host.finish()
                    ways = [("threads", count) for count in self._plan.clients]
                    ways += [("processes", count) for count in counts]
                    answered: dict[tuple[str, int], float] = {}
                    for at in self._rng.permutation(len(ways)):
                        self._pace.look()
                        kind, count = ways[at]
                        asking = hosts[:1] if kind == "threads" else hosts[:count]
                        answered[kind, count] = self._answered(name, asking, count // len(asking))
                    found = self._of(name).setdefault("clients", {})
                    for kind, count in ways:
                        found.setdefault(kind, {}).setdefault(str(count), []).append(
                            round(answered[kind, count], 2)
                        )

    def _fitting_processes(self, name: str) -> list[int]:
        """Numbers of processes that memory has room for; what they map from files, they share."""
        each = self._of(name).get("memory", {}).get("anonymous_bytes", 0)
        room = psutil.virtual_memory().available * _ROOM_TO_USE
        return [count for count in self._plan.clients if count == 1 or count * each <= room]

    def _answered(self, name: str, hosts: Sequence[Host], threads: int) -> float:
        setting = self._setting(name)
        begin_at = time.monotonic() + 0.05
        for host in hosts:
            host.begin(
                "clients",
                threads,
                setting,
                begin_at=begin_at,
                seconds=self._plan.client_seconds,
            )
        return float(sum(host.finish() for host in hosts))

    def _changing(self) -> None:
        for name in self._chief():
            with self._watched(name, "changing"), self._host(name) as host:
                found = host.ask(
                    "changing", self._setting(name), seconds=self._plan.changing_seconds
                )
                if found is not None:
                    self._of(name)["changing"] = {
                        "without": {"ms": latency([found["without"]])},
                        "beside": {
                            "ms": latency([found["beside"]]),
                            "upserts_per_second": found["upserts_per_second"],
                            "deletes_per_second": found["deletes_per_second"],
                        },
                    }

    def _of(self, name: str) -> Record:
        found: Record = self._record["experiments"][name]
        return found

    def _alive(self) -> list[str]:
        return [name for name in self._experiments if self._of(name)["failed"] is None]

    def _chief(self) -> list[str]:
        """The engines that have not failed, but for their variants."""
        return [name for name in self._alive() if not self._experiments[name].variant]

    def _shuffled(self, names: Collection[str]) -> list[str]:
        """These, in any order."""
        return [list(names)[at] for at in self._rng.permutation(len(names))]

    def _host(self, name: str, *, threads: int | None = None) -> Host:
        return Host(
            Probe,
            self._experiments[name],
            self._vectors.path,
            self._directory / name,
            self._plan.limit,
            threads=self._plan.threads if threads is None else threads,
            environment=self._experiments[name].environment,
        )

    def _settings(self, name: str) -> list[tuple[str, Setting]]:
        return list(self._experiments[name].searches.items())

    def _setting(self, name: str) -> Setting:
        return self._experiments[name].searches[self._of(name)["chosen"]]

    def _fitting(self, ms: Sequence[float]) -> int:
        """How many queries of such waits fit into a round."""
        fitting = int(self._plan.seconds * 1000 / max(float(np.median(ms)), 1e-3))
        fewest = _FEWEST_QUICK if self._plan.quick else _FEWEST
        return max(fewest, min(fitting, self._vectors.description.queries))

    def _rows(self, count: int, number: int) -> list[int]:
        """Queries of round ``number``: other ones each time, where not all fit into a round."""
        of = self._vectors.description.queries
        return [(number * count + row) % of for row in range(count)]

    def _recall(self, rounds: Sequence[Timed], asked: Sequence[list[int]]) -> tuple[float, int]:
        rows, found = _first_of_each(asked, [one.found for one in rounds])
        return (
            self._truth.recall(
                self._vectors.first, np.asarray(rows), found, limit=self._plan.limit
            ),
            len(rows),
        )

    @contextmanager
    def _watched(self, name: str, part: str) -> Iterator[None]:
        """An engine that fails within is reported so, and left out from then on.

        Between two engines there is time for a look at the processor's pace.
        """
        self._pace.look()
        try:
            yield
        except EngineFailed as error:
            self._of(name)["failed"] = {"part": part, "error": str(error)}
            self._say(f"{self._vectors.videos:,} videos: {name} FAILED, {part}: {error}")
            host = self._hosts.pop(name, None)
            if host is not None:
                host.kill()


def chosen_setting(searches: Mapping[str, Mapping[str, Any]]) -> str:
    """The first that finds enough, else the one that finds most; an exact one if there is no other.

    Settings stand in the order of the work they make, so that no noise decides between two.
    """
    recalls = {label: float(of["recall_at_10"]) for label, of in searches.items()}
    recalls = {
        label: recalls[label] for label, of in searches.items() if not of["exact"]
    } or recalls
    enough = [label for label, recall in recalls.items() if recall >= CHOSEN_RECALL]
    return enough[0] if enough else max(recalls, key=lambda label: recalls[label])


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _first_of_each(
    asked: Sequence[Sequence[int]], found: Sequence[Sequence[list[int]]]
) -> tuple[list[int], list[list[int]]]:
    """Every query that was asked once, with the first answer to it."""
    answers: dict[int, list[int]] = {}
    for rows, ids in zip(asked, found, strict=True):
        for row, one in zip(rows, ids, strict=True):
            answers.setdefault(row, one)
    return list(answers), list(answers.values())


def _read_pages(directory: Path) -> None:
    """Have the system keep these files in memory, as it does with what is in use."""
    for file in directory.rglob("*"):
        if file.is_file():
            with file.open("rb", buffering=0) as opened:
                while opened.read(_READ_AT_ONCE):
                    pass


def _forget_pages(directory: Path) -> None:
    """Have the system drop what it keeps of these files, so that the next read is cold."""
    for file in directory.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
