"""gunicorn's threaded worker, made patient: slow callers wait on a poller, not in a thread.

gunicorn's own gives a thread to every connection that has sent a first byte, and lets it wait there
without end; when it closes a connection, its main loop waits up to two seconds for the caller. Here

- the head of a request is gathered by the main loop, and must be whole within ``HEAD_TIMEOUT_S``;
- a thread waits for a body, or for a caller to take its answer, ``GRACE_S`` at most of each
  request; longer only in one of few places for the slow, so that others find a thread. A body must
  be whole in ``receive_timeout_s``, an answer taken in ``SEND_TIMEOUT_S``;
- a connection that is being closed waits on the poller, too;
- when there is room for no more connections, the one that has been silent longest gives way;
- of several processes, the one with the fewest connections takes the next. A connection that is
  kept alive stays where it is, and whoever wakes first would take all that come at once.
"""

from __future__ import annotations

import errno
import logging
import math
import mmap
import select
import selectors
import socket
import threading
import time
import uuid
from http import HTTPStatus
from typing import Any, Final

from gunicorn.workers.gthread import TConn, ThreadWorker

from twinlens.backend.arrival import TooSlow, arrived
from twinlens.backend.problems import refusal

# Threads beyond those that search: they read, write, and wait for a turn.
SPARE_THREADS: Final = 32
SLOW_PLACES: Final = 16
HEAD_TIMEOUT_S: Final = 10.0
GRACE_S: Final = 0.5
SEND_TIMEOUT_S: Final = 60.0
# How long a connection that is closed may go on sending what nobody reads, and how much.
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 256 * 1024
# What is gathered of a head before a thread looks at it: gunicorn refuses what is too large.
HEAD_BYTES: Final = 64 * 1024
# How often a process leaves a connection to those that have fewer, and looks again after a nap.
COURTESIES: Final = 25
_NAP_S: Final = 0.001
_COURTESY_ENDS_S: Final = 1.0
_PROCESSES: Final = 256
_CHUNK: Final = 16 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"

_log = logging.getLogger(__name__)


class ConnectionCounts:
    """How many connections each process holds, as they tell each other; made before the fork.

    A process is known by its age, gunicorn's running number. More processes than ever are alive at
    a time share no place, and no lock is needed: each writes its own number alone.
    """

    def __init__(self) -> None:
        # 0: nobody; else the count and 1.
        self._told = memoryview(mmap.mmap(-1, 4 * _PROCESSES)).cast("i")

    def tell(self, age: int, count: int) -> None:
        """Process ``age`` holds ``count`` connections."""
        self._told[age % _PROCESSES] = count + 1

    def forget(self, age: int) -> None:
        """Process ``age`` takes no more."""
        self._told[age % _PROCESSES] = 0

    def fewer_elsewhere(self, count: int) -> bool:
        """Whether a process holds fewer than ``count``."""
        return any(0 < told <= count for told in self._told)


