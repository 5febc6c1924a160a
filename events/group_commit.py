"""One transaction for what several threads append at once: the disk is waited for once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twinlens.catalog.errors import StoreError
from twinlens.events.event import Event
from twinlens.events.log import Appended

Write = Callable[[Sequence[Sequence[Event]]], Sequence[Appended]]


@dataclass(slots=True, eq=False)
class _Call:
    events: Sequence[Event]
    appended: Appended | None = None
    error: StoreError | None = None


class GroupCommit:
    """Gives ``write`` the events of all calls that came while it was writing those before.

    A thread whose turn it is writes for all that wait; most find that theirs is done.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: list[_Call] = []
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def append(self, events: Sequence[Event]) -> Appended:
        """Return what became of ``events``, once they are written.

        Raises:
            StoreError: that of the transaction that they were in; nothing of it was kept.
        """
        call = _Call(events)
        with self._lock:
            self._waiting.append(call)
        with self._turn:
            if call.appended is None and call.error is None:
                self._write_all()
        if call.error is not None:
            raise type(call.error)(str(call.error)) from call.error
        assert call.appended is not None
        return call.appended

    def _write_all(self) -> None:
        with self._lock:
            calls, self._waiting = self._waiting, []
        try:
            for call, appended in zip(
                calls, self._write([call.events for call in calls]), strict=True
            ):
                call.appended = appended
        except StoreError as error:
            for call in calls:
                call.error = error
        except BaseException:  # a mistake of ours: this thread says so, and the others don't hang
            for call in calls:
                call.error = StoreError("the events could not be written")
            raise
