"""gunicorn around the application: checked before the first fork, opened after it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from PIL import Image

from backend.app import create_app
from backend.index import PublishedIndex, check_encoders
from backend.search import SearchRequest
from catalog.errors import TwinLensError, UsageError
from catalog.video import VectorName
from encoders.base import ThumbnailEncoder, TitleEncoder
from encoders.queries import QueryEncoder
from stores.base import VectorReader
from stores.generations import DataDir, Manifest

if TYPE_CHECKING:
    from flask import Flask

# The longest that gunicorn allows; longer searches are sent by POST.
MAX_REQUEST_LINE: Final = 8190
GRACEFUL_TIMEOUT_S: Final = 30
# A worker whose threads are all inside the engine, which holds the GIL, still gives its heartbeat.
WORKER_TIMEOUT_S: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What to serve, with what, and how. The loaders are called in each worker, after the fork."""

    data: DataDir
    open_reader: Callable[[Manifest], VectorReader]
    load_title_encoder: Callable[[], TitleEncoder]
    load_thumbnail_encoder: Callable[[], ThumbnailEncoder]
    host: str
    port: int
    workers: int
    request_threads: int
    query_cache: int


def serve(serving: Serving) -> None:
    """Answer requests until SIGTERM or SIGINT; those under way are finished first.

    Raises:
        NoGeneration: nothing has been published.
        EncodersChanged: the encoders are not those of the published generation.
        UsageError: the address can't be listened on.
        TwinLensError: a worker could not start; it has said why on standard error.
    """
    check_encoders(
        serving.data.published(),
        {
            VectorName.TITLE: serving.load_title_encoder(),
            VectorName.THUMBNAIL: serving.load_thumbnail_encoder(),
        },
    )
    master = os.getpid()
    listening = _listener(serving.host, serving.port)
    try:
        _Gunicorn(serving, listening).run()
    except SystemExit as ended:
        # A worker leaves by the same way; only the master has something to say about it.
        if os.getpid() == master and ended.code == Arbiter.WORKER_BOOT_ERROR:
            raise TwinLensError("the server could not start; the lines above say why") from None
        raise


class _Gunicorn(BaseApplication):  # type: ignore[misc] # untyped
    def __init__(self, serving: Serving, listening: socket.socket) -> None:
        self._serving = serving
        host, port = listening.getsockname()[:2]
        self._address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._fd = listening.detach()  # gunicorn's own from here on: it closes it
        super().__init__()

    def load_config(self) -> None:
        for name, value in {
            "bind": f"fd://{self._fd}",
            "workers": self._serving.workers,
            "worker_class": "gthread",
            "threads": self._serving.request_threads,
            "timeout": WORKER_TIMEOUT_S,
            "graceful_timeout": GRACEFUL_TIMEOUT_S,
            "limit_request_line": MAX_REQUEST_LINE,
            "control_socket_disable": True,
            "loglevel": "warning",
            "post_worker_init": self._ready,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        try:
            return _warm_app(self._serving)
        except TwinLensError as error:
            click.echo(f"twinlens: {error}", err=True)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _ready(self, worker: Any) -> None:
        if worker.age != 1:
            return
        counts = self._serving.data.published().counts
        click.echo(f"TwinLens serves {counts['videos']:,} videos at {self._address}")


def _warm_app(serving: Serving) -> Flask:
    """The application with its models loaded and its index open, so that no request waits."""
    title_encoder = QueryEncoder(serving.load_title_encoder(), cache_size=serving.query_cache)
    thumbnail_encoder = serving.load_thumbnail_encoder()
    thumbnail_encoder.encode([Image.new("RGB", thumbnail_encoder.input_size, "grey")])
    index = PublishedIndex(
        serving.data,
        open_reader=serving.open_reader,
        title_encoder=title_encoder,
        thumbnail_encoder=thumbnail_encoder,
    )
    with index.borrow() as snapshot:
        snapshot.searcher.search(SearchRequest(text="warm"))
    return create_app(index, thumbnails=serving.data.thumbnails)


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise UsageError(
            f"can't listen on {host}:{port}: {reason}; name another with --host or --port"
        ) from error
