"""Hold the published generation open, and replace it by a newer one while requests go on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeGuard

from twinlens.catalog.errors import LensesChanged, NoGeneration, StoreUnavailable, TwinLensError
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.encoders.lens import Lenses
from twinlens.search.browser import Browser
from twinlens.search.searcher import Searcher
from twinlens.stores.base import VectorReader
from twinlens.stores.generations import DataDir, Fingerprinted, Manifest

REOPEN_AFTER_S: Final = 5.0
_LOOK_AGAIN_AFTER_S: Final = 1.0
_OPENED_WITHIN_S: Final = 0.5

_log = logging.getLogger(__name__)
# Size, inode and time of change of CURRENT: differs whenever another generation was published.
_Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One open generation: what it says of itself, its vectors, search and browsing over them."""

    manifest: Manifest
    reader: VectorReader
    searcher: Searcher
    browser: Browser

    @property
    def generation(self) -> str:
        """The generation's name."""
        return self.manifest.generation


class PublishedIndex:
    """Lends out the published generation, and notices by itself when another is published.

    Nothing is opened before the first ``borrow`` (embedded Qdrant hangs in a process forked after
    it was opened). When ``CURRENT`` changes, the request that notices opens the new generation, and
    no other waits for it: they go on with the old one, which is closed when its last borrower has
    ended. Only embedded Qdrant, which holds the GIL while it loads, halts them meanwhile: for 0.3 s
    at 100,000 videos whose files are in memory. A new generation that can't be used is logged and
    tried again later; the old one goes on serving.
    """

    def __init__(
        self,
        data: DataDir,
        *,
        open_reader: Callable[[Manifest], VectorReader],
        lenses: Lenses,
        reopen_after_s: float = REOPEN_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data = data
        self._open_reader = open_reader
        self._lenses = lenses
        self._reopen_after_s = reopen_after_s
        self._clock = clock
        self._opening = threading.Lock()  # held by the one thread that opens a generation
        self._swap = threading.Lock()  # guards what follows; never held while opening or closing
        self._held: _Held | None = None
        self._seen: _Signature | None = None
        # The generation that could not be opened, and when to try again.
        self._failed: tuple[_Signature, float] | None = None
        # Why none could be opened, and until when that is not tried again.
        self._away: tuple[StoreUnavailable, float] | None = None

    @contextmanager
    def borrow(self) -> Iterator[Snapshot]:
        """Lend the published generation, open until the ``with`` block ends.

        Raises:
            NoGeneration: nothing has been published yet.
            LensesChanged: the only generation there is was made by other lenses.
            StoreError: the only generation there is can't be opened.
        """
        self._refresh()
        with self._swap:
            held = self._held
            if held is None:
                raise RuntimeError("the index was closed")
            held.borrowers += 1
        try:
            yield held.snapshot
        finally:
            self._let_go(held)

    def check(self) -> str:
        """Return the name of the open generation, within a second and whatever requests wait for.

        If none is open, one is tried to be opened meanwhile.

        Raises:
            NoGeneration: none is open.
            StoreUnavailable: its engine doesn't answer.
        """
        if self._held is None and not self._opening.locked():
            opener = threading.Thread(target=self._try_to_open, daemon=True)
            opener.start()
            opener.join(_OPENED_WITHIN_S)
        held = self._held
        if held is None:
            raise NoGeneration("no index is open; the log says why")
        held.snapshot.reader.check()
        return held.snapshot.generation

    def refuse_while_away(self) -> None:
        """Return at once, unless it is known that the engine of the open generation doesn't answer.

        Raises:
            StoreUnavailable: it is.
        """
        held = self._held
        if held is not None:
            held.snapshot.reader.check()

    @property
    def lenses(self) -> Lenses:
        """Those that its generations are made with, and searched by."""
        return self._lenses

    def read_fields(self) -> Fields:
        """Return the fields of the open or else the published generation, or the default ones.

        This opens nothing.
        """
        held = self._held
        if held is not None:
            return held.snapshot.manifest.fields
        try:
            return self._data.published().fields
        except TwinLensError:
            return FIELDS

    def close(self) -> None:
        """Close the open generation once its borrowers have ended; the next borrow reopens."""
        with self._opening:
            with self._swap:
                held, self._held, self._seen = self._held, None, None
            if held is not None:
                self._let_go(held)

    def _refresh(self) -> None:
        signature = self._read_signature()
        if self._held is None:
            with self._opening:
                if self._held is None:
                    # Threads that waited here find it open; a failure is raised in each.
                    self._open_first(signature)
            return
        if not self._is_news(signature) or not self._opening.acquire(blocking=False):
            return
        try:
            if self._is_news(signature):
                self._try_exchange(signature)
        finally:
            self._opening.release()

    def _open_first(self, signature: _Signature | None) -> None:
        if self._away is not None and self._clock() < self._away[1]:
            raise self._away[0]
        try:
            self._exchange(signature)
        except StoreUnavailable as error:
            # Or each of those that wait here would wait for the server in its turn.
            self._away = error, self._clock() + _LOOK_AGAIN_AFTER_S
            raise

    def _try_to_open(self) -> None:
        try:
            self._refresh()
        except TwinLensError as error:
            _log.warning("no index is open: %s", error)

    def _is_news(self, signature: _Signature | None) -> TypeGuard[_Signature]:
        # A missing CURRENT means that the directory is being moved, not that the index is gone.
        if signature is None or signature == self._seen:
            return False
        if self._failed is None:
            return True
        failed, retry_at = self._failed
        return signature != failed or self._clock() >= retry_at

    def _try_exchange(self, signature: _Signature) -> None:
        try:
            self._exchange(signature)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, the old one serves on
            self._failed = signature, self._clock() + self._reopen_after_s
            _log.exception(
                "the newly published generation can't be used; the open one goes on serving, "
                "next try in %g s",
                self._reopen_after_s,
            )

    def _exchange(self, signature: _Signature | None) -> None:
        """Open the published generation and replace the held one by it."""
        manifest = self._data.published()
        if self._held is None or self._held.snapshot.generation != manifest.generation:
            fresh = _Held(self._open(manifest))
            with self._swap:
                old, self._held = self._held, fresh
            if old is not None:
                self._let_go(old)
                _log.info("generation %s is being served", manifest.generation)
        self._seen = signature
        self._failed = None

    def _open(self, manifest: Manifest) -> Snapshot:
        check_lenses(manifest, self._lenses)
        reader = self._open_reader(manifest)
        searcher = Searcher(reader, generation=manifest.generation, lenses=self._lenses)
        browser = Browser(reader, generation=manifest.generation)
        return Snapshot(manifest, reader, searcher, browser)

    def _let_go(self, held: _Held) -> None:
        with self._swap:
            held.borrowers -= 1
            last = held.borrowers == 0
        if last:
            try:
                held.snapshot.reader.close()
            except Exception:  # noqa: BLE001 - no request is to fail for what is over
                _log.exception("generation %s did not close cleanly", held.snapshot.generation)

    def _read_signature(self) -> _Signature | None:
        try:
            found = self._data.current_file.stat()
        except OSError:
            return None
        return found.st_size, found.st_ino, found.st_mtime_ns


class _Held:
    """A snapshot and how many hold it: its requests, and the index itself while it is current."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.borrowers = 1


def check_lenses(manifest: Manifest, lenses: Mapping[str, Fingerprinted]) -> None:
    """Return if ``lenses`` are those that made the generation.

    Raises:
        LensesChanged: they are not; the message names each that differs.
    """
    differing = manifest.differences(lenses)
    if differing:
        raise LensesChanged(
            f"generation {manifest.generation} was made by other lenses "
            f"({'; '.join(differing)}). Serve it with the lenses that made it, or index "
            "again with these"
        )
