"""Calls that go on beside each other, a few at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final, Generic, TypeVar

TokenT = TypeVar("TokenT")

# A process that was told to end doesn't wait for a server that is away.
_GRACE_S: Final = 5.0


class Streams(Generic[TokenT]):
    """Up to ``most`` calls under way at once, in threads; with 0, each is made where it is begun.

    Whoever begins one more waits for the oldest: so fast is what they call. Each comes with a token
    that says when it is done, in the order in which they were begun.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: deque[tuple[Future[None], TokenT]] = deque()

    def begin(self, call: Callable[[], object], token: TokenT) -> list[TokenT]:
        """Begin a call, and return the tokens of those that had to end first.

        Raises whatever one of those raised.
        """
        if self._most == 0:
            call()
            return [token]
        done = [self._wait_for_oldest() for _ in range(len(self._under_way) - self._most + 1)]
        result: Future[None] = Future()
        threading.Thread(target=_run, args=(call, result), name="stream", daemon=True).start()
        self._under_way.append((result, token))  # only now: without a thread it would never end
        return done

    def finish(self) -> list[TokenT]:
        """Wait for all that are under way, and return their tokens.

        Raises whatever one of them raised.
        """
        for result, _ in self._under_way:
            result.result()
        done = [token for _, token in self._under_way]
        self._under_way.clear()
        return done

    def close(self) -> list[TokenT]:
        """Wait a moment for what is under way, and return the tokens of what ended well."""
        done, _ = wait([result for result, _ in self._under_way], timeout=_GRACE_S)
        ended = [
            token
            for result, token in self._under_way
            if result in done and result.exception() is None
        ]
        self._under_way.clear()
        return ended

    def _wait_for_oldest(self) -> TokenT:
        result, token = self._under_way[0]
        result.result()
        self._under_way.popleft()
        return token


def _run(call: Callable[[], object], result: Future[None]) -> None:
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits, whatever it is
        result.set_exception(error)
    else:
        result.set_result(None)
