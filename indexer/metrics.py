"""Metrics of ``twinlens index``, in a file for node_exporter's textfile collector."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from twinlens.catalog.errors import IndexLocked
from twinlens.indexer.job import IndexJob

logger = logging.getLogger(__name__)

_TEXTS: Final = {
    "running": "1 while a run is at work.",
    "succeeded": "1 if the last run that ended has ended well, else 0.",
    "last_success_timestamp_seconds": "When a run last ended well, in seconds since 1970.",
    "videos": "Videos of the published generation, after the last run that ended well.",
    "rows": "Rows of this run so far: new, changed, unchanged, or rejected for a reason.",
    "rows_per_second": "Rows of this run by its seconds.",
    "run_seconds": "Seconds of this run so far.",
    "stage_seconds": "Seconds of this run in each stage; stages overlap.",
}
# What the last run left, and a run that is under way or has failed repeats.
_KEPT: Final = ("succeeded", "last_success_timestamp_seconds", "videos")


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
        self._state = {"running": 1.0, **_read_kept(path)}
        self._job: IndexJob | None = None
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._keep_writing, name="metrics", daemon=True)

    def follow(self, job: IndexJob) -> None:
        """Say from now on how ``job`` goes."""
        self._job = job
        self._writer.start()

    def __enter__(self) -> JobMetrics:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._ended.set()
        if self._job is not None:
            self._writer.join()
        if isinstance(error, IndexLocked):
            return
        self._state |= {"running": 0.0, "succeeded": float(error is None)}
        if error is None and self._job is not None:
            self._state["last_success_timestamp_seconds"] = self._now()
            self._state["videos"] = self._job.sum_up().videos
        self._write()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return what is known now."""
        for name, value in self._state.items():
            yield _gauge(name, {(): value})
        if self._job is None:
            return
        done = self._job.sum_up()
        rows: dict[tuple[str, ...], float] = {
            ("new", ""): done.new,
            ("changed", ""): done.changed,
            ("unchanged", ""): done.unchanged,
        }
        rows |= {("rejected", str(reason)): n for reason, n in dict(done.rejected).items()}
        per_second = sum(rows.values()) / done.seconds if done.seconds else 0.0
        yield _gauge("rows", rows, "outcome", "reason")
        yield _gauge("rows_per_second", {(): per_second})
        yield _gauge("run_seconds", {(): done.seconds})
        stages: dict[tuple[str, ...], float] = {(k,): s for k, s in done.timings_s.items()}
        yield _gauge("stage_seconds", stages, "stage")

    def _keep_writing(self) -> None:
        while True:
            at_work = self._job is not None and self._job.at_work
            if at_work:
                self._write()
            if self._ended.wait(self._every_s if at_work else min(self._every_s, 0.1)):
                return

    def _write(self) -> None:
        registry = CollectorRegistry()
        registry.register(self)
        try:
            write_to_textfile(str(self._path), registry)
        except OSError as error:
            logger.warning("the metrics can't be written: %s", error)


def _gauge(name: str, values: Mapping[tuple[str, ...], float], *labels: str) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"twinlens_index_{name}", _TEXTS[name], labels=labels)
    for of, value in values.items():
        gauge.add_metric(of, value)
    return gauge


def _read_kept(path: Path) -> dict[str, float]:
    """Return the lasting values of the file, none where it is not there or damaged."""
    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
    values = {sample.name: sample.value for family in families for sample in family.samples}
    named = {name: f"twinlens_index_{name}" for name in _KEPT}
    return {name: values[named[name]] for name in _KEPT if named[name] in values}
