"""Thumbnails that a catalogue names by address, fetched for the indexing job."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from twinlens.catalog.errors import PictureRejected, RejectReason, SourceError
from twinlens.catalog.files import write_atomically
from twinlens.catalog.images import MAX_BYTES, decode_image
from twinlens.catalog.sources.rows import Reject, Row

_TRANSIENT_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
# What can be too small to decode further is decoded at an eighth: enough to see it is whole.
_CHECKED_AT: Final = (64, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How far fetching goes, and how patient it is.

    ``transfer_timeout_s`` bounds one attempt from looking up the host to the last byte, redirects
    included. A server's ``Retry-After`` is heeded up to ``retry_after_s``.
    """

    concurrency: int = 16
    max_bytes: int = MAX_BYTES
    connect_timeout_s: float = 5.0
    transfer_timeout_s: float = 20.0
    redirects: int = 5
    attempts: int = 3
    backoff_s: float = 0.5
    retry_after_s: float = 30.0

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.attempts < 1:
            raise ValueError("nothing is fetched with fewer than one connection or attempt")


class _NotFetched(Exception):
    """A picture can't be had; its text says why."""


class _TryAgain(_NotFetched):
    """It may be had later; ``after_s`` where the server said when."""

    def __init__(self, detail: str, after_s: float | None = None) -> None:
        super().__init__(detail)
        self.after_s = after_s


# A picture on its way, or in the cache, or none to wait for.
_Pending = Future[Path] | Path | None


class ThumbnailFetcher:
    """Fills in the thumbnails of videos that only have the address of one.

    What was fetched is kept in ``cache_dir`` under the SHA-256 of its address, and not asked for
    again; failures are not kept. ``fetched``, ``cached`` and ``failed`` count while it works.
    """

    def __init__(
        self,
        cache_dir: Path,
        *,
        limits: FetchLimits | None = None,
        on_note: Callable[[Reject], None] | None = None,
    ) -> None:
        self.fetched = 0
        self.cached = 0
        self.failed = 0
        self._cache_dir = cache_dir
        self._limits = limits or FetchLimits()
        self._on_note = on_note

    def fill(self, rows: Iterable[Row | Reject]) -> Iterator[Row | Reject]:
        """``rows`` in their order, with thumbnails as bytes where they could be fetched.

        A video whose thumbnail can't be had goes on without, and ``on_note`` is called with the
        reason; one that has no title either becomes a reject. Fetching runs at most twice
        ``concurrency`` rows ahead of what was taken.
        """
        waiting: deque[tuple[Row | Reject, _Pending]] = deque()
        ahead = 2 * self._limits.concurrency
        session = _Session(self._limits)
        with (
            start_blocking_portal(name="thumbnails") as portal,
            portal.wrap_async_context_manager(aclosing(session)),
        ):
            for row in rows:
                waiting.append((row, self._begin(row, session, portal)))
                while waiting and (len(waiting) >= ahead or not _is_loop_running(waiting[0][1])):
                    yield self._finish(*waiting.popleft())
            while waiting:
                yield self._finish(*waiting.popleft())

    def _begin(self, row: Row | Reject, session: _Session, portal: BlockingPortal) -> _Pending:
        if isinstance(row, Reject) or row.video.thumbnail is not None:
            return None
        url = row.video.thumbnail_url
        if url is None:
            return None
        path = locate_fetched(self._cache_dir, url)
        if path.is_file():
            return path
        return portal.start_task_soon(session.fetch, url, path)

    def _finish(self, row: Row | Reject, pending: _Pending) -> Row | Reject:
        if pending is None or isinstance(row, Reject):
            return row
        try:
            path = pending if isinstance(pending, Path) else pending.result()
            data = path.read_bytes()
        except _NotFetched as error:
            self.failed += 1
            reject = Reject(
                row.origin,
                RejectReason.PICTURE_NOT_FETCHED,
                f"{row.video.thumbnail_url}: {error}",
                row.video.video_id,
            )
            if row.video.title is None:
                return reject
            if self._on_note is not None:
                self._on_note(reject)
            return row
        except OSError as error:
            raise SourceError(f"cache of thumbnails {self._cache_dir}: {error}") from error
        if path is pending:
            self.cached += 1
        else:
            self.fetched += 1
        return replace(row, video=replace(row.video, thumbnail=data))


