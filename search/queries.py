"""Encode queries of many callers in batches, and cache their vectors."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
from cachetools import LRUCache

from twinlens.catalog.errors import UnencodableItems
from twinlens.catalog.timing import add_work
from twinlens.catalog.vectors import FloatMatrix, Vector
from twinlens.encoders.base import TitleEncoder
from twinlens.encoders.lens import Lenses
from twinlens.encoders.lenses import TitleLens

MAX_BATCH: Final = 32
# A batch is padded to its longest text: one long query must not make thirty short ones wait.
MAX_PADDED_CHARACTERS: Final = 8192
# Clients that were answered together ask again within about this time. Without this wait every
# other batch held one text, and 32 clients of all-MiniLM got a tenth less throughput.
MOST_GATHERING_S: Final = 0.002
_LOOK_EVERY_S: Final = 0.0005
# Long texts are hardly ever repeated, and the memory of the cache must stay bounded.
MAX_CACHED_CHARACTERS: Final = 1000


def gather_queries(lenses: Lenses, *, cache_size: int) -> Lenses:
    """Return the same lenses, with the title lens asked through a ``QueryEncoder``."""
    return {
        name: TitleLens(QueryEncoder(lens.encoder, cache_size=cache_size))
        if isinstance(lens, TitleLens)
        else lens
        for name, lens in lenses.items()
    }


class _Encoded(NamedTuple):
    row: Vector
    work_s: float


class _Asked(NamedTuple):
    text: str
    row: Future[_Encoded]


class QueryEncoder:
    """A title encoder whose ``encode_queries`` many threads may call at once.

    One batch is encoded at a time; texts that arrive meanwhile form the next batch, of at most
    ``MAX_BATCH``. So a text waits for the current batch and for texts asked before it. After a
    batch of several texts, the next waits up to ``MOST_GATHERING_S`` for as many to arrive; with
    one caller at a time there is no such wait. The ``cache_size`` texts asked last are answered
    from memory (0: none), and a text asked by several callers at once is encoded once. A text that
    can't be encoded fails only the calls that asked it.

    Its thread starts with the first query: it may be made before a fork, but not used.
    """

    def __init__(self, encoder: TitleEncoder, *, cache_size: int) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()  # guards the next two; never held while encoding
        self._asked: deque[_Asked] = deque()
        self._known: LRUCache[str, Future[_Encoded]] = LRUCache(cache_size)
        self._last = 1, 0.0  # how many the last batch had, and when it ended; the thread's own
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode-queries")

    @property
    def name(self) -> str:
        """The name of the wrapped encoder."""
        return self._encoder.name

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        return self._encoder.dim

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the wrapped encoder: the vectors are the same."""
        return self._encoder.fingerprint

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        """Return the vectors of titles, straight from the wrapped encoder."""
        return self._encoder.encode(items)

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Return queries as a new float32 array of shape (len(texts), dim), rows of unit length.

        What it took to encode them counts as work of the calling thread, each its share of a batch.

        Raises:
            UnencodableItems: some have no finite, non-zero vector.
        """
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        with self._lock:
            futures = [self._ask(text) for text in texts]
        new = [future for future in futures if not future.done()]
        rows, bad = [], []
        for number, future in enumerate(futures):
            try:
                rows.append(future.result().row)
            except UnencodableItems:
                bad.append(number)
        add_work(sum(one.result().work_s for one in new if one.exception() is None))
        if bad:
            raise UnencodableItems(bad)
        return np.stack(rows)

    def close(self) -> None:
        """Answer what was asked, and let go of the thread."""
        self._thread.shutdown()

    def _ask(self, text: str) -> Future[_Encoded]:
        known = self._known.get(text)
        if known is not None:
            return known
        # One task is submitted per text; the first to run takes all waiting texts that fit.
        self._thread.submit(self._encode_next)
        future: Future[_Encoded] = Future()
        self._asked.append(_Asked(text, future))
        if len(text) <= MAX_CACHED_CHARACTERS and self._known.maxsize:
            self._known[text] = future
        return future

    def _encode_next(self) -> None:
        self._gather()
        with self._lock:
            batch = self._take_batch()
        if not batch:
            return
        try:
            self._answer(batch)
        except BaseException:  # noqa: BLE001 - an engine's panic is none of Exception
            # One text is at fault: encode each alone.
            for one in batch:
                self._answer_alone(one)
        self._last = len(batch), time.monotonic()

    def _gather(self) -> None:
        """Wait for clients that were answered together, which will ask again soon."""
        count, ended = self._last
        if count > 1:
            while 0 < len(self._asked) < count and time.monotonic() < ended + MOST_GATHERING_S:
                time.sleep(_LOOK_EVERY_S)

    def _take_batch(self) -> list[_Asked]:
        """Return the texts to encode next, in the order in which they were asked."""
        batch: list[_Asked] = []
        longest = 0
        while self._asked and len(batch) < MAX_BATCH:
            longest = max(longest, len(self._asked[0].text))
            if batch and longest * (len(batch) + 1) > MAX_PADDED_CHARACTERS:
                break
            batch.append(self._asked.popleft())
        return batch

    def _answer(self, batch: Sequence[_Asked]) -> None:
        began = time.thread_time()  # not of the clock: other work is not this text's
        rows = self._encoder.encode_queries([one.text for one in batch])
        work_s = (time.thread_time() - began) / len(batch)
        for one, row in zip(batch, rows, strict=True):
            # A view would keep the whole batch in memory.
            one.row.set_result(_Encoded(row.copy(), work_s))

    def _answer_alone(self, one: _Asked) -> None:
        try:
            self._answer([one])
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked
            with self._lock:
                if self._known.get(one.text) is one.row:
                    del self._known[one.text]
            one.row.set_exception(error)
