"""Serve the application by waitress, with time limits on slow callers.

waitress buffers a whole request before a thread handles it, and a whole answer after, so a slow
caller holds a connection but no thread. It does not limit how long a request may take to arrive;
`_Watch` adds that from outside. Beyond waitress's documented arguments this module
uses plain attributes, none with an underscore:

- of the server ``active_channels``, ``accepting``, ``handle_accept``, ``pull_trigger``,
  ``channel_class`` and ``task_dispatcher`` with its ``add_task``;
- of a channel ``server``, ``requests``, ``request``, ``total_outbufs_len``, ``last_activity``,
  ``will_close``, ``write_soon``, ``service``, ``handle_close``, ``creation_time``, ``socket``,
  ``error_task_class``, ``parser_class``;
- of a parser ``received``, ``parse_header``, ``chunked``, ``content_length``, ``expect_continue``,
  ``header_plus``, ``headers``, ``headers_finished``, ``completed``, ``version``, ``error``,
  ``body_rcv`` and ``body_bytes_received``;
- of the task that refuses ``wrote_header``, ``close_on_finish``, ``request`` and ``channel``.
"""

from __future__ import annotations

import logging
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.task import ErrorTask
from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

from twinlens.backend.access import MOST_WAITING, choose_request_id
from twinlens.backend.problems import write_refusal
from twinlens.backend.processes import GRACEFUL_TIMEOUT_S, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIApplication

# Threads beyond those that search and those that wait for their turn: they answer everything else,
# such as /healthz, and refuse who would be one too many.
SPARE_THREADS: Final = 8
MOST_CONNECTIONS: Final = 1000
# The head of a request must be whole within this; a silent connection is kept this long, too.
HEAD_TIMEOUT_S: Final = 10.0
# How long a caller may take nothing of its answer.
SEND_TIMEOUT_S: Final = 30.0
# Of a head as a whole. The application refuses shorter ones whose parts are too long.
MAX_HEAD_BYTES: Final = 64 * 1024
# waitress takes microseconds for each chunk, and reads an endless line anew with each piece of it:
# so much may stand around chunks, and one byte more for each so many of the body.
_AROUND_CHUNKS_BYTES: Final = 64 * 1024
_LEAST_IN_A_CHUNK: Final = 32
# How long one that came as the server was told to end has for its request.
_FIRST_WORD_S: Final = 0.5
# How many silent connections are closed at a time when there is no room for more.
_GIVE_WAY: Final = 32
# Codings that exist, and that no length can be told from unless chunked comes after them.
_CODED_WITHOUT_CHUNKS: Final = re.compile(
    rb"^transfer-encoding:[ \t]*(gzip|compress|deflate|identity)[ \t]*\r?$", re.I | re.M
)

# A name or an address, and perhaps a port.
_HOST: Final = re.compile(r"[^\s,/?#@]*(:\d{0,5})?")

_log = logging.getLogger(__name__)


