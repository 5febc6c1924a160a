"""A process for each engine: it can be told apart by its memory, and may die without the others.

`Host` is this side of it, `Probe` what measures inside it, and nothing else does.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np

from twinlens.benchmarks.engines.base import EngineAnswer, EngineQuery, Experiment
from twinlens.benchmarks.engines.record import Built, EngineFailed, Memory, Setting
from twinlens.benchmarks.engines.vectors import VectorSet, fuse_answers
from twinlens.catalog.processes import end_with_parent

# A graph over a million vectors takes its time; what takes longer hangs.
_LONGEST_S: Final = 2 * 3600.0
# The object of this process, made when it is first asked for.
_made: Callable[[], Any]
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Timed(NamedTuple):
    """Searches one after the other: the wait for each, what each found, the engine's own times."""

    ms: list[float]
    found: list[Sequence[int]]
    server_ms: list[float]


class Host:
    """The object that ``make`` returns in a process of its own; its methods are called by name.

    ``threads`` is what the libraries in it may use of their own accord; ``environment`` is added to
    this process's. One method at a time. As a context it kills the process at the end.
    """

    def __init__(
        self, make: Callable[[], Any], *, threads: int = 1, environment: Mapping[str, str]
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, _begin, (os.getpid(), make))
        before, others = dict(os.environ), multiprocessing.active_children()
        os.environ.update({**dict.fromkeys(_THREADS, str(threads)), **environment})
        try:
            self._pool.submit(os.getpid)  # a pool starts its process when it is first asked
        finally:
            os.environ.clear()
            os.environ.update(before)
        [self._process] = set(multiprocessing.active_children()).difference(others)

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return what the method returns.

        Raises:
            EngineFailed: it raised, its process ended, or there was no answer.
        """
        try:
            return self._pool.submit(_call, method, arguments, options).result(_LONGEST_S)
        except TimeoutError as error:
            raise EngineFailed(f"{method}: no answer after {_LONGEST_S:g} s") from error
        except BrokenProcessPool as error:
            self._pool.shutdown()  # by then its exit code is known; that of a signal is negative
            code = self._process.exitcode
            raise EngineFailed(f"{method}: the engine's process ended, code {code}") from error

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _begin(parent: int, make: Callable[[], Any]) -> None:
    global _made
    # Ctrl-C is for the parent, who kills this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)
    _made = cache(make)


def _call(method: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    try:
        return getattr(_made(), method)(*arguments, **options)
    except BaseException as error:  # noqa: BLE001 - Qdrant's panics are no Exception
        raise EngineFailed(f"{method}: {type(error).__name__}: {error}") from None


class Probe:
    """One engine over one set of vectors; every method measures, and returns plain values."""

    def __init__(
        self, experiment: Experiment, vectors: Path, dims: Mapping[str, int], limit: int
    ) -> None:
        self._vectors = VectorSet(vectors, dims)
        self._engine = experiment.make(self._vectors)
        self._on_server = experiment.on_server
        self._limit = limit
        self._count = self._vectors.query_count
        # In memory and contiguous, as a caller has them.
        self._queries = {name: np.array(self._vectors.queries[name]) for name in self._vectors.dims}
        self.open = self._engine.open

    def build(self, threads: int) -> Built:
        """Make the index: seconds, bytes on disk, the most memory that this process held."""
        built: Built = self._engine.upload(threads=threads)
        # Not ru_maxrss, which starts from what the parent had when it made this process.
        peak_bytes = None if self._on_server else _read_own_bytes("status", "VmHWM")
        disk_bytes = self._engine.measure_disk()
        return built.model_copy(update={"disk_bytes": disk_bytes, "peak_bytes": peak_bytes})

    def measure_memory(self) -> Memory | None:
        """Return the memory of this process now, as far as it has touched what it maps.

        None where the index is on a server, of which this process is only a client.
        """
        if self._on_server:
            return None
        rss, anonymous = (_read_own_bytes("smaps_rollup", name) for name in ("Rss", "Anonymous"))
        return Memory(rss_bytes=rss, anonymous_bytes=anonymous)

    def search(self, rows: Sequence[int], setting: Setting, share: float | None = None) -> Timed:
        """These queries of the first vector, one at a time."""
        return _time(rows, lambda row: self._engine.search(self._make_query(row, setting, share)))

    def fuse(self, rows: Sequence[int], setting: Setting, window: int, k: float) -> Timed:
        """Queries of every vector, whose rankings are fused as the product fuses them."""

        def ask(row: int) -> EngineAnswer:
            named = self._queries.items()
            queries = [EngineQuery(name, vectors[row], window, setting) for name, vectors in named]
            answers = self._engine.search_many(queries)
            rankings = {
                query.name: list(zip(answer.ids, answer.scores, strict=True))
                for query, answer in zip(queries, answers, strict=True)
            }
            fused = fuse_answers(rankings, limit=self._limit, k=k)
            return EngineAnswer(list(fused), list(fused.values()), answers[0].server_ms)

        return _time(rows, ask)

    def run_clients(
        self, threads: int, setting: Setting, *, begin_at: float, seconds: float, at_once: int = 1
    ) -> float:
        """Queries per second that this process answered to its threads, from ``begin_at`` on.

        ``begin_at`` is of the clock that all processes of a machine share. Each thread hands over
        so many queries ``at_once``.
        """
        # Twice, as a batch may begin with the last of them.
        queries = [self._make_query(row, setting) for row in range(self._count)] * 2
        alone = at_once == 1

        def ask(number: int) -> float:
            row, done, last = number * self._count // threads, 0, begin_at
            time.sleep(max(0.0, begin_at - time.monotonic()))
            while last < begin_at + seconds:
                first = (row + done) % self._count
                if alone:
                    self._engine.search(queries[first])
                else:
                    self._engine.search_many(queries[first : first + at_once])
                done += at_once
                last = time.monotonic()
            return done / (last - begin_at)

        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(ask, range(threads)))

    def _make_query(self, row: int, setting: Setting, share: float | None = None) -> EngineQuery:
        name = self._vectors.first
        return EngineQuery(name, self._queries[name][row], self._limit, setting, share)


def _time(rows: Sequence[int], ask: Callable[[int], EngineAnswer]) -> Timed:
    timed = Timed([], [], [])
    gc.collect()
    gc.disable()
    try:
        for row in rows:
            started = time.perf_counter()
            answer = ask(row)
            timed.ms.append((time.perf_counter() - started) * 1000)
            timed.found.append(answer.ids)
            if answer.server_ms is not None:
                timed.server_ms.append(answer.server_ms)
    finally:
        gc.enable()
    return timed


def _read_own_bytes(file: str, name: str) -> int:
    """Return a figure in kB that the system tells of this process, in bytes."""
    lines = Path(f"/proc/self/{file}").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