class PatientSocket(socket.socket):
    """A socket that never blocks of itself, and waits within bounds where gunicorn blocks."""

    slow_places: threading.Semaphore
    lingers_until: float
    drained: int

    def __init__(self, accepted: socket.socket, slow_places: threading.Semaphore) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        super().setblocking(False)
        self.slow_places = slow_places
        self.drained = 0
        self._waits = False
        self._holds_place = False
        self.begin(math.inf)

    def begin(self, receive_s: float) -> None:
        """From now on a request may use the socket, and must be whole within ``receive_s``."""
        self._receive_until = time.monotonic() + receive_s
        self._send_until = math.inf
        self._waited = 0.0

    def end(self) -> None:
        """The request is over: give back what it held."""
        if self._holds_place:
            self._holds_place = False
            self.slow_places.release()

    def setblocking(self, flag: bool) -> None:
        """Whether to wait for the caller, or to raise ``BlockingIOError``."""
        super().setblocking(False)
        self._waits = bool(flag)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """What has been received, at least a byte; nothing at the end.

        Raises:
            TooSlow: nothing came in time.
        """
        while True:
            try:
                return super().recv(bufsize, flags)
            except BlockingIOError:
                if not self._waits:
                    raise
                self._wait(select.POLLIN, self._receive_until)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of it.

        Raises:
            TooSlow: the caller doesn't take it.
        """
        left = memoryview(data).cast("B")
        while left:
            try:
                left = left[super().send(left, flags) :]
            except BlockingIOError:
                self._send_until = min(self._send_until, time.monotonic() + SEND_TIMEOUT_S)
                self._wait(select.POLLOUT, self._send_until)

    def _wait(self, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(self, event)
        while True:
            started = time.monotonic()
            patience = until - started
            if not self._holds_place:
                patience = min(patience, GRACE_S - self._waited)
            ready = patience > 0 and poll.poll(math.ceil(patience * 1000))
            self._waited += time.monotonic() - started
            if ready:
                return
            if self._holds_place or time.monotonic() >= until:
                raise TooSlow
            if not self.slow_places.acquire(blocking=False):
                raise TooSlow
            self._holds_place = True


class Connection(TConn):  # type: ignore[misc] # untyped
    """A connection, the head of its next request as far as it has come, and when it was whole."""

    sock: PatientSocket

    def __init__(self, worker: PatientWorker, sock: PatientSocket, client: Any, server: Any):
        super().__init__(worker.cfg, sock, client, server)
        self._worker = worker
        self.head = bytearray()
        self.whole_at = 0.0

    def close(self, graceful: bool = False) -> None:
        """Close it; gracefully: only when the caller has seen its answer."""
        if graceful:
            self._worker.linger(self.sock)
        else:
            super().close()


class _Refused:
    """A connection to which gunicorn writes an error in HTML, and the caller gets a problem."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def sendall(self, data: bytes) -> None:
        """Send the problem that has the status of the answer ``data``."""
        self._sock.sendall(_refusal(int(data.split(b" ", 2)[1])))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _refusal(status: int) -> bytes:
    request_id = uuid.uuid4().hex
    _log.warning("request %s: answered %d before the application saw it", request_id, status)
    return refusal(status, request_id=request_id)


