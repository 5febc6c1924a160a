"""Metrics at ``/metrics``, and a log line for each request on standard error.

Several processes write their metrics into files of one directory; the process that is asked adds
them up.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from pythonjsonlogger.json import JsonFormatter

from twinlens.backend.access import LogFormat
from twinlens.backend.schemas.base import API_ROOT
from twinlens.catalog.errors import TwinLensError
from twinlens.catalog.tracing import is_tracing, trace_stage
from twinlens.recommender.pages import Feeds
from twinlens.search.published import PublishedIndex

# Machines ask these every few seconds; they are logged only when the answer is an error.
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})

_PEOPLE: Final = f"{API_ROOT}/people/"

_log = logging.getLogger("twinlens.backend.requests")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STAGE_BUCKETS: Final = (
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5,
)  # fmt: skip
_REQUEST_BUCKETS: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30,
)  # fmt: skip


class Metrics:
    """The metrics of this process, and those of all processes as text.

    ``directory`` is where several processes gather theirs; without it this one stands alone.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._registry = own = CollectorRegistry()
        self._requests = Counter(
            "twinlens_requests",
            "Requests answered, by route, method and status.",
            ["route", "method", "status"],
            registry=own,
        )
        self._seconds = Histogram(
            "twinlens_request_seconds",
            "Seconds from a request's arrival at the application to its answer.",
            ["route"],
            buckets=_REQUEST_BUCKETS,
            registry=own,
        )
        self._stages = Histogram(
            "twinlens_stage_seconds",
            "Seconds that a request spent in one stage: encode, search, fuse, serialise, ...",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=own,
        )
        self._in_flight = Gauge(
            "twinlens_requests_in_flight",
            "Requests that the application has begun and not answered.",
            multiprocess_mode="livesum",
            registry=own,
        )
        self.waiting = Gauge(
            "twinlens_requests_waiting",
            "Requests in flight that wait for their turn to search.",
            multiprocess_mode="livesum",
            registry=own,
        )
        self._feeds = Counter(
            "twinlens_feeds",
            "Feeds answered, by the gravest thing that was lacking; none where nothing was.",
            ["lacking"],
            registry=own,
        )
        self._events = Counter(
            "twinlens_events",
            "Events that were sent, by what became of them: accepted, known, not_kept, rejected.",
            ["outcome"],
            registry=own,
        )
        # There from the first scrape on, not only after the first request.
        self._in_flight.set(0)
        self.waiting.set(0)

    def begin(self) -> None:
        """Count a request that has arrived."""
        self._in_flight.inc()

    def end(self) -> None:
        """Count it no longer."""
        self._in_flight.dec()

    def count_feed(self, lacking: str) -> None:
        """Count a feed."""
        self._feeds.labels(lacking).inc()

    def share_feeds(self) -> dict[str, float]:
        """Return the share of all processes' feeds by what was lacking; empty without any."""
        counts = {
            sample.labels["lacking"]: sample.value
            for metric in self._gather().collect()
            for sample in metric.samples
            if sample.name == "twinlens_feeds_total"
        }
        total = sum(counts.values())
        return {lacking: count / total for lacking, count in counts.items()} if total else {}

    def count_events(self, **outcomes: int) -> None:
        """Count events by what became of them."""
        for outcome, several in outcomes.items():
            self._events.labels(outcome).inc(several)

    def observe(self, response: Response, *, seconds: float) -> None:
        """Count the answer to the current request, with the times of its stages."""
        route = name_route()
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(route, method, str(response.status_code)).inc()
        self._seconds.labels(route).observe(seconds)
        for stage, milliseconds in gather_stages_ms().items():
            self._stages.labels(stage).observe(milliseconds / 1000)

    def expose(self, index: PublishedIndex, feeds: Feeds, *, accept: str) -> Response:
        """Return all processes' numbers, in the format that ``accept`` prefers."""
        scraped = self._gather()
        scraped.register(_Generation(index, feeds))
        encode, content_type = choose_encoder(accept)
        return Response(encode(scraped), content_type=content_type)

    def _gather(self) -> CollectorRegistry:
        scraped = CollectorRegistry()
        if self._directory is None:
            scraped.register(_Whole(self._registry))
        else:
            MultiProcessCollector(scraped, path=str(self._directory))  # type: ignore[no-untyped-call]
        return scraped


def forget_process(directory: Path, pid: int) -> None:
    """Stop counting the requests that an ended process had in flight."""
    mark_process_dead(pid, path=str(directory))  # type: ignore[no-untyped-call]


