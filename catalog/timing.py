"""Times of the stages of a job or a request, and limits on them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twinlens.catalog.tracing import trace_stage


class StageTimes:
    """Seconds spent in each named stage; stages in different threads overlap."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to stage ``name``, which is a span where one is traced."""
        start = time.perf_counter()
        try:
            with trace_stage(name):
                yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add ``seconds`` to stage ``name``."""
        with self._lock:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def to_seconds(self) -> dict[str, float]:
        """Return seconds by stage, rounded to milliseconds, in order of first use."""
        with self._lock:
            return {name: round(seconds, 3) for name, seconds in self._seconds.items()}

    def to_milliseconds(self) -> dict[str, float]:
        """Milliseconds by stage, as measured, in order of first use."""
        with self._lock:
            return {name: seconds * 1000 for name, seconds in self._seconds.items()}


class OutOfTime(Exception):
    """The searches before this one have used up the time."""


_by_others = threading.local()


def add_work(seconds: float) -> None:
    """Count ``seconds`` that another thread worked for this one."""
    _by_others.seconds = getattr(_by_others, "seconds", 0.0) + seconds


def measure_work() -> float:
    """Return the seconds of a core that this thread has worked so far, and others for it."""
    return time.thread_time() + float(getattr(_by_others, "seconds", 0.0))


class TimeBudget:
    """``seconds`` from now on, in which searches may begin, and ``work_s`` of this thread's work.

    The time alone would let one request work for as long as it may wait. The work is to do for the
    last search, too: none begins that would exceed it if it took as much as the dearest before it.
    """

    def __init__(
        self,
        seconds: float,
        *,
        work_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        work_clock: Callable[[], float] = measure_work,
    ) -> None:
        self._clock, self._ends = clock, clock() + seconds
        self._work_clock, self._began = work_clock, work_clock()
        self._work_ends = self._began + work_s
        self._dearest = 0.0

    def check(self) -> None:
        """Return if another search may begin; to be called before each.

        Raises:
            OutOfTime: there is none left.
        """
        began, self._began = self._began, self._work_clock()
        self._dearest = max(self._dearest, self._began - began)
        if self._clock() > self._ends or self._began + self._dearest > self._work_ends:
            raise OutOfTime
