"""What the server around the application and the application tell each other of a request."""

from __future__ import annotations

import errno
from contextvars import ContextVar
from typing import Final

# When the head of the request at hand was whole, by time.perf_counter; none outside of `serve`.
arrived: Final[ContextVar[float | None]] = ContextVar("arrived", default=None)


class TooSlow(TimeoutError):
    """The caller has not sent its body, or not taken its answer, in time."""

    def __init__(self) -> None:
        # By this number gunicorn takes it for a connection that was lost, and makes no ado.
        super().__init__(errno.ECONNRESET, "the caller is too slow")
