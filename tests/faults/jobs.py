"""``twinlens index`` as a process: run to its end, or killed on the way."""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.faults.places import Place
from tests.faults.warm import Command

# The share of the kills that falls before a job is at work.
LOADING = 0.1


@dataclass(frozen=True)
class Struck:
    """A job that was to be killed: when, and which process; ``ended`` before that it may have."""

    seconds: float
    who: str
    at_work: bool
    ended: bool


class Jobs:
    """Jobs over one source; how long they took says where to strike the next."""

    def __init__(self, place: Place, source: str, folder: Path) -> None:
        self._place, self._source = place, source
        self._summary, self._said = folder / "summary.json", folder / "said.txt"
        self._lock = place.data.path / "index.lock"
        # Of the last jobs: seconds until they were at work, and at work.
        self._loading: deque[float] = deque(maxlen=5)
        self._working: deque[float] = deque(maxlen=5)

    def run(self) -> dict[str, Any]:
        """The summary of a job that runs to its end."""
        began, before = time.monotonic(), self._read_lock()
        job = self._start("--json", str(self._summary))
        self._wait(job, lambda: self._is_at_work(before))
        locked = time.monotonic()
        code, said = job.wait()
        assert code == 0, said
        ended = time.monotonic()
        sys.stderr.write(said)  # pytest shows it where the test fails
        summary: dict[str, Any] = json.loads(self._summary.read_text())
        if summary["published"] and not summary["continued"]:
            self._loading.append(locked - began)
            self._working.append(ended - locked)
        return summary

    def strike(self, at: float, *, child: bool) -> Struck:
        """Kill a job once this part of its time has passed, from 0 to 1.

        If it does its work in a child process, either is killed: the one that was started, or the
        ``child``, whose parent has to say so and end with 1.
        """
        before = self._read_lock()
        job, began = self._start(), time.monotonic()
        if at < LOADING:
            self._sleep(job, statistics.median(self._loading) * at / LOADING)
        else:
            self._wait(job, lambda: self._is_at_work(before))
            self._sleep(job, statistics.median(self._working) * (at - LOADING) / (1 - LOADING))
        seconds, at_work = time.monotonic() - began, self._is_at_work(before)
        holder, family = self._read_lock(), []
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(job.pid).children(recursive=True)
        child = child and at_work and holder != str(job.pid)
        if child:
            with suppress(ProcessLookupError):
                os.kill(int(holder), signal.SIGKILL)
        else:
            job.kill()
        code, said = job.wait()
        # What it started ends with it, soon.
        _, left = psutil.wait_procs(family, timeout=5 * 2)
        assert left == []
        if code != 0:
            assert code == (1 if child else -signal.SIGKILL), said
            assert "Traceback" not in said
            assert "kill" in said or not child
        return Struck(seconds, "child" if child else "job", at_work, ended=code == 0)

    def _is_at_work(self, before: str) -> bool:
        """Whether a job has taken the lock since it was read."""
        return self._read_lock() not in ("", before)

    def _start(self, *options: str) -> Command:
        given = ("index", self._source, "--data-dir", self._place.data.path, "--prune", *options)
        return Command(*given, said=self._said, **self._place.settings)

    def _read_lock(self) -> str:
        """Which process is at work, or was the last to be."""
        return self._lock.read_text() if self._lock.exists() else ""

    def _wait(self, job: Command, holds: Callable[[], bool]) -> None:
        while job.is_running and not holds():
            time.sleep(0.001)

    def _sleep(self, job: Command, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and job.is_running:
            time.sleep(min(left, 0.01))
