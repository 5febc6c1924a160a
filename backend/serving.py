"""Start the processes that serve the application: check before the first fork, open after."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import socket
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from twinlens.backend.access import LogFormat, Policy
from twinlens.backend.mounting import choose_prefix
from twinlens.backend.processes import Processes, Worker
from twinlens.catalog.errors import StoreError, TwinLensError, UnencodableItems, UsageError
from twinlens.catalog.fields import Fields
from twinlens.catalog.files import ScratchFolder
from twinlens.catalog.tracing import end_tracing, set_up_tracing
from twinlens.encoders.lens import Lenses, Query
from twinlens.events.log import EventLog
from twinlens.recommender.feed import FeedOptions
from twinlens.recommender.models import ModelDirectory
from twinlens.recommender.pages import Feeds
from twinlens.recommender.popularity import Popularity
from twinlens.recommender.published_model import PublishedModel
from twinlens.search.published import OpenLenses, PublishedIndex, check_lenses
from twinlens.search.queries import gather_queries
from twinlens.search.request import SearchRequest
from twinlens.search.rules import Guidance, RulesFile
from twinlens.search.steering import Boost
from twinlens.stores.base import VectorReader
from twinlens.stores.generations import DataDir, Manifest

if TYPE_CHECKING:
    from flask import Flask

_log = logging.getLogger(__name__)

# Pillow takes blocks of 16 MiB.
MAPPED_BYTES: Final = 8 * 1024 * 1024
_M_MMAP_THRESHOLD: Final = -3  # of malloc.h
_LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """All that serving needs. Workers load the lenses that they open after the fork."""

    data: DataDir
    open_reader: Callable[[Manifest], VectorReader]
    open_lenses: OpenLenses
    open_events: Callable[[], EventLog]
    feed: FeedOptions
    host: str
    port: int
    workers: int
    receive_timeout_s: float
    query_cache: int
    log_format: LogFormat
    policy: Policy
    rules: RulesFile
    boosts: Sequence[Boost]


def serve(serving: Serving) -> None:
    """Answer requests until SIGTERM or SIGINT; those under way are finished first.

    Where nothing has been published yet, or it can't be opened, it says that it is not ready until
    something can.

    Raises:
        LensesChanged: the lenses are not those of the published generation.
        UsageError: the address can't be listened on, or the index has no field of a boost.
        RulesInvalid: the file of rules can't be used.
        TwinLensError: no process could start; each has said why on standard error.
    """
    with suppress(StoreError):  # which somebody may mend, or a job
        published = serving.data.read_published()
        check_lenses(published, serving.open_lenses(published, published.lenses))
        _check_boosts(serving.boosts, published.fields)
    # Those that are in force now stay so in a process that starts while the file is damaged.
    serving.rules.load()
    listener = _listen(serving.host, serving.port)
    # Shared by the processes: their metrics, and how often callers have asked.
    with ScratchFolder("twinlens-serve-") as name:
        shared = Path(name)
        # Set before prometheus_client is first imported, or its numbers stay in one process.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
        from twinlens.backend.observing import configure_logs, forget_process

        configure_logs(serving.log_format)
        host, port = listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

        def say_where() -> None:
            try:
                videos = serving.data.read_published().counts["videos"]
            except StoreError:
                click.echo(f"TwinLens has no index to serve yet, and listens at {address}")
            else:
                click.echo(f"TwinLens serves {videos:,} videos at {address}")

        Processes(
            serving.workers,
            partial(_work, serving, shared),
            listener=listener,
            on_ready=say_where,
            on_end=partial(forget_process, shared),
        ).run()


def _work(serving: Serving, shared: Path, worker: Worker) -> None:
    """Answer requests in a process of its own, until it is told to end."""
    from twinlens.backend.server import answer_requests

    try:
        events = serving.open_events()
        popularity = Popularity(events)
        model = PublishedModel(ModelDirectory(serving.data.path))
        feeds = Feeds(log=events, popularity=popularity, open_model=model, options=serving.feed)
        index, app = _warm_app(serving, shared, events, feeds)
    except TwinLensError as error:
        click.echo(f"twinlens: {error}", err=True)
        return
    popularity.follow()
    model.follow(index)
    try:
        _leave_to_others(index, worker)
        answer_requests(
            app,
            worker,
            searches_at_a_time=serving.policy.searches_at_a_time,
            receive_timeout_s=serving.receive_timeout_s,
            max_body_bytes=serving.policy.max_body_bytes,
            find_prefix=partial(
                choose_prefix,
                serving.policy.path_prefix,
                trusted=bool(serving.policy.trusted_proxies),
            ),
        )
    finally:
        index.close()
        popularity.close()
        model.close()
        events.close()
        end_tracing()


def _warm_app(
    serving: Serving, shared: Path, events: EventLog, feeds: Feeds
) -> tuple[PublishedIndex, Flask]:
    """Return the open index and the application, models loaded, so that no request waits."""
    from twinlens.backend.app import create_app

    set_up_tracing()
    _give_memory_back()
    # Pillow warns of every oddity in a caller's picture, each time in other words.
    warnings.filterwarnings("ignore", module="PIL")
    index = PublishedIndex(
        serving.data, open_reader=serving.open_reader, open_lenses=partial(_load_lenses, serving)
    )
    try:
        with index.borrow() as snapshot:
            snapshot.searcher.search(SearchRequest(text="warm"))
    except StoreError as error:
        # /readyz says so too, until it is mended.
        _log.error("not ready yet: %s", error)
    index.follow()
    app = create_app(
        index,
        thumbnails=serving.data.thumbnails,
        policy=serving.policy,
        shared=shared,
        events=events,
        feeds=feeds,
        guidance=Guidance(serving.rules, serving.boosts),
    )
    # What stays is not looked through again and again for what may go.
    gc.freeze()
    return index, app


def _check_boosts(boosts: Sequence[Boost], fields: Fields) -> None:
    for number, boost in enumerate(boosts, start=1):
        if (fault := boost.find_fault(fields)) is not None:
            raise UsageError(f"twinlens.toml: boost {number} {fault[0]}: {fault[1]}")


def _leave_to_others(index: PublishedIndex, worker: Worker) -> None:
    """Return once an index is open here, or no other process answers; it may have one open."""
    while not index.is_open and worker.board.serves_elsewhere(worker.number):
        worker.board.begin(worker.number)  # it is not stuck
        time.sleep(_LOOK_EVERY_S)


def _load_lenses(serving: Serving, manifest: Manifest, names: Collection[str]) -> Lenses:
    """Return those of the lenses that made a generation, with their models loaded."""
    lenses = serving.open_lenses(manifest, names)
    made_by = {name: manifest.lenses[name] for name in names}
    check_lenses(replace(manifest, lenses=made_by), lenses)  # before anything is loaded
    lenses = gather_queries(lenses, cache_size=serving.query_cache)
    for lens in lenses.values():
        lens.warm()
        with suppress(UnencodableItems):
            lens.ask(Query(text="warm"))
    return lenses


def _give_memory_back() -> None:
    """Have glibc return what large pictures took, rather than keep it for each thread.

    It maps large blocks apart, and unmaps them when they are freed, but only until it has seen some
    freed: from then on it keeps blocks of that size, in an arena per thread. A fixed limit stops
    that: eight pictures of 40 million pixels left 2.2 GB behind, and leave nothing.
    """
    with suppress(OSError, AttributeError):  # another C library has another way
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise UsageError(
            f"can't listen on {host}:{port}: {reason}; name another with --host or --port"
        ) from error
