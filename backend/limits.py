"""How much callers may ask: so many requests a minute each, so many searches at a time in all."""

from __future__ import annotations

import fcntl
import hashlib
import math
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

RATE_WINDOW_S: Final = 60
_PLACES: Final = 1 << 18
_NUMBER: Final = struct.Struct("d")
_SECRET_BYTES: Final = 16


class Overloaded(Exception):
    """No turn came in time."""


class Gauge(Protocol):
    """A number that goes up and down."""

    def inc(self) -> None:
        """One more."""

    def dec(self) -> None:
        """One less."""


class Turns:
    """At most ``at_a_time`` requests search; others wait, ``wait_s`` at most, counted as waiting.

    The engine and the encoders are no faster for being asked by more at once, and each picture
    being decoded takes its memory. At most ``most_waiting`` wait: each takes a thread, and some
    must be left for what needs no turn.
    """

    def __init__(self, at_a_time: int, *, wait_s: float, most_waiting: int, waiting: Gauge) -> None:
        self._free = threading.Semaphore(at_a_time)
        self._wait_s = wait_s
        self._places = threading.Semaphore(most_waiting)
        self._waiting = waiting

    def take(self) -> None:
        """Return when it is the caller's turn; ``give_back`` ends it.

        Raises:
            Overloaded: it was not in time, or too many wait.
        """
        if self._free.acquire(blocking=False):
            return
        if not self._places.acquire(blocking=False):
            raise Overloaded
        self._waiting.inc()
        try:
            if not self._free.acquire(timeout=self._wait_s):
                raise Overloaded
        finally:
            self._waiting.dec()
            self._places.release()

    def give_back(self) -> None:
        """End a turn."""
        self._free.release()


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether a request is allowed, and how much is left.

    ``reset_s`` is when all of it will be there again, ``retry_s`` when what was refused is allowed.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    retry_s: int


class RateLimiter:
    """``per_minute`` requests a minute for each caller, counted by all processes together.

    Each caller has one number, the time when its allowance will be whole again (the generic cell
    rate algorithm): a caller may use it up at once, and gets it back evenly over the minute. The
    numbers lie in ``file``, which processes share, in a table of fixed size: where two callers fall
    on one place, as about two of a thousand do, they share an allowance.

    Source: ITU-T I.371, virtual scheduling.
    """

    def __init__(
        self, per_minute: int, file: BinaryIO, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_minute = per_minute
        self._interval_s = RATE_WINDOW_S / per_minute
        self._clock = clock
        self._between_threads = threading.Lock()
        self._file = file
        file.truncate(_SECRET_BYTES + _PLACES * _NUMBER.size)
        self._table = mmap.mmap(file.fileno(), 0)
        with self._alone(0):
            # Who chooses its address is not to choose with whom it shares a place.
            if not any(self._table[:_SECRET_BYTES]):
                self._table[:_SECRET_BYTES] = os.urandom(_SECRET_BYTES)
            self._secret = self._table[:_SECRET_BYTES]

    def take(self, caller: str, requests: int = 1, *, begun: int = 0) -> Allowance:
        """Count so many ``requests`` of ``caller``, at most ``per_minute``, if all are allowed.

        ``begun`` are counted already, and belong to these: who tries again needs them again.
        """
        digest = hashlib.blake2b(caller.encode(), key=self._secret, digest_size=8).digest()
        place = _SECRET_BYTES + int.from_bytes(digest) % _PLACES * _NUMBER.size
        with self._alone(place):
            now = self._clock()
            (whole_at,) = _NUMBER.unpack_from(self._table, place)
            before = max(whole_at, now)
            after = before + requests * self._interval_s
            allowed = after - now <= RATE_WINDOW_S + 1e-6
            if allowed:
                _NUMBER.pack_into(self._table, place, after)
        used_s = (after if allowed else before) - now
        return Allowance(
            allowed,
            limit=self.per_minute,
            remaining=max(0, math.floor((RATE_WINDOW_S - used_s) / self._interval_s + 1e-6)),
            reset_s=math.ceil(used_s - 1e-6),
            retry_s=0
            if allowed
            else max(1, math.ceil(after + begun * self._interval_s - now - RATE_WINDOW_S - 1e-6)),
        )

    def close(self) -> None:
        """Let go of the table."""
        self._table.close()
        self._file.close()

    @contextmanager
    def _alone(self, place: int) -> Iterator[None]:
        # A lock of the file is the process's, whichever thread takes it, and goes with the process.
        with self._between_threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX, _NUMBER.size, place)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _NUMBER.size, place)