def answer_requests(
    app: WSGIApplication,
    worker: Worker,
    *,
    searches_at_a_time: int,
    receive_timeout_s: float,
    max_body_bytes: int,
    find_prefix: Callable[[str | None], str],
) -> None:
    """Answer the requests on the listener of ``worker`` until SIGTERM or SIGINT.

    ``find_prefix`` tells from `X-Forwarded-Prefix` what callers put before paths.

    Requests under way then have 30 seconds to finish.
    """
    connections: dict[int, Any] = {}
    server = create_server(
        app,
        map=connections,
        sockets=[worker.listener],
        threads=1,  # `_Threads` take its place
        backlog=2048,
        connection_limit=MOST_CONNECTIONS + 2,  # it counts the listener and its own wake-up, too
        max_request_header_size=MAX_HEAD_BYTES,
        # Somewhat larger bodies are read to their end, so that their senders hear why not.
        max_request_body_size=2 * max_body_bytes,
        channel_timeout=24 * 3600,  # `_Watch` is sooner
        asyncore_use_poll=True,
        log_socket_errors=False,
        # No proxy is trusted here: the application decides which ones are.
        clear_untrusted_proxy_headers=False,
        ident=None,
    )
    server.channel_class = _Channel
    server.find_prefix = find_prefix
    server.task_dispatcher = _Threads(searches_at_a_time + MOST_WAITING + SPARE_THREADS)
    watch = _Watch(server, receive_timeout_s)
    worker.listener.count = lambda: len(server.active_channels)
    worker.listener.make_room = watch.make_room
    stopping = threading.Event()

    def stop(*_: object) -> None:
        stopping.set()
        server.pull_trigger()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    worker.board.tell(worker.number, 0)
    worker.say_ready()
    while not stopping.is_set():
        held = len(server.active_channels)
        wasyncore.loop(timeout=1, use_poll=True, map=connections, count=1)
        # A turn of the loop polls every connection but accepts one; if it accepted one, there may
        # be more.
        while held < len(server.active_channels) < MOST_CONNECTIONS:
            held = len(server.active_channels)
            worker.board.tell(worker.number, held)
            server.handle_accept()
        worker.board.tell(worker.number, len(server.active_channels))
        watch.look()
    server.accepting = False
    _take_the_rest(server, worker)
    deadline = time.monotonic() + GRACEFUL_TIMEOUT_S
    while server.active_channels and time.monotonic() < deadline:
        # What has come is read before anyone is taken to be silent.
        wasyncore.loop(timeout=0.1, use_poll=True, map=connections, count=1)
        for channel in server.active_channels.values():
            is_new = time.time() < channel.creation_time + _FIRST_WORD_S
            channel.will_close = channel.will_close or (_is_idle(channel) and not is_new)
        watch.look()


def _take_the_rest(server: Any, worker: Worker) -> None:
    """Take the connections that wait on the listener, then close it: it would reset them."""
    worker.board.forget(worker.number)
    worker.listener.count = lambda: -1  # no other holds fewer, so none is left to others
    held = -1
    while held < len(server.active_channels) < MOST_CONNECTIONS:
        held = len(server.active_channels)
        server.handle_accept()
    worker.listener.close()


def _is_idle(channel: HTTPChannel) -> bool:
    """Return whether nothing is under way: no request, not even part of one, and no answer."""
    return not channel.requests and channel.request is None and not channel.total_outbufs_len


class _Watch:
    """Once a second, closes connections that are too slow.

    The head of a request must be whole in `HEAD_TIMEOUT_S`, its body in ``receive_timeout_s``. A
    caller that reads nothing of its answer for `SEND_TIMEOUT_S`, or sends nothing for
    `HEAD_TIMEOUT_S`, is disconnected.
    """

    def __init__(self, server: Any, receive_timeout_s: float) -> None:
        self._server = server
        self._receive_timeout_s = receive_timeout_s
        # The requests that are coming, with whether their head is whole, and since when.
        self._coming: dict[tuple[HTTPChannel, Any, bool], float] = {}
        self._idle: set[HTTPChannel] = set()
        self._looked_at = 0.0

    def look(self) -> None:
        """Look, if it is a second since the last time; make room where there is none."""
        if len(self._server.active_channels) >= MOST_CONNECTIONS:
            self.make_room()
        now = time.time()
        if 0 <= now - self._looked_at < 1:
            return
        self._looked_at = now
        before, self._coming = self._coming, {}
        idle_before, self._idle = self._idle, set()
        for channel in self._server.active_channels.values():
            silent_s = now - channel.last_activity
            if channel.total_outbufs_len:
                channel.will_close = channel.will_close or silent_s > SEND_TIMEOUT_S
            elif channel.request is not None and not channel.requests:
                coming = (channel, channel.request, channel.request.headers_finished)
                self._coming[coming] = since = before.get(coming, now)
                limit_s = self._receive_timeout_s if coming[2] else HEAD_TIMEOUT_S
                if now - since > limit_s and not channel.will_close:
                    channel.will_close = True
                    with suppress(OSError):
                        channel.socket.send(
                            _write_refusal(HTTPStatus.REQUEST_TIMEOUT, channel, channel.request)
                        )
            elif _is_idle(channel):
                self._idle.add(channel)
                # Of one that was not idle a look ago, what has come may be unread for want of time.
                channel.will_close |= silent_s > HEAD_TIMEOUT_S and channel in idle_before

    def make_room(self) -> None:
        """Close the longest silent connections among those that await no answer."""
        channels = self._server.active_channels.values()
        silent = [one for one in channels if not one.requests and not one.will_close]
        for channel in sorted(silent, key=lambda one: one.last_activity)[:_GIVE_WAY]:
            channel.will_close = True


