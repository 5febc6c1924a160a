"""Hold the published generation open, and replace it by a newer one while requests go on."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal

from twinlens.catalog.errors import (
    EncoderError,
    LensesChanged,
    NoGeneration,
    StoreUnavailable,
    TwinLensError,
)
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.encoders.lens import Lenses
from twinlens.search.browser import Browser
from twinlens.search.searcher import Searcher
from twinlens.stores.base import VectorReader
from twinlens.stores.document_frequencies import read_frequencies
from twinlens.stores.generations import DataDir, Fingerprinted, Manifest

REOPEN_AFTER_S: Final = 5.0
# The pause doubles up to this: each try may load a model.
_REOPEN_AFTER_AT_MOST_S: Final = 60.0
_LOOK_EVERY_S: Final = 1.0
# A server that is back is to be found at the next look.
_ASK_SERVER_AFTER_S: Final = 0.5
_CLOSED_WITHIN_S: Final = 1.0

_log = logging.getLogger(__name__)
# Size, inode and time of change of CURRENT: differs whenever another generation was published.
_Signature = tuple[int, int, int]
# Opens the lenses of these names, to search a generation that was made by them.
OpenLenses = Callable[[Manifest, Collection[str]], Lenses]
NewerState = Literal["loading", "other_lenses", "no_model", "unusable"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One open generation: what it says of itself, its vectors, search and browsing over them."""

    manifest: Manifest
    lenses: Lenses
    reader: VectorReader
    searcher: Searcher
    browser: Browser

    @property
    def generation(self) -> str:
        """The generation's name."""
        return self.manifest.generation


