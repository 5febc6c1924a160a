"""How long several searches of one request may go on."""

from __future__ import annotations

import time
from collections.abc import Callable


class OutOfTime(Exception):
    """What went before has taken all the time there was."""


class TimeBudget:
    """``seconds`` from now on, in which several searches may begin."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = clock() + seconds

    def check(self) -> None:
        """Return as long as there is time.

        Raises:
            OutOfTime: there is none.
        """
        if self._clock() > self._until:
            raise OutOfTime
