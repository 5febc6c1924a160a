"""A circuit breaker: while a server doesn't answer, requests fail at once instead of waiting.

Source: M. Nygard, Release It!, 2nd ed., 2018, section 5.2. Here no caller's request is risked to
find out whether all is well again: a probe of its own is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from twinlens.catalog.errors import StoreError, StoreUnavailable

PROBE_EVERY_S: Final = 1.0
# Twice in a row, so that a single slow answer shuts nobody out.
_FAILURES_THAT_OPEN: Final = 2
_PROBE_AGAIN_AFTER_S: Final = 0.2

_log = logging.getLogger(__name__)


class Breaker:
    """Asks ``probe`` every second; open as long as it fails.

    ``probe`` raises a `StoreError` where the server ``name`` can't be used, within a second or so.
    Whatever else it raises is logged, and is an answer.
    """

    def __init__(
        self, probe: Callable[[], object], *, name: str, every_s: float = PROBE_EVERY_S
    ) -> None:
        self._probe = probe
        self._name = name
        self._every_s = every_s
        self._opened_at: float | None = None
        self._why = ""
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="breaker", daemon=True).start()

    @property
    def is_open(self) -> bool:
        """Whether requests are to fail."""
        return self._opened_at is not None

    def check(self) -> None:
        """Return at once if the server answers.

        Raises:
            StoreUnavailable: it does not.
        """
        opened_at = self._opened_at
        if opened_at is not None:
            raise StoreUnavailable(
                f"for {time.monotonic() - opened_at:.0f} s now, and tried all the time: {self._why}"
            )

    def close(self) -> None:
        """Ask no more."""
        self._ended.set()

    def _watch(self) -> None:
        failed = 0
        while not self._ended.wait(_PROBE_AGAIN_AFTER_S if failed else self._every_s):
            failed = 0 if self._is_answered() else failed + 1
            if failed == 0 and self._opened_at is not None:
                _log.warning(
                    "%s answers again, after %.1f s", self._name, time.monotonic() - self._opened_at
                )
                self._opened_at = None
            elif failed == _FAILURES_THAT_OPEN and not self._ended.is_set():
                self._opened_at = time.monotonic()
                _log.error("searches fail at once until this is over: %s", self._why)

    def _is_answered(self) -> bool:
        try:
            self._probe()
        except StoreError as error:
            self._why = str(error)
            return False
        except Exception:  # noqa: BLE001 - it is an answer, and the watch goes on
            if not self._ended.is_set():
                _log.exception("%s could not be asked", self._name)
        return True
