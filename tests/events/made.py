"""Events for tests, by a few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from twinlens.events.event import Event, EventType

AT = datetime(2026, 11, 28, 10, tzinfo=UTC)


def make(event_id: str, type_: str = "watch", person_id: str = "p1", **fields: Any) -> Event:
    """An event at 10:00, or so many ``minutes`` later."""
    at = AT + timedelta(minutes=fields.pop("minutes", 0))
    if type_ not in ("search", "undo"):
        fields.setdefault("video_id", "v1")
    given = {"at": at, **fields}
    return Event(type=EventType(type_), event_id=event_id, person_id=person_id, **given)
