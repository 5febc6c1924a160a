"""Events of people, for tests that write them into a log."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from twinlens.events.event import Event, EventType

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
