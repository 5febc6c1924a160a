"""What is measured inside the process that holds one engine, and nothing else."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from twinlens.benchmarks.engines.base import Engine, NotOffered, Setting
from twinlens.benchmarks.engines.experiments import Experiment
from twinlens.benchmarks.engines.vectors import VectorSet
from twinlens.benchmarks.usage import memory_of
from twinlens.search.fusion import fuse, weigh_rankings

_CHANGED_AT_ONCE: Final = 100
_READINGS: Final = 3


class Timed(NamedTuple):
    """Searches one after the other: the wait for each, what each found, the engine's own times."""

    ms: list[float]
    found: list[list[int]]
    engine_ms: list[float] | None


class Probe:
    """One engine over one set of vectors; every method measures, and returns plain values."""

    def __init__(self, experiment: Experiment, vectors: Path, directory: Path, limit: int) -> None:
        self._vectors = VectorSet(vectors)
        self._engine: Engine = experiment.make(self._vectors, directory)
        self._limit = limit
        # In memory and contiguous, as a caller has them.
        self._queries = {name: np.array(self._vectors.queries(name)) for name in self._vectors.dims}

    def build(self, threads: int) -> dict[str, Any]:
        """Make the index: seconds, bytes on disk, the most memory that this process held."""
        self._engine.configure(threads=threads)
        uploaded = self._engine.upload()
        return {
            "upload_s": round(uploaded.upload_s, 3),
            "index_s": round(uploaded.index_s, 3),
            "threads": threads,
            "disk_bytes": self._engine.disk_bytes(),
            "peak_bytes": _peak_bytes(),
            "indexed_vectors": uploaded.indexed_vectors,
            "segments": uploaded.segments,
            "shared": uploaded.shared,
        }

    def open(self) -> float:
        """Make the index searchable, and say how many seconds it took."""
        started = time.perf_counter()
        self._engine.open()
        return time.perf_counter() - started

    def memory(self) -> dict[str, int]:
        """The memory of this process now, as far as it has touched what it maps."""
        sample = memory_of(os.getpid())
        return {
            "rss_bytes": sample.rss_bytes,
            # A page that is mapped twice counts once.
            "pss_bytes": sample.pss_bytes,
            "anonymous_bytes": sample.anonymous_bytes,
        }

    def searches(
        self, rows: Sequence[int], setting: Setting, share: float | None = None
    ) -> Timed | None:
        """These queries of the first vector, one at a time; None where filters are not offered."""
        name = self._vectors.first
        queries = self._queries[name]

        def ask(row: int) -> tuple[Sequence[int], float | None]:
            return self._engine.search(
                name, queries[row], limit=self._limit, setting=setting, share=share
            )

        return self._timed(rows, ask)

    def own_loop(self, rows: Sequence[int]) -> list[float]:
        """FAISS's own single-query loop over its index, as anyone would write it: milliseconds."""
        index = self._engine.index(self._vectors.first)  # type: ignore[attr-defined]
        queries = self._queries[self._vectors.first]
        waited = []
        for row in rows:
            started = time.perf_counter()
            index.search(queries[row : row + 1], self._limit)
            waited.append((time.perf_counter() - started) * 1000)
        return waited

    def batch(self, rows: Sequence[int], setting: Setting, *, seconds: float) -> float:
        """Queries per second where these are handed over in one call, again and again."""
        name = self._vectors.first
        queries = self._queries[name][list(rows)]
        answered = 0
        started = time.perf_counter()
        while answered == 0 or time.perf_counter() - started < seconds:
            self._engine.search_many(name, queries, limit=self._limit, setting=setting)
            answered += len(rows)
        return answered / (time.perf_counter() - started)

    def fused(
        self, rows: Sequence[int], setting: Setting, *, by: str, window: int, k: float
    ) -> Timed | None:
        """Queries of both vectors, fused by the ``engine`` or by us, in ``python``."""

        def by_engine(row: int) -> tuple[Sequence[int], float | None]:
            query = {name: queries[row] for name, queries in self._queries.items()}
            return self._engine.fused(query, limit=self._limit, window=window, k=k, setting=setting)

        def by_us(row: int) -> tuple[Sequence[int], float | None]:
            query = {name: queries[row] for name, queries in self._queries.items()}
            rankings = self._engine.rankings(query, limit=window, setting=setting)
            fused = fuse(weigh_rankings(rankings), limit=self._limit, k=k)
            return [int(video.video_id) for video in fused], None

        return self._timed(rows, by_engine if by == "engine" else by_us)

    def warm_up(self, setting: Setting, *, seconds: float) -> None:
        """Ask every query once, or as many as there is time for."""
        name = self._vectors.first
        end = time.monotonic() + seconds
        for query in self._queries[name]:
            self._engine.search(name, query, limit=self._limit, setting=setting)
            if time.monotonic() > end:
                return

    def clients(self, threads: int, setting: Setting, *, begin_at: float, seconds: float) -> float:
        """Queries per second that this process answered to its threads, from ``begin_at`` on.

        ``begin_at`` is of the clock that all processes of a machine share.
        """
        name = self._vectors.first
        queries = self._queries[name]
        end = begin_at + seconds
        done = [0] * threads
        last = [begin_at] * threads
        failed: list[BaseException] = []

        def ask(number: int) -> None:
            try:
                row = number * len(queries) // threads
                time.sleep(max(0.0, begin_at - time.monotonic()))
                while last[number] < end:
                    self._engine.search(
                        name, queries[row % len(queries)], limit=self._limit, setting=setting
                    )
                    row += 1
                    done[number] += 1
                    last[number] = time.monotonic()
            except BaseException as error:  # noqa: BLE001 - raised again below, in the process's own thread
                failed.append(error)

        asking = [threading.Thread(target=ask, args=(number,)) for number in range(threads)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        if failed:
            raise failed[0]
        return sum(count / (ended - begin_at) for count, ended in zip(done, last, strict=True))

    def changing(self, setting: Setting, *, seconds: float) -> dict[str, Any] | None:
        """The waits of one searching thread, alone and beside one that upserts and deletes.

        Where the engine may not be searched and changed at once, the two take turns, and a search's
        wait counts the wait for its turn. None where the index can't be changed.
        """
        try:
            self._engine.open_for_changes()
        except NotOffered:
            return None
        alone = self._searched_for(seconds, setting, nullcontext())
        turns: Any = nullcontext() if self._engine.changes_beside_searches else _Turns()
        changes = {"upserted": 0, "deleted": 0}
        ended = threading.Event()
        failed: list[BaseException] = []

        def change() -> None:
            rng = np.random.default_rng(0)
            try:
                while True:
                    ids = np.sort(
                        rng.choice(self._vectors.videos, _CHANGED_AT_ONCE, replace=False)
                    ).astype(np.int64)
                    for act, kind in (
                        (self._engine.delete, "deleted"),
                        (self._engine.upsert, "upserted"),
                    ):
                        with turns:
                            act(ids)
                        changes[kind] += len(ids)
                    if ended.is_set():
                        return
            except BaseException as error:  # noqa: BLE001 - raised again below
                failed.append(error)

        writer = threading.Thread(target=change)
        started = time.perf_counter()
        writer.start()
        beside = self._searched_for(seconds, setting, turns)
        ended.set()
        writer.join()
        took = time.perf_counter() - started
        self._engine.close()
        if failed:
            raise failed[0]
        return {
            "without": alone,
            "beside": beside,
            "upserts_per_second": round(changes["upserted"] / took, 1),
            "deletes_per_second": round(changes["deleted"] / took, 1),
        }

    def remove(self) -> None:
        """Remove the index for good."""
        self._engine.remove()

    def close(self) -> None:
        """Let go of the index."""
        self._engine.close()

    def _searched_for(self, seconds: float, setting: Setting, turns: Any) -> list[float]:
        name = self._vectors.first
        queries = self._queries[name]
        waited: list[float] = []
        end = time.perf_counter() + seconds
        while not waited or time.perf_counter() < end:
            query = queries[len(waited) % len(queries)]
            started = time.perf_counter()
            with turns:
                self._engine.search(name, query, limit=self._limit, setting=setting)
            waited.append((time.perf_counter() - started) * 1000)
        return waited

    def _timed(
        self, rows: Sequence[int], ask: Callable[[int], tuple[Sequence[int], float | None]]
    ) -> Timed | None:
        ms: list[float] = []
        found: list[list[int]] = []
        own: list[float] = []
        try:
            with _no_collection():
                for row in rows:
                    started = time.perf_counter()
                    ids, engine_ms = ask(row)
                    ms.append((time.perf_counter() - started) * 1000)
                    found.append(list(ids))
                    if engine_ms is not None:
                        own.append(engine_ms)
        except NotOffered:
            return None
        return Timed(ms, found, own if own else None)


class Yardstick:
    """What the machine does by itself: how fast it reads these vectors."""

    def __init__(self, vectors: Path) -> None:
        of = VectorSet(vectors)
        # A copy, for which NumPy asks for large pages: the fastest that these values can be read.
        self._values = np.array(of.rows(of.first)).reshape(-1)

    def read(self) -> float:
        """Milliseconds of reading all vectors once from memory: the limit of any scan over them.

        The fastest of some readings in two ways, a dot product and the largest value.
        """
        waited = []
        for way in (lambda: float(np.dot(self._values, self._values)), self._values.max):
            for _ in range(_READINGS):
                started = time.perf_counter()
                way()
                waited.append((time.perf_counter() - started) * 1000)
        return min(waited)


def _peak_bytes() -> int:
    # Not ru_maxrss, which starts from what the parent had when it made this process.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [kib] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(kib) * 1024


class _Turns:
    """A lock that whoever waits for it gets next.

    Python's own may be taken again and again by the thread that has just let go of it.
    """

    def __init__(self) -> None:
        self._next = threading.Lock()
        self._held = threading.Lock()

    def __enter__(self) -> None:
        with self._next:
            self._held.acquire()

    def __exit__(self, *_: object) -> None:
        self._held.release()


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
