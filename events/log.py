"""The interface of every event log: one over SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import pyarrow as pa

from twinlens.events.event import Event, EventType

# A table of events, as `scan` gives it and as Parquet files hold it: a column a field of `Event`.
EVENT_SCHEMA: Final = pa.schema(
    [
        ("type", pa.dictionary(pa.int8(), pa.string())),
        ("event_id", pa.string()),
        ("person_id", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("video_id", pa.string()),
        ("watch_id", pa.string()),
        ("watched_s", pa.float32()),
        ("duration_s", pa.float32()),
        ("query_id", pa.string()),
        ("feed_id", pa.string()),
        ("position", pa.int32()),
        ("seen", pa.bool_()),
        ("chance", pa.float32()),
        ("surface", pa.string()),
        ("text", pa.string()),
        ("undoes", pa.string()),
        ("region", pa.string()),
        ("device", pa.string()),
        ("language", pa.string()),
    ]
)


class Appended(NamedTuple):
    """What became of events: how many were ``new`` and ``known``, and which were refused.

    ``conflicts`` are places in what was given: their ``event_id`` is known with other content.
    """

    new: int
    known: int
    conflicts: Sequence[int]


@dataclass(frozen=True, slots=True)
class FrozenFeed:
    """The hits of a feed, in their order, so that its later pages never repeat an earlier one.

    ``window`` is the feed's own JSON text.
    """

    feed_id: str
    person_id: str
    window: str
    until: datetime


class EventLog(Protocol):
    """Keeps events by person. Several processes may write and read at once."""

    def append(self, events: Sequence[Event]) -> Appended:
        """Keep events; when this returns, they survive a loss of power.

        Of the heartbeats of one ``watch_id`` the log keeps one row, with the most ``watched_s``.

        Raises:
            StoreUnavailable: the log can't be written now; nothing of the call was kept.
        """
        ...

    def read_person(
        self, person_id: str, *, limits: Mapping[EventType, int] | None = None
    ) -> list[Event]:
        """Return a person's events in order of time, the latest last; all of them without limits.

        ``limits`` says how many of the latest of each type are wanted; a type that is not named is
        left out.
        """
        ...

    def scan(
        self, *, after: int = 0, types: Sequence[EventType] | None = None, batch_size: int = 50_000
    ) -> Iterator[tuple[pa.Table, int]]:
        """Yield tables of ``EVENT_SCHEMA`` in the order of arrival, each with its last place.

        ``after`` is such a place: what came later is read. A row that changed (a heartbeat) has
        a new place.
        """
        ...

    def remove(self, person_id: str, event_id: str) -> bool:
        """Remove one event of a person; return whether it was there."""
        ...

    def merge(self, person_id: str, into: str) -> int:
        """Give the events of one person to another, as at a log-in; return how many."""
        ...

    def forget(self, person_id: str) -> int:
        """Remove all that is kept of a person, without a trace in the files; return how many."""
        ...

    def prune(self, before: datetime) -> int:
        """Remove events that are older; return how many."""
        ...

    def freeze(self, feed: FrozenFeed) -> None:
        """Keep the window of a feed until its time has passed."""
        ...

    def read_frozen(self, feed_id: str) -> FrozenFeed | None:
        """Return the window of a feed, or None where it is unknown or its time has passed."""
        ...

    def count(self) -> int:
        """Return how many events are kept."""
        ...

    def close(self) -> None:
        """Let go of files and connections; a second call does nothing."""
        ...
