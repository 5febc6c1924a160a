"""A small honest event log in memory, and events to write into it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from twinlens.events.event import Event, EventType
from twinlens.events.log import EVENT_SCHEMA, Appended, FrozenFeed

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
_numbers = itertools.count()


def make_event(type_: EventType, person_id: str, video_id: str | None, **given: Any) -> Event:
    """An event an hour ago, a watch of a minute, with a new id; ``given`` says otherwise."""
    values: dict[str, Any] = {
        "event_id": f"e{next(_numbers)}",
        "at": NOW - timedelta(hours=1),
        "video_id": video_id,
    }
    if type_ is EventType.WATCH:
        values |= {"watched_s": 60.0, "duration_s": 100.0}
    return Event(type=type_, person_id=person_id, **values | given)


def watch(person_id: str, video_id: str, **given: Any) -> Event:
    return make_event(EventType.WATCH, person_id, video_id, **given)


class MemoryLog:
    """An ``EventLog`` over a list."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.feeds: dict[str, FrozenFeed] = {}

    def append(self, events: Sequence[Event]) -> Appended:
        known = {one.event_id for one in self.events}
        new = [one for one in events if one.event_id not in known]
        self.events += new
        return Appended(len(new), len(events) - len(new), [])

    def read_person(
        self, person_id: str, *, limits: Mapping[EventType, int] | None = None
    ) -> list[Event]:
        found = sorted(
            (one for one in self.events if one.person_id == person_id),
            key=lambda one: (one.at is not None, one.at),
        )
        if limits is None:
            return found
        kept = []
        for type_, most in limits.items():
            kept += [one for one in found if one.type is type_][-most:]
        return sorted(kept, key=lambda one: (one.at is not None, one.at))

    def scan(
        self, *, after: int = 0, types: Sequence[EventType] | None = None, batch_size: int = 50_000
    ) -> Iterator[tuple[pa.Table, int]]:
        for start in range(after, len(self.events), batch_size):
            part = self.events[start : start + batch_size]
            wanted = [one for one in part if types is None or one.type in types]
            yield make_table(wanted), start + len(part)

    def remove(self, person_id: str, event_id: str) -> bool:
        before = len(self.events)
        self.events = [
            one for one in self.events if (one.person_id, one.event_id) != (person_id, event_id)
        ]
        return len(self.events) < before

    def merge(self, person_id: str, into: str) -> int:
        raise NotImplementedError

    def forget(self, person_id: str) -> int:
        before = len(self.events)
        self.events = [one for one in self.events if one.person_id != person_id]
        return before - len(self.events)

    def prune(self, before: datetime) -> int:
        raise NotImplementedError

    def freeze(self, feed: FrozenFeed) -> None:
        self.feeds[feed.feed_id] = feed

    def read_frozen(self, feed_id: str) -> FrozenFeed | None:
        return self.feeds.get(feed_id)

    def count(self) -> int:
        return len(self.events)

    def close(self) -> None:
        pass


def make_table(events: Sequence[Event]) -> pa.Table:
    names = [field.name for field in fields(Event)]
    return pa.table(
        {
            name: pa.array([getattr(one, name) for one in events], EVENT_SCHEMA.field(name).type)
            if name != "type"
            else pa.array([one.type.value for one in events], pa.string()).dictionary_encode()
            for name in names
        }
    ).cast(EVENT_SCHEMA)
