"""Run worker processes on one listener: start them, replace those that end, end them together.

A parent process opens the listener and forks the workers. A worker that dies, or fails to start, is
started again and does not affect the others; a worker whose parent has died ends by itself.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from twinlens.catalog.errors import TwinLensError
from twinlens.catalog.processes import explain_signal

# How long requests under way have to finish.
GRACEFUL_TIMEOUT_S: Final = 30
# How much longer a worker has to end before it is killed.
_MARGIN_S: Final = 5
# A worker whose threads are all inside the engine, which holds the GIL, still says that it lives.
WORKER_TIMEOUT_S: Final = 120
# A worker that starts loads models, and may have to fetch them or to write their graphs first.
START_TIMEOUT_S: Final = 900
# A worker that can't start is started again after 1, 2, 4, … seconds, up to so many.
_LONGEST_PAUSE_S: Final = 30
# So does one that ends before it has lived so long: what ends it may be there still, a full disk.
_SETTLED_S: Final = 60
# How many times in a row a worker declines a connection in favour of less loaded ones.
_YIELDS: Final = 25
_NAP_S: Final = 0.001
_YIELDS_EXPIRE_S: Final = 1.0
_READY: Final = b"\0"  # no signal has this number
# A terminal that closes says so by SIGHUP.
_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SIGNALS: Final = (*_ENDING, signal.SIGCHLD)
_IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2)

_log = logging.getLogger(__name__)


class Board:
    """Shared memory where each worker writes its number of connections, and a heartbeat.

    No lock is needed: each worker writes only its own two numbers.
    """

    def __init__(self, workers: int) -> None:
        # For each worker: 1 + its connections, or 0 if it does not serve; and when it wrote that.
        self._told = memoryview(mmap.mmap(-1, 16 * workers)).cast("d")

    def begin(self, worker: int) -> None:
        """Say that ``worker`` starts."""
        self.forget(worker)
        self._told[2 * worker + 1] = time.monotonic()

    def tell(self, worker: int, connections: int) -> None:
        """Say that ``worker`` serves, and holds so many ``connections``."""
        self._told[2 * worker] = connections + 1
        self._told[2 * worker + 1] = time.monotonic()

    def forget(self, worker: int) -> None:
        """Say that ``worker`` takes no more connections."""
        self._told[2 * worker] = 0

    def serves(self, worker: int) -> bool:
        """Return whether ``worker`` takes connections."""
        return self._told[2 * worker] > 0

    def serves_elsewhere(self, worker: int) -> bool:
        """Return whether another than ``worker`` takes connections."""
        told = self._told.tolist()[::2]
        return any(one > 0 for other, one in enumerate(told) if other != worker)

    def count_silent_s(self, worker: int) -> float:
        """Return the seconds since ``worker`` last wrote anything."""
        return time.monotonic() - self._told[2 * worker + 1]

    def has_fewer_elsewhere(self, worker: int, connections: int) -> bool:
        """Return whether another than ``worker`` serves and holds fewer than ``connections``."""
        told = self._told.tolist()[::2]
        return any(0 < one <= connections for other, one in enumerate(told) if other != worker)


class SharedListener(socket.socket):
    """A worker's listening socket, which leaves connections to workers that hold fewer.

    A kept-alive connection stays with the worker that accepted it, and the first worker to wake
    would accept a whole burst. ``count`` says how many this worker holds; ``make_room`` is called
    when no file descriptor is left for another.
    """

    def __init__(self, listener: socket.socket, board: Board, worker: int) -> None:
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self.count: Callable[[], int] = int
        self.make_room: Callable[[], None] = lambda: None
        self._board = board
        self._worker = worker
        self._yields = 0
        self._napped_at = 0.0

    def accept(self) -> tuple[socket.socket, object]:
        """See `socket.socket.accept`.

        Raises:
            BlockingIOError: there is none, or it is left to others, or no file is left for it.
        """
        if self._is_left_to_others():
            time.sleep(_NAP_S)
            raise BlockingIOError(errno.EAGAIN, "left to a process that holds fewer")
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self.make_room()
            time.sleep(10 * _NAP_S)
            raise BlockingIOError(errno.EAGAIN, "no file is left") from error

    def _is_left_to_others(self) -> bool:
        if not self._board.has_fewer_elsewhere(self._worker, self.count()):
            self._yields = 0
            return False
        now = time.monotonic()
        if now > self._napped_at + _YIELDS_EXPIRE_S:
            self._yields = 0  # those were for a connection of long ago
        if self._yields == _YIELDS:
            self._yields = 0  # those that hold fewer are busy, or stuck
            return False
        self._yields += 1
        self._napped_at = now
        return True


@dataclass(frozen=True, slots=True)
class Worker:
    """The things a worker process is given: number, listener, board, and how to say it is ready."""

    number: int
    listener: SharedListener
    board: Board
    say_ready: Callable[[], None]


class Processes:
    """``count`` processes that each ``work`` on ``listener``.

    ``on_ready`` is called in the parent when the first of them is ready, ``on_end`` with the number
    of each process that has ended.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[Worker], None],
        *,
        listener: socket.socket,
        on_ready: Callable[[], None],
        on_end: Callable[[int], None],
    ) -> None:
        self._count = count
        self._work = work
        self._listener = listener
        self._on_ready = on_ready
        self._on_end = on_end
        self._board = Board(count)
        self._numbers: dict[int, int] = {}  # of the workers that live, by process
        self._began = [0.0] * count  # when each was started last
        self._killed: set[int] = set()  # processes that were overdue
        self._due: dict[int, float] = dict.fromkeys(range(count), 0.0)  # when to start which
        self._failures = [0] * count
        self._was_ready = False
        self._ends_by: float | None = None  # once it has been told to end

    def run(self) -> None:
        """Keep the workers running until SIGTERM, SIGINT or SIGHUP; return when they have ended.

        A second signal kills those that are still at work. Where SIGHUP is ignored, as by nohup,
        it stays so.

        Raises:
            TwinLensError: no worker could start at all.
        """
        with self._open_pipe() as (heard, say):
            # Its other end closes with this process, however that ends.
            self._parent_lives, parent_lives = os.pipe()
            try:
                while self._ends_by is None or self._numbers:
                    self._start_due(say, parent_lives, heard)
                    select.select([heard], [], [], self._count_idle_s())
                    with suppress(BlockingIOError):
                        self._hear(os.read(heard, 4096))
                    self._reap()
                    self._kill_overdue()
            finally:
                self._signal(signal.SIGKILL)
                self._listener.close()
                os.close(parent_lives)
                os.close(self._parent_lives)

    @contextmanager
    def _open_pipe(self) -> Iterator[tuple[int, int]]:
        """Open a pipe that signals and workers write to; yield its two ends."""
        heard, say = os.pipe()
        os.set_blocking(heard, False)
        os.set_blocking(say, False)
        handlers = {
            one: signal.signal(one, lambda *_: None)
            for one in _SIGNALS
            if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN
        }
        # Those who rotate logs send these: there is no file to open again.
        handlers |= {one: signal.signal(one, signal.SIG_IGN) for one in _IGNORED}
        before = signal.set_wakeup_fd(say, warn_on_full_buffer=False)
        try:
            yield heard, say
        finally:
            signal.set_wakeup_fd(before)
            for one, handler in handlers.items():
                signal.signal(one, handler)
            os.close(heard)
            os.close(say)

    def _hear(self, told: bytes) -> None:
        if _READY in told and not self._was_ready:
            self._was_ready = True
            self._on_ready()
        for _ in range(sum(map(told.count, _ENDING))):
            if self._ends_by is not None:
                self._signal(signal.SIGKILL)
                continue
            self._ends_by = time.monotonic() + GRACEFUL_TIMEOUT_S + _MARGIN_S
            self._due.clear()
            # The workers close theirs, too, so new callers are refused at once, not left waiting.
            self._listener.close()
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for process in self._numbers:
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def _count_idle_s(self) -> float:
        """Return the seconds until something needs to be done, at most one."""
        return max(0.0, min([1.0, *(due - time.monotonic() for due in self._due.values())]))

    def _start_due(self, say: int, parent_lives: int, heard: int) -> None:
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            sys.stdout.flush()
            sys.stderr.flush()
            self._board.begin(number)
            self._began[number] = now
            # One that came to the new process before it has handlers of its own would be written
            # to the pipe as if it were for this one, and be lost.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            try:
                process = os.fork()
                if process == 0:
                    os.close(parent_lives)
                    os.close(heard)
                    self._become_worker(number, say)
                self._numbers[process] = number
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _become_worker(self, number: int, say: int) -> None:
        """Work, then exit whatever happens: the worker must not go on as the parent."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for one in _SIGNALS:
                signal.signal(one, signal.SIG_DFL)
            # It comes to all processes of a terminal; the parent says what to do about it.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            threading.Thread(target=self._end_with_parent, daemon=True).start()
            self._work(
                Worker(
                    number,
                    SharedListener(self._listener, self._board, number),
                    self._board,
                    lambda: (os.write(say, _READY), None)[1],
                )
            )
            code = 0
        except Exception:  # noqa: BLE001 - whatever it is, this process ends here
            _log.exception("worker %d failed", os.getpid())
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _end_with_parent(self) -> None:
        os.read(self._parent_lives, 1)  # nothing is ever written; it ends with the parent
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACEFUL_TIMEOUT_S + _MARGIN_S)
        os._exit(1)

    def _reap(self) -> None:
        while self._numbers:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            number = self._numbers.pop(process, None)
            if number is None:
                continue  # a process of somebody else's
            settled = self._board.serves(number) and (
                time.monotonic() - self._began[number] > _SETTLED_S
            )
            self._board.forget(number)
            self._on_end(process)
            if self._ends_by is not None:
                continue
            self._failures[number] = 0 if settled else self._failures[number] + 1
            if not self._was_ready and not self._numbers and all(self._failures):
                raise TwinLensError("the server could not start; the lines above say why")
            pause_s = min(2 ** max(0, self._failures[number] - 1), _LONGEST_PAUSE_S)
            self._due[number] = time.monotonic() + pause_s
            code = os.waitstatus_to_exitcode(status)
            why = None if process in self._killed else explain_signal(-code)
            _log.error(
                "process %d ended by %s; another is started in %d s%s",
                process,
                _name_cause(code),
                pause_s,
                f": {why}" if why else "",
            )

    def _kill_overdue(self) -> None:
        if self._ends_by is not None and time.monotonic() > self._ends_by:
            self._signal(signal.SIGKILL)
        for process, number in self._numbers.items():
            serves = self._board.serves(number)
            silent_s = self._board.count_silent_s(number)
            if silent_s > (WORKER_TIMEOUT_S if serves else START_TIMEOUT_S):
                state = "stuck" if serves else "starting"
                _log.error("process %d has been %s for %d s", process, state, silent_s)
                self._board.begin(number)  # so that this is said once
                self._killed.add(process)
                os.kill(process, signal.SIGKILL)


def _name_cause(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
