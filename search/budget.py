"""The time within which all searches of one request must begin."""

from __future__ import annotations

import time
from collections.abc import Callable


class OutOfTime(Exception):
    """The searches before this one have used up the time."""


class TimeBudget:
    """``seconds`` from now on, in which several searches may begin."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = clock() + seconds

    def check(self) -> None:
        """Return if there is time left.

        Raises:
            OutOfTime: there is none left.
        """
        if self._clock() > self._until:
            raise OutOfTime
