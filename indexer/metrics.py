"""Metrics of ``twinlens index``, in a file for node_exporter's textfile collector."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from twinlens.catalog.errors import IndexLocked
from twinlens.indexer.job import IndexJob

logger = logging.getLogger(__name__)

_SUCCEEDED: Final = "twinlens_index_succeeded"
_LAST_SUCCESS: Final = "twinlens_index_last_success_timestamp_seconds"
_VIDEOS: Final = "twinlens_index_videos"
# What the last run left, and a run that is under way or has failed repeats.
_KEPT: Final = {
    _SUCCEEDED: "1 if the last run that ended has ended well, else 0.",
    _LAST_SUCCESS: "When a run last ended well, in seconds since 1970.",
    _VIDEOS: "Videos of the published generation, after the last run that ended well.",
}


class JobMetrics(Collector):
    """Says in the file ``path`` how the run inside the ``with`` block goes, and how it ended.

    It is written every ``every_s`` seconds from `follow` on while the job is at work, and when the
    block is left: by an exception, the run has failed. A run that is refused because another one
    is at work writes nothing. Each time the whole file is replaced. What can't be written is
    logged, and the job goes on.
    """

    def __init__(
        self, path: Path, *, every_s: float = 15.0, now: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._every_s = every_s
        self._now = now
        self._kept = _read_kept(path)
        self._job: IndexJob | None = None
        self._running = True
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._keep_writing, name="metrics", daemon=True)

    def follow(self, job: IndexJob) -> None:
        """Say from now on how ``job`` goes."""
        self._job = job
        self._writer.start()

    def __enter__(self) -> JobMetrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._job is not None:
            self._writer.join()
        if isinstance(error, IndexLocked):
            return
        self._running = False
        self._kept[_SUCCEEDED] = float(error is None)
        if error is None and self._job is not None:
            self._kept[_LAST_SUCCESS] = self._now()
            self._kept[_VIDEOS] = self._job.sum_up().videos
        self._write()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return what is known now."""
        yield _gauge("twinlens_index_running", "1 while a run is at work.", self._running)
        for name, value in self._kept.items():
            yield _gauge(name, _KEPT[name], value)
        if self._job is None:
            return
        done = self._job.sum_up()
        outcomes = {
            ("new", ""): done.new,
            ("changed", ""): done.changed,
            ("unchanged", ""): done.unchanged,
            **{("rejected", str(reason)): n for reason, n in dict(done.rejected).items()},
        }
        rows = GaugeMetricFamily(
            "twinlens_index_rows",
            "Rows of this run so far: new, changed, unchanged, or rejected for a reason.",
            labels=["outcome", "reason"],
        )
        for labels, count in outcomes.items():
            rows.add_metric(labels, count)
        yield rows
        yield _gauge(
            "twinlens_index_rows_per_second",
            "Rows of this run by its seconds.",
            sum(outcomes.values()) / done.seconds if done.seconds else 0.0,
        )
        yield _gauge("twinlens_index_run_seconds", "Seconds of this run so far.", done.seconds)
        stages = GaugeMetricFamily(
            "twinlens_index_stage_seconds",
            "Seconds of this run in each stage; stages overlap.",
            labels=["stage"],
        )
        for stage, seconds in done.timings_s.items():
            stages.add_metric([stage], seconds)
        yield stages

    def _keep_writing(self) -> None:
        while not self._ended.wait(self._every_s):
            if self._job is not None and self._job.at_work:
                self._write()

    def _write(self) -> None:
        registry = CollectorRegistry()
        registry.register(self)
        try:
            write_to_textfile(str(self._path), registry)
        except OSError as error:
            logger.warning("the metrics can't be written: %s", error)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _read_kept(path: Path) -> dict[str, float]:
    """Return the lasting values of the file, none where it is not there or damaged."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = dict(re.findall(r"^(\w+) (\d[\d.]*(?:e[+]?\d+)?)$", text, re.MULTILINE))
    return {name: float(lines[name]) for name in _KEPT if name in lines}
