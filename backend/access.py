"""The limits on callers: the operator's policy, keys, other origins, rates and turns."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import ipaddress
import math
import mmap
import os
import re
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import BinaryIO, Final, Literal, Protocol

from flask import Flask, Request, Response, request

LogFormat = Literal["json", "text"]
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
DEFAULT_REQUEST_THREADS: Final = 8
# How many requests of one process may wait for their turn; one more is refused at once.
MOST_WAITING: Final = 128
# The longest request line; longer searches are sent by POST.
MAX_REQUEST_LINE: Final = 8190
# The longest field of a head, and how many it may have.
MAX_FIELD_BYTES: Final = 8190
MOST_FIELDS: Final = 100
ALLOWED_METHODS: Final = "DELETE, GET, HEAD, POST"
ALLOWED_HEADERS: Final = (
    "Authorization, Content-Type, If-None-Match, X-API-Key, X-Person-Token, X-Request-Id"
)
EXPOSED_HEADERS: Final = "ETag, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
PREFLIGHT_MAX_AGE_S: Final = 7200
RATE_WINDOW_S: Final = 60
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PLACES: Final = 1 << 18
_NUMBER: Final = struct.Struct("d")
_SECRET_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's rules for callers.

    Without ``api_keys`` anyone may search; without ``admin_keys`` anyone who may search may read
    the metrics. ``cors_origins`` are the origins whose pages may use the API, ``*`` for any.
    ``rate_limit`` is requests a minute per caller, 0 for any number. ``trusted_proxies`` is how
    many proxies stand before the server; each adds the caller's address. ``path_prefix`` is what
    they serve it below: `/twin`; without it the nearest of them may say. At most
    ``searches_at_a_time`` requests search at once. A request that waits longer than ``max_wait_s``
    for its turn is refused; so is a search of a multi-search that would wait longer for those
    before it. ``log_queries`` writes the searched text into the log. ``person_secret`` signs the
    tokens by which people may see and remove what is kept of them. ``keep_searches`` keeps events
    of type search.
    """

    api_keys: tuple[str, ...] = field(default=(), repr=False)
    admin_keys: tuple[str, ...] = field(default=(), repr=False)
    cors_origins: tuple[str, ...] = ()
    rate_limit: int = 0
    trusted_proxies: int = 0
    path_prefix: str = ""
    max_body_bytes: int = MAX_BODY_BYTES
    searches_at_a_time: int = DEFAULT_REQUEST_THREADS
    max_wait_s: float = 5.0
    log_queries: bool = False
    person_secret: str = field(default="", repr=False)
    keep_searches: bool = False


class Role(IntEnum):
    """A caller's rights; each role includes those before it."""

    NOBODY = 0
    READER = 1
    ADMIN = 2


class Keys:
    """The keys that callers may hold; without any, everyone may do everything."""

    def __init__(self, *, read: Sequence[str], admin: Sequence[str]) -> None:
        self._roles = [
            (_digest(key), role)
            for role, keys in ((Role.READER, read), (Role.ADMIN, admin))
            for key in keys
        ]
        self.to_read = Role.READER if read else Role.NOBODY
        self.to_administrate = Role.ADMIN if admin else self.to_read

    def find_role(self, request: Request) -> Role:
        """Return the role that the key of ``request`` gives; ``NOBODY`` without a valid key."""
        presented = read_key(request)
        if presented is None:
            return Role.NOBODY
        digest = _digest(presented)
        found = Role.NOBODY
        # Compare with every key, in constant time, so that the time taken reveals nothing.
        for known, role in self._roles:
            if hmac.compare_digest(known, digest):
                found = max(found, role)
        return found


def read_key(request: Request) -> str | None:
    """Return the key of ``request``: ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return request.headers.get("X-API-Key")


def identify_caller(request: Request, role: Role) -> str:
    """Return whose allowance ``request`` uses: its key's, if that is valid, or its address's.

    An IPv6 address stands for its /64, which is what one subscriber is given.
    """
    key = read_key(request)
    if role is not Role.NOBODY and key is not None:
        return f"key:{_digest(key).hex()}"
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return f"address:{request.remote_addr}"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return f"address:{ipaddress.ip_network((address, 64), strict=False)}"
        address = address.ipv4_mapped
    return f"address:{address}"


def choose_request_id(given: str | None) -> str:
    """Return the id that a caller has ``given`` its request, if it may be logged, or a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def allow_origins(app: Flask, origins: Sequence[str]) -> None:
    """Let pages of ``origins`` read what ``app`` answers; ``*`` is any page.

    Cookies play no part: nothing here is allowed by a cookie.
    """
    if not origins:
        return
    allowed = frozenset(origins)

    def is_preflight() -> bool:
        return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers

    @app.before_request
    def answer_preflight() -> Response | None:
        return Response(status=204) if is_preflight() else None

    @app.after_request
    def tell(response: Response) -> Response:
        headers = response.headers
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if "*" in allowed:
            headers["Access-Control-Allow-Origin"] = "*"
        else:
            response.vary.add("Origin")
            origin = request.headers.get("Origin")
            if origin not in allowed:
                return response
            headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        if is_preflight():
            headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
            headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            headers["Access-Control-Max-Age"] = str(PREFLIGHT_MAX_AGE_S)
        return response


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class Overloaded(Exception):
    """No turn came in time."""


class Gauge(Protocol):
    """A number that goes up and down."""

    def inc(self) -> None:
        """Count one more."""

    def dec(self) -> None:
        """Count one less."""


class Turns:
    """At most ``at_a_time`` requests search; others wait, ``wait_s`` at most, counted as waiting.

    More searches at once would not make the engine and the encoders faster, and each picture being
    decoded takes memory. At most ``most_waiting`` requests wait: each holds a thread, and some
    threads must be left for requests that need no turn.
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
    """The verdict on a request, and what is left of the caller's allowance.

    ``reset_s`` is the seconds until the allowance is whole again, ``retry_s`` those until a refused
    request would be allowed.
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
        with self._lock_place(0):
            # A secret, so that a caller who picks its address can't pick whose place it shares.
            if not any(self._table[:_SECRET_BYTES]):
                self._table[:_SECRET_BYTES] = os.urandom(_SECRET_BYTES)
            self._secret = self._table[:_SECRET_BYTES]

    def take(self, caller: str, requests: int = 1, *, begun: int = 0) -> Allowance:
        """Count so many ``requests`` of ``caller``, at most ``per_minute``, if all are allowed.

        ``begun``: requests of this batch already charged; a retry must pay for them again.
        """
        digest = hashlib.blake2b(caller.encode(), key=self._secret, digest_size=8).digest()
        place = _SECRET_BYTES + int.from_bytes(digest) % _PLACES * _NUMBER.size
        with self._lock_place(place):
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
    def _lock_place(self, place: int) -> Iterator[None]:
        # A file lock belongs to the process, not to a thread, and is released when it dies.
        with self._between_threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX, _NUMBER.size, place)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _NUMBER.size, place)