class _Threads:
    """At most so many threads, each started when no other is free.

    waitress starts all of its own at once and takes the one that has been idle longest. A few that
    are warm answer sooner than 144 that take turns.
    """

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most)

    def add_task(self, channel: HTTPChannel) -> None:
        """Answer the next request of ``channel``."""
        self._pool.submit(self._answer, channel)

    @staticmethod
    def _answer(channel: HTTPChannel) -> None:
        try:
            channel.service()
        except Exception:  # noqa: BLE001 - the pool would keep it to itself
            _log.exception("a connection failed")


class _ProblemTask(ErrorTask):  # type: ignore[misc] # untyped
    """Answers requests that waitress itself refuses, with a problem document."""

    def execute(self) -> None:
        self.wrote_header = self.close_on_finish = True
        self.channel.write_soon(_write_refusal(self.request.error.code, self.channel, self.request))


class _LineTooLong(Error):  # type: ignore[misc] # untyped
    code = HTTPStatus.REQUEST_URI_TOO_LONG
    reason = HTTPStatus.REQUEST_URI_TOO_LONG.phrase


class _Parser(HTTPRequestParser):  # type: ignore[misc] # untyped
    """Refuses requests that waitress accepts but another server in front may read differently."""

    error: Error | None
    completed: bool
    body_rcv: Any

    def received(self, data: bytes) -> int:
        taken: int = super().received(data)
        if isinstance(self.error, RequestHeaderFieldsTooLarge) and b"\n" not in self.header_plus:
            self.error = _LineTooLong("no end of the request line")
        if not self.completed and not self.headers_finished and b"\n\n" in self.header_plus:
            self.error = BadRequest("lines end in a line feed alone")
            self.completed = True
        if self.chunked and not self.completed:
            body_bytes = len(self.body_rcv)
            around_bytes = self.body_bytes_received - body_bytes
            if around_bytes > _AROUND_CHUNKS_BYTES + body_bytes // _LEAST_IN_A_CHUNK:
                self.error = BadRequest("tiny chunks, or long lines between them")
                self.completed = True
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # of a Content-Length of more digits than Python reads
            raise ParsingError("Content-Length is too long") from error
        except TransferEncodingNotImplemented as error:
            if _CODED_WITHOUT_CHUNKS.search(header_plus):
                raise ParsingError("Transfer-Encoding does not end in chunked") from error
            raise
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("both Content-Length and Transfer-Encoding")
        if not self.chunked and not self.content_length:
            # Nothing is to come: told to continue, waitress takes the next request for the body.
            self.expect_continue = False
        if b"\r\n " in header_plus or b"\r\n\t" in header_plus:
            raise ParsingError("a field over several lines")
        if self.version == "1.1" and "HOST" not in self.headers:
            raise ParsingError("no Host field")  # RFC 9112, section 3.2
        # waitress joins fields of one name by commas.
        if not _HOST.fullmatch(self.headers.get("HOST", "")):
            raise ParsingError("not one Host field")
        if self.version == "1.0" and "TRANSFER_ENCODING" in self.headers:
            # waitress would pass it over, and take the chunks for the next request.
            raise ParsingError("HTTP/1.0 has no Transfer-Encoding")
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("neither HTTP/1.1 nor HTTP/1.0")


class _Channel(HTTPChannel):  # type: ignore[misc] # untyped
    error_task_class = _ProblemTask
    parser_class = _Parser
    request: Any = None

    def handle_close(self) -> None:
        """Close; a caller that cut its request short, and still listens, is answered 400."""
        cut_short, self.request = self.request, None
        if cut_short is not None and not self.will_close and not self.requests:
            with suppress(OSError):
                self.socket.send(_write_refusal(HTTPStatus.BAD_REQUEST, self, cut_short))
        super().handle_close()


def _write_refusal(status: int, channel: HTTPChannel, request: HTTPRequestParser) -> bytes:
    request_id = choose_request_id(request.headers.get("X_REQUEST_ID"))
    _log.warning("request %s: answered %d before the application saw it", request_id, status)
    prefix = channel.server.find_prefix(request.headers.get("X_FORWARDED_PREFIX"))
    return write_refusal(status, request_id=request_id, prefix=prefix)