class _Session:
    """Connections and the cache, used within one event loop."""

    def __init__(self, limits: FetchLimits) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._client = httpx.AsyncClient(
            # Compressed, a small answer could unfold to any size; pictures gain nothing by it.
            headers={"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "twinlens"},
            timeout=httpx.Timeout(limits.transfer_timeout_s, connect=limits.connect_timeout_s),
            limits=httpx.Limits(max_connections=limits.concurrency),
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def fetch(self, url: str, path: Path) -> Path:
        """Return ``path`` once it holds the picture at ``url``.

        Raises:
            _NotFetched: it can't be had.
            OSError: the cache can't be written.
        """
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(_TryAgain),
            stop=stop_after_attempt(self._limits.attempts),
            wait=self._pause_s,
            reraise=True,
        )
        data: bytes = await attempts(self._attempt, url)
        await asyncio.to_thread(_keep, data, path)
        return path

    async def _attempt(self, url: str) -> bytes:
        try:
            # Time spent waiting for a slot is not the server's.
            async with self._slots, asyncio.timeout(self._limits.transfer_timeout_s):
                return await self._download(url)
        except _NotFetched:
            raise
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _TryAgain("timed out") from error
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise _TryAgain(str(error) or type(error).__name__) from error
        except Exception as error:
            # Strangers' addresses and servers: no such host, no such scheme, a redirect to nowhere.
            raise _NotFetched(str(error) or type(error).__name__) from error

    async def _download(self, url: str) -> bytes:
        request = self._client.build_request("GET", url)
        # Followed by hand: httpx would read the whole body of a redirect, whatever its size.
        for _ in range(self._limits.redirects + 1):
            response = await self._client.send(request, stream=True)
            async with aclosing(response):
                if response.next_request is None:
                    return await self._body(response)
                request = response.next_request
        raise _NotFetched(f"more than {self._limits.redirects} redirects")

    async def _body(self, response: httpx.Response) -> bytes:
        if response.status_code != httpx.codes.OK:
            detail = f"the server answered {response.status_code}"
            if response.status_code not in _TRANSIENT_STATUS:
                raise _NotFetched(detail)
            after_s = _retry_after_s(response.headers.get("Retry-After"))
            if after_s is not None and after_s > self._limits.retry_after_s:
                raise _NotFetched(f"{detail}, and to come back in {after_s:.0f} s")
            raise _TryAgain(detail, after_s)
        data = bytearray()
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > self._limits.max_bytes:
                raise _NotFetched(f"more than {self._limits.max_bytes} bytes")
        return bytes(data)

    def _pause_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, _TryAgain) and error.after_s is not None:
            return error.after_s
        backoff_s = self._limits.backoff_s
        return (wait_exponential(multiplier=backoff_s) + wait_random(0, backoff_s))(state)


def _is_loop_running(pending: _Pending) -> bool:
    return isinstance(pending, Future) and not pending.done()


def _retry_after_s(header: str | None) -> float | None:
    """Return seconds to wait by a ``Retry-After`` header, which holds seconds or a date."""
    if header is None:
        return None
    if header.isascii() and header.isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def locate_fetched(cache_dir: Path, url: str) -> Path:
    """Return where the picture that was fetched from ``url`` is kept."""
    name = hashlib.sha256(url.encode()).hexdigest()
    return cache_dir / name[:2] / name


def _keep(data: bytes, path: Path) -> None:
    try:
        decode_image(data, at_least=_CHECKED_AT)
    except PictureRejected as error:
        raise _NotFetched(f"no picture: {error.detail}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    # Durable: a part of a picture would be taken for the whole in every later run.
    write_atomically(path, data)
