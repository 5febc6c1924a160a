"""gunicorn around the application: checked before the first fork, opened after it."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from twinlens.backend.policy import LogFormat, Policy
from twinlens.catalog.errors import TwinLensError, UsageError
from twinlens.encoders.lens import Lenses
from twinlens.search.published import PublishedIndex, check_lenses
from twinlens.search.queries import gather_queries
from twinlens.search.request import SearchRequest
from twinlens.stores.base import VectorReader
from twinlens.stores.generations import DataDir, Manifest

if TYPE_CHECKING:
    from flask import Flask

# The longest that gunicorn allows; longer searches are sent by POST.
MAX_REQUEST_LINE: Final = 8190
GRACEFUL_TIMEOUT_S: Final = 30
# Pillow takes blocks of 16 MiB.
MAPPED_BYTES: Final = 8 * 1024 * 1024
_M_MMAP_THRESHOLD: Final = -3  # of malloc.h
# A worker whose threads are all inside the engine, which holds the GIL, still gives its heartbeat.
WORKER_TIMEOUT_S: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What to serve, with what, and how. Workers call ``open_lenses`` after the fork."""

    data: DataDir
    open_reader: Callable[[Manifest], VectorReader]
    open_lenses: Callable[[], Lenses]
    host: str
    port: int
    workers: int
    receive_timeout_s: float
    query_cache: int
    log_format: LogFormat
    policy: Policy


def serve(serving: Serving) -> None:
    """Answer requests until SIGTERM or SIGINT; those under way are finished first.

    Raises:
        NoGeneration: nothing has been published.
        EncodersChanged: the encoders are not those of the published generation.
        UsageError: the address can't be listened on.
        TwinLensError: a worker could not start; it has said why on standard error.
    """
    check_lenses(serving.data.published(), serving.open_lenses())
    master = os.getpid()
    listening = _listener(serving.host, serving.port)
    # What the processes put together: their numbers, and how often callers have asked.
    shared = Path(tempfile.mkdtemp(prefix="twinlens-serve-"))
    try:
        # Set before prometheus_client is first imported, or its numbers stay in one process.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
        from twinlens.backend.logs import configure_logs

        configure_logs(serving.log_format)
        _Gunicorn(serving, listening, shared).run()
    except SystemExit as ended:
        # A worker leaves by the same way; only the master has something to say about it.
        if os.getpid() == master and ended.code == Arbiter.WORKER_BOOT_ERROR:
            raise TwinLensError("the server could not start; the lines above say why") from None
        raise
    finally:
        if os.getpid() == master:
            shutil.rmtree(shared, ignore_errors=True)


class _Gunicorn(BaseApplication):  # type: ignore[misc] # untyped
    """gunicorn, set up; its worker reads ``receive_timeout_s`` and ``connection_counts``."""

    def __init__(self, serving: Serving, listening: socket.socket, shared: Path) -> None:
        from twinlens.backend.worker import ConnectionCounts

        self._serving = serving
        self._shared = shared
        self.receive_timeout_s = serving.receive_timeout_s
        self.connection_counts = ConnectionCounts()
        host, port = listening.getsockname()[:2]
        self._address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._fd = listening.detach()  # gunicorn's own from here on: it closes it
        super().__init__()

    def load_config(self) -> None:
        from twinlens.backend.logs import GunicornLogger
        from twinlens.backend.worker import SPARE_THREADS, PatientWorker

        for name, value in {
            "bind": f"fd://{self._fd}",
            "workers": self._serving.workers,
            "worker_class": PatientWorker,
            "threads": self._serving.policy.searches_at_a_time + SPARE_THREADS,
            "sendfile": False,  # it would wait for the caller beyond the worker's bounds
            "timeout": WORKER_TIMEOUT_S,
            "graceful_timeout": GRACEFUL_TIMEOUT_S,
            "limit_request_line": MAX_REQUEST_LINE,
            # No peer is believed here: whom the operator trusts, the application knows.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "control_socket_disable": True,
            "loglevel": "warning",
            "logger_class": GunicornLogger,
            "post_worker_init": self._ready,
            "child_exit": self._ended,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        try:
            return _warm_app(self._serving, self._shared)
        except TwinLensError as error:
            click.echo(f"twinlens: {error}", err=True)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _ready(self, worker: Any) -> None:
        if worker.age != 1:
            return
        counts = self._serving.data.published().counts
        click.echo(f"TwinLens serves {counts['videos']:,} videos at {self._address}")

    def _ended(self, _: Arbiter, worker: Any) -> None:
        from twinlens.backend.metrics import forget_process

        forget_process(self._shared, worker.pid)
        self.connection_counts.forget(worker.age)


def _warm_app(serving: Serving, shared: Path) -> Flask:
    """The application with its models loaded and its index open, so that no request waits."""
    from twinlens.backend.app import create_app

    _give_memory_back()
    # Of whatever is odd in a caller's picture Pillow warns, in other words each time.
    warnings.filterwarnings("ignore", module="PIL")
    lenses = gather_queries(serving.open_lenses(), cache_size=serving.query_cache)
    for lens in lenses.values():
        lens.warm()
    index = PublishedIndex(serving.data, open_reader=serving.open_reader, lenses=lenses)
    with index.borrow() as snapshot:
        snapshot.searcher.search(SearchRequest(text="warm"))
    return create_app(
        index,
        thumbnails=serving.data.thumbnails,
        policy=serving.policy,
        shared=shared,
    )


def _give_memory_back() -> None:
    """Have glibc return what large pictures took, rather than keep it for each thread.

    It maps large blocks apart, and unmaps them when they are freed, but only until it has seen some
    freed: from then on it keeps blocks of that size, in an arena per thread. A fixed limit stops
    that: eight pictures of 40 million pixels left 2.2 GB behind, and leave nothing.
    """
    with suppress(OSError, AttributeError):  # another C library has another way
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise UsageError(
            f"can't listen on {host}:{port}: {reason}; name another with --host or --port"
        ) from error