class PatientWorker(ThreadWorker):  # type: ignore[misc] # untyped
    """See the module; the application that gunicorn runs says what ``receive_timeout_s`` is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._slow_places = threading.Semaphore(SLOW_PLACES)
        # Those whose head is being gathered, and those being closed: the oldest first.
        self._heads: dict[Connection, None] = {}
        self._lingering: dict[PatientSocket, None] = {}
        self._counts: ConnectionCounts = self.app.connection_counts
        self._courtesies = 0
        self._napped_at = 0.0

    # ---- all below runs in the main loop, but for `handle`

    def notify(self) -> None:
        """Say that this process lives, and how many connections it holds."""
        super().notify()
        if self.alive:
            self._counts.tell(self.age, self.nr_conns)
        else:
            self._counts.forget(self.age)

    def accept(self, listener: socket.socket) -> None:
        """Take a connection, at the cost of the most silent one if there are too many.

        For a moment it is left to a process that has fewer.
        """
        if self._is_courteous():
            time.sleep(_NAP_S)
            return
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                # No file is left for it. gunicorn would end here, and all its requests with it.
                self._make_room()
                time.sleep(0.01)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        sock = PatientSocket(accepted, self._slow_places)
        self.nr_conns += 1
        self._counts.tell(self.age, self.nr_conns)
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self.enqueue_req(Connection(self, sock, client, listener.getsockname()))

    def _is_courteous(self) -> bool:
        """Whether to leave the connection that waits to others."""
        if not self._counts.fewer_elsewhere(self.nr_conns):
            self._courtesies = 0
            return False
        now = time.monotonic()
        if now > self._napped_at + _COURTESY_ENDS_S:
            self._courtesies = 0  # those were for a connection of long ago
        if self._courtesies == COURTESIES:
            self._courtesies = 0  # those that have fewer are busy, or stuck
            return False
        self._courtesies += 1
        self._napped_at = now
        return True

    def enqueue_req(self, conn: Connection) -> None:
        """Gather the head of the next request; then a thread takes over."""
        conn.init()
        conn.sock.setblocking(False)
        # What came behind the request before.
        conn.head = bytearray(conn.parser.unreader.take_buffered())
        conn.timeout = time.monotonic() + HEAD_TIMEOUT_S
        if _END_OF_HEAD in conn.head or not self._gather(conn):
            return self._hand_over(conn)
        self._heads[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, lambda _: self._gather_more(conn))
        return None

    def handle(self, conn: Connection) -> Any:
        """Answer the request, in a thread."""
        arrived.set(conn.whole_at)
        conn.sock.begin(self.app.receive_timeout_s)
        try:
            return super().handle(conn)
        finally:
            conn.sock.end()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer what can't be understood, or made the application fail, as a problem document."""
        super().handle_error(req, _Refused(client), addr, exc)

    def murder_pending(self) -> None:
        """Close what has taken too long, silently where nothing has been sent yet."""
        super().murder_pending()
        now = time.monotonic()
        for conn in list(self._heads):
            # A stopping worker doesn't wait long for those who have said nothing.
            spared = HEAD_TIMEOUT_S - LINGER_S if not self.alive and not conn.head else 0.0
            if conn.timeout - spared > now:
                continue
            self._forget(conn)
            if conn.head:
                try:
                    conn.sock.send(_refusal(HTTPStatus.REQUEST_TIMEOUT))
                except OSError:
                    conn.head.clear()
            self.nr_conns -= 1
            conn.close(graceful=bool(conn.head))
        for sock in [one for one in self._lingering if one.lingers_until <= now]:
            self._end_linger(sock)

    def linger(self, sock: PatientSocket) -> None:
        """Say that no more is coming, and close when the caller has done so, or in a while.

        Closing at once would take back what the caller has not yet read of its answer, if it has
        sent anything that was not read here.
        """
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            sock.close()
            return
        sock.setblocking(False)
        sock.lingers_until = time.monotonic() + LINGER_S
        self.nr_conns += 1
        self._lingering[sock] = None
        self.poller.register(sock, selectors.EVENT_READ, self._drain)

    def _gather_more(self, conn: Connection) -> None:
        if not self._gather(conn):
            self._forget(conn)
            self._hand_over(conn)

    def _gather(self, conn: Connection) -> bool:
        """Read what there is; false once a thread should look at it."""
        try:
            data = conn.sock.recv(_CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            conn.head.clear()
            return False
        seen = len(conn.head)
        conn.head += data
        ends = conn.head.find(_END_OF_HEAD, max(0, seen - len(_END_OF_HEAD))) >= 0
        return bool(data) and not ends and len(conn.head) < HEAD_BYTES

    def _hand_over(self, conn: Connection) -> None:
        if not conn.head:  # the caller has gone
            self.nr_conns -= 1
            conn.close()
            return
        conn.sock.setblocking(True)
        conn.parser.unreader.unread(bytes(conn.head))
        conn.head.clear()
        conn.data_ready = True
        conn.whole_at = time.perf_counter()
        super().enqueue_req(conn)

    def _make_room(self) -> None:
        if self._lingering:
            self._end_linger(next(iter(self._lingering)))
        elif self._heads:
            conn = next(iter(self._heads))
            self._forget(conn)
            self.nr_conns -= 1
            conn.close()

    def _forget(self, conn: Connection) -> None:
        del self._heads[conn]
        self.poller.unregister(conn.sock)

    def _drain(self, sock: PatientSocket) -> None:
        try:
            data = sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        sock.drained += len(data)
        if not data or sock.drained > LINGER_BYTES:
            self._end_linger(sock)

    def _end_linger(self, sock: PatientSocket) -> None:
        del self._lingering[sock]
        self.poller.unregister(sock)
        self.nr_conns -= 1
        sock.close()