@dataclass(frozen=True, slots=True)
class Newer:
    """The published generation while it is not the one being served, and why it isn't.

    ``generation`` is None if ``CURRENT`` can't be read.
    """

    generation: str | None
    state: NewerState


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a generation could not be opened, and when to try again."""

    signature: _Signature | None
    error: BaseException
    pause_s: float
    retry_at: float


class PublishedIndex:
    """Lends out the published generation, and notices by itself when another is published.

    Nothing is opened before the first ``borrow`` (embedded Qdrant hangs in a process forked after
    it was opened). When ``CURRENT`` changes, the request that notices opens the new generation, or
    a thread of ``follow`` does, and no other waits for it: they go on with the old one, which is
    closed when its last borrower has ended. Of its lenses only those are opened that are not open
    yet. Only embedded Qdrant, which holds the GIL while it loads, halts them meanwhile: for 0.3 s
    at 100,000 videos whose files are in memory. A new generation that can't be used is logged and
    tried again later; the old one goes on serving.
    """

    def __init__(
        self,
        data: DataDir,
        *,
        open_reader: Callable[[Manifest], VectorReader],
        open_lenses: OpenLenses,
        reopen_after_s: float = REOPEN_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data = data
        self._open_reader = open_reader
        self._open_lenses = open_lenses
        self._reopen_after_s = reopen_after_s
        self._clock = clock
        self._opening = threading.Lock()  # held by the one thread that opens a generation
        self._swap = threading.Lock()  # guards what follows; never held while opening or closing
        self._held: _Held | None = None
        self._seen: _Signature | None = None
        self._failure: _Failure | None = None
        self._newer: Newer | None = None
        # Opened for a generation that could not be opened after all: not loaded at each try.
        self._prepared: Lenses = {}
        self._followed = False
        self._closing = threading.Event()

    @contextmanager
    def borrow(self) -> Iterator[Snapshot]:
        """Lend the published generation, open until the ``with`` block ends.

        Raises:
            NoGeneration: nothing has been published yet, or nothing is open while this follows.
            LensesChanged: the only generation there is was made by other lenses.
            EncoderUnavailable: one of its models can't be had.
            StoreError: the only generation there is can't be opened.
        """
        if not self._followed:
            self._refresh()
        with self._swap:
            held = self._require_held()
            held.borrowers += 1
        try:
            yield held.snapshot
        finally:
            self._let_go(held)

    def follow(self) -> None:
        """Look every second for a newer generation, in a thread of its own, until ``close``.

        From then on no borrower opens one: where none is open, it is told so at once.
        """
        self._followed = True
        threading.Thread(target=self._keep_looking, name="follow-index", daemon=True).start()

    def check(self) -> str:
        """Return the name of the open generation; where this follows, whatever requests wait for.

        Raises:
            NoGeneration: none is open.
            StoreUnavailable: its engine doesn't answer.
        """
        if not self._followed:
            self._refresh()
        snapshot = self._require_held().snapshot
        snapshot.reader.check()
        return snapshot.generation

    def refuse_while_away(self) -> None:
        """Return at once, unless it is known that the engine of the open generation doesn't answer.

        Raises:
            StoreUnavailable: it is.
        """
        held = self._held
        if held is not None:
            held.snapshot.reader.check()

    @property
    def is_open(self) -> bool:
        """Whether a generation is open."""
        return self._held is not None

    @property
    def newer(self) -> Newer | None:
        """The published generation and why it is not served, or None if it is."""
        return self._newer

    def read_lenses(self) -> Lenses:
        """Return those that the open generation is searched by; without one, those opened so far.

        This opens nothing.
        """
        held = self._held
        return self._prepared if held is None else held.snapshot.lenses

    def read_fields(self) -> Fields:
        """Return the fields of the open or else the published generation, or the default ones.

        This opens nothing.
        """
        held = self._held
        if held is not None:
            return held.snapshot.manifest.fields
        try:
            return self._data.read_published().fields
        except TwinLensError:
            return FIELDS

    def close(self) -> None:
        """Close the open generation once its borrowers have ended, and follow no more.

        The next borrow reopens, unless this has followed.
        """
        self._closing.set()
        # A model may be loading, for which the end of a process is not to wait.
        waited = self._opening.acquire(timeout=_CLOSED_WITHIN_S)
        try:
            with self._swap:
                held, self._held, self._seen = self._held, None, None
            if held is not None:
                self._let_go(held)
        finally:
            if waited:
                self._opening.release()

    def _keep_looking(self) -> None:
        while not self._closing.wait(_LOOK_EVERY_S):
            with suppress(BaseException):  # it is logged; an engine's panic is none of Exception
                self._refresh()

    def _require_held(self) -> _Held:
        held = self._held
        if held is None:
            failure = self._failure
            raise NoGeneration(
                "no index is open: "
                + ("none is published yet" if failure is None else str(failure.error))
            )
        return held

    def _refresh(self) -> None:
        signature = self._read_signature()
        if self._held is None:
            with self._opening:
                if self._held is None:
                    # Threads that waited here find it open; a failure is raised in each.
                    if self._failure is not None and not self._is_news(signature):
                        raise self._failure.error
                    self._exchange(signature)
            return
        # A missing CURRENT means that the directory is being moved, not that the index is gone.
        if signature is None or not self._is_news(signature):
            return
        if self._opening.acquire(blocking=False):
            try:
                if self._is_news(signature):
                    with suppress(Exception):  # whatever is wrong with it, the old one serves on
                        self._exchange(signature)
            finally:
                self._opening.release()

    def _is_news(self, signature: _Signature | None) -> bool:
        if self._held is not None and signature == self._seen:
            return False
        failure = self._failure
        if failure is None or failure.signature != signature:
            return True
        return self._clock() >= failure.retry_at

    def _exchange(self, signature: _Signature | None) -> None:
        """Open the published generation and replace the held one by it."""
        try:
            manifest = self._data.read_published()
            if self._held is None or self._held.snapshot.generation != manifest.generation:
                self._newer = Newer(manifest.generation, "loading")
                fresh = _Held(self._open(manifest))
                with self._swap:
                    old, self._held, self._newer = self._held, fresh, None
                if old is not None:
                    self._let_go(old)
                _log.info("generation %s is being served", manifest.generation)
        except NoGeneration:
            raise
        except BaseException as error:
            self._note_failure(signature, error)
            # What is half loaded is not to be kept along with the error.
            for one in (error, error.__cause__, error.__context__):
                traceback.clear_frames(one.__traceback__ if one else None)
            raise
        self._seen, self._failure, self._newer, self._prepared = signature, None, None, {}

    def _note_failure(self, signature: _Signature | None, error: BaseException) -> None:
        before = self._failure
        again = before is not None and before.signature == signature
        if isinstance(error, StoreUnavailable):
            pause_s = _ASK_SERVER_AFTER_S if self._held is None else self._reopen_after_s
        elif before is not None and again:
            pause_s = min(2 * before.pause_s, _REOPEN_AFTER_AT_MOST_S)
        else:
            pause_s = self._reopen_after_s
        self._failure = _Failure(signature, error, pause_s, self._clock() + pause_s)
        generation = None
        with suppress(TwinLensError):
            generation = self._data.read_current()
        state: NewerState = "no_model" if isinstance(error, EncoderError) else "unusable"
        if isinstance(error, LensesChanged):
            state = "other_lenses"
        self._newer = Newer(generation, state)
        if before is not None and again and str(before.error) == str(error):
            return  # it is logged already
        _log.error(
            "the published generation can't be used, %s; it is tried again in %g s: %s",
            "and none is open" if self._held is None else "and the open one goes on serving",
            pause_s,
            error,
            exc_info=None if isinstance(error, TwinLensError) else error,
        )

    def _open(self, manifest: Manifest) -> Snapshot:
        lenses = self._prepare_lenses(manifest)
        frequencies = read_frequencies(self._data, manifest)
        reader = self._open_reader(manifest)
        searcher = Searcher(
            reader,
            generation=manifest.generation,
            lenses=lenses,
            thumbnails=self._data.thumbnails,
            made_at=manifest.made_at,
            frequencies=frequencies,
        )
        browser = Browser(reader, generation=manifest.generation)
        return Snapshot(manifest, lenses, reader, searcher, browser)

    def _prepare_lenses(self, manifest: Manifest) -> Lenses:
        """Return the lenses that made a generation, among them those that are open already."""
        held = {} if self._held is None else self._held.snapshot.lenses
        lenses = {
            name: lens
            for opened in (self._prepared, held)
            for name, lens in opened.items()
            if name in manifest.lenses and lens.fingerprint == manifest.lenses[name].fingerprint
        }
        missing = manifest.lenses.keys() - lenses.keys()
        if missing:
            lenses |= self._open_lenses(manifest, missing)
        check_lenses(manifest, lenses)
        self._prepared = {name: lenses[name] for name in manifest.lenses}
        return self._prepared

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
    differing = manifest.list_differences(lenses)
    if differing:
        raise LensesChanged(
            f"generation {manifest.generation} was made by other lenses "
            f"({'; '.join(differing)}). Serve it with the lenses that made it, or index "
            "again with these"
        )
