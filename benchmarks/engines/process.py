"""A process for each engine: it can be told apart by its memory, and may die without the others.

`Host` is this side of it, `Probe` what measures inside it, and nothing else does.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np

from twinlens.benchmarks.engines.base import Answer, Experiment, Query
from twinlens.benchmarks.engines.record import Built, EngineFailed, Memory, Setting
from twinlens.benchmarks.engines.vectors import VectorSet, fuse_answers

# A graph over a million vectors takes its time; what takes longer hangs.
_LONGEST_S: Final = 2 * 3600.0
_CLOSING_S: Final = 20.0
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Timed(NamedTuple):
    """Searches one after the other: the wait for each, what each found, the engine's own times."""

    ms: list[float]
    found: list[Sequence[int]]
    server_ms: list[float]


class Host:
    """The object that ``make`` returns in a process of its own; its methods are called by name.

    ``threads`` is what the libraries in it may use of their own accord; ``environment`` is added to
    this process's. One method at a time. As a context it lets the object be closed at the end.
    """

    def __init__(
        self, make: Callable[[], Any], *, threads: int = 1, environment: Mapping[str, str]
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make), daemon=True)
        before = dict(os.environ)
        os.environ.update({**dict.fromkeys(_THREADS, str(threads)), **environment})
        try:
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        theirs.close()

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return what the method returns.

        Raises:
            EngineFailed: it raised, its process ended, or there was no answer.
        """
        with suppress(OSError):  # it has ended, as the answer will say
            self._ours.send((method, arguments, options))
        try:
            if not self._ours.poll(_LONGEST_S):
                raise EngineFailed(f"{method}: no answer after {_LONGEST_S:g} s")
            done, value = self._ours.recv()
        except (EOFError, OSError) as error:
            self._process.join(_CLOSING_S)
            code = self._process.exitcode or 0
            how = f"killed by signal {-code}" if code < 0 else f"ended with {code}"
            raise EngineFailed(f"{method}: the engine's process was {how}") from error
        if not done:
            raise EngineFailed(value)
        return value

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join()
        self._ours.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Whoever interrupts doesn't want to wait for a graph.
        if kind is None or issubclass(kind, Exception):
            with suppress(OSError):  # it may have ended already
                self._ours.send(None)
            self._process.join(_CLOSING_S)
        self.kill()


def _serve(theirs: Connection, make: Callable[[], Any]) -> None:
    # Ctrl-C is for the parent, who tells this process to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # Killed with its parent, however that ends: an engine that builds a graph holds the GIL for
        # minutes, so no thread of ours could see to it. Source: prctl(2), PR_SET_PDEATHSIG.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is None or os.getppid() != parent.pid:
        raise SystemExit(1)  # it ended before it could be watched
    made: Any = None
    try:
        while (asked := theirs.recv()) is not None:
            method, values, options = asked
            try:
                made = made or make()
                theirs.send((True, getattr(made, method)(*values, **options)))
            except BaseException as error:  # noqa: BLE001 - Qdrant's panics are no Exception
                theirs.send((False, f"{method}: {type(error).__name__}: {error}"))
    except EOFError:
        pass
    finally:
        if made is not None:
            made.close()


class Probe:
    """One engine over one set of vectors; every method measures, and returns plain values."""

    def __init__(self, experiment: Experiment, vectors: Path, directory: Path, limit: int) -> None:
        self._vectors = VectorSet(vectors)
        self._engine = experiment.make(self._vectors, directory)
        self._on_server = experiment.on_server
        self._limit = limit
        self._count = self._vectors.query_count
        # In memory and contiguous, as a caller has them.
        self._queries = {name: np.array(self._vectors.queries[name]) for name in self._vectors.dims}
        # What these methods need no more than call.
        self.open = self._engine.open
        self.close = self._engine.close

    def build(self, threads: int) -> Built:
        """Make the index: seconds, bytes on disk, the most memory that this process held."""
        built: Built = self._engine.upload(threads=threads)
        # Not ru_maxrss, which starts from what the parent had when it made this process.
        peak_bytes = None if self._on_server else _own_bytes("status", "VmHWM")
        disk_bytes = self._engine.disk_bytes()
        return built.model_copy(update={"disk_bytes": disk_bytes, "peak_bytes": peak_bytes})

    def memory(self) -> Memory | None:
        """Return the memory of this process now, as far as it has touched what it maps.

        None where the index is on a server, of which this process is only a client.
        """
        if self._on_server:
            return None
        rss, anonymous = (_own_bytes("smaps_rollup", name) for name in ("Rss", "Anonymous"))
        return Memory(rss_bytes=rss, anonymous_bytes=anonymous)

    def searches(self, rows: Sequence[int], setting: Setting, share: float | None = None) -> Timed:
        """These queries of the first vector, one at a time."""
        return _time(rows, lambda row: self._engine.search(self._query(row, setting, share)))

    def fused(self, rows: Sequence[int], setting: Setting, window: int, k: float) -> Timed:
        """Queries of every vector, whose rankings are fused as the product fuses them."""

        def ask(row: int) -> Answer:
            named = self._queries.items()
            queries = [Query(name, vectors[row], window, setting) for name, vectors in named]
            answers = self._engine.search_many(queries)
            rankings = {
                query.name: list(zip(answer.ids, answer.scores, strict=True))
                for query, answer in zip(queries, answers, strict=True)
            }
            fused = fuse_answers(rankings, limit=self._limit, k=k)
            return Answer(list(fused), list(fused.values()), answers[0].server_ms)

        return _time(rows, ask)

    def clients(
        self, threads: int, setting: Setting, *, begin_at: float, seconds: float, at_once: int = 1
    ) -> float:
        """Queries per second that this process answered to its threads, from ``begin_at`` on.

        ``begin_at`` is of the clock that all processes of a machine share. Each thread hands over
        so many queries ``at_once``.
        """
        # Twice, as a batch may begin with the last of them.
        queries = [self._query(row, setting) for row in range(self._count)] * 2
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

    def _query(self, row: int, setting: Setting, share: float | None = None) -> Query:
        name = self._vectors.first
        return Query(name, self._queries[name][row], self._limit, setting, share)


def _time(rows: Sequence[int], ask: Callable[[int], Answer]) -> Timed:
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


def _own_bytes(file: str, name: str) -> int:
    """Return a figure in kB that the system tells of this process, in bytes."""
    lines = Path(f"/proc/self/{file}").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