def name_route() -> str:
    """Return the current request's route, its parameters by name; ``none`` where none fits."""
    return request.url_rule.rule if request.url_rule is not None else "none"


def add_stages(timings_ms: Mapping[str, float]) -> None:
    """Record the times of stages of the current request; a stage named twice is added up."""
    stages = gather_stages_ms()
    for stage, milliseconds in timings_ms.items():
        stages[stage] = stages.get(stage, 0.0) + milliseconds


@contextmanager
def time_stage(stage: str) -> Iterator[None]:
    """Record how long the ``with`` block takes, as a stage of the current request."""
    started = time.perf_counter()
    try:
        with trace_stage(stage):
            yield
    finally:
        add_stages({stage: (time.perf_counter() - started) * 1000})


def gather_stages_ms() -> dict[str, float]:
    """Return the milliseconds that each stage of the current request has taken so far."""
    stages: dict[str, float] = g.setdefault("stages_ms", {})
    return stages


class _Whole(Collector):
    """Another registry's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()


class _Generation(Collector):
    """The published generation and model, as seen by the process that is asked."""

    def __init__(self, index: PublishedIndex, feeds: Feeds) -> None:
        self._index = index
        self._feeds = feeds

    def collect(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily(
            "twinlens_ready", "1 where an index is open and its engine answers, else 0."
        )
        try:
            self._index.check()
            with self._index.borrow() as snapshot:
                manifest = snapshot.manifest
                model, _ = self._feeds.find_model(snapshot)
        except TwinLensError:
            ready.add_metric([], 0)
            yield ready
            return
        ready.add_metric([], 1)
        yield ready
        info = GaugeMetricFamily(
            "twinlens_generation_info",
            "1, with the name and the engine of the generation being served.",
            labels=["generation", "engine"],
        )
        info.add_metric([manifest.generation, manifest.engine], 1)
        yield info
        yield GaugeMetricFamily(
            "twinlens_generation_created_timestamp_seconds",
            "When the generation being served was made, in seconds since 1970.",
            value=datetime.fromisoformat(manifest.created_at).timestamp(),
        )
        yield GaugeMetricFamily(
            "twinlens_model_trained_timestamp_seconds",
            "When the model that takes part was trained, in seconds since 1970; 0 without one.",
            value=0 if model is None else model.trained_at.timestamp(),
        )
        counts = GaugeMetricFamily(
            "twinlens_generation_videos",
            "Videos of the generation being served: all, and those with each vector.",
            labels=["having"],
        )
        for having, count in manifest.counts.items():
            counts.add_metric([having], count)
        yield counts


def configure_logs(log_format: LogFormat) -> None:
    """Write all that is logged to standard error in ``log_format``, each request among it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            ["levelname", "name", "process", "message"],
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
        )
        if log_format == "json"
        else logging.Formatter("%(levelname)s %(name)s: %(message)s")
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    _log.setLevel(logging.INFO)
    # waitress warns of each request that finds no free thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def trace_requests(app: Flask) -> None:
    """Make a span of each request, within its caller's trace, if this process sends spans."""
    if is_tracing():
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        # A span has the path, and the path of a route about a person who that is.
        left_out = ",".join([*(f"{path}$" for path in _PROBES), _PEOPLE])
        FlaskInstrumentor().instrument_app(app, excluded_urls=left_out)  # type: ignore[no-untyped-call]


def log_request(response: Response, *, seconds: float, query: bool) -> None:
    """Log the current request in one line; the searched text is in it only with ``query``.

    Of a path that may name a person it has the route alone.
    """
    route = name_route()
    path = request.path
    if path.startswith(_PEOPLE):
        path = route if route != "none" else f"{_PEOPLE}…"
    if not _log.isEnabledFor(logging.INFO) or (route in _PROBES and response.status_code < 400):
        return
    milliseconds = round(seconds * 1000, 3)
    fields: dict[str, Any] = {
        "request_id": g.request_id,
        "client": request.remote_addr,
        "method": request.method,
        "route": route,
        "path": path,
        "status": response.status_code,
        "bytes": response.content_length,
        "took_ms": milliseconds,
        "stages_ms": {stage: round(spent, 3) for stage, spent in gather_stages_ms().items()},
    }
    if response.status_code >= 400 and "problem_code" in g:
        fields["code"] = g.problem_code
    if query and g.get("query_text") is not None:
        fields["query"] = g.query_text
    _log.info(
        "%s %s %d in %.1f ms",
        request.method,
        path.encode("unicode_escape").decode("ascii"),
        response.status_code,
        milliseconds,
        extra=fields,
    )
