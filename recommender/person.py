"""What is known of a person at a moment, as the networks and the feed see it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from twinlens.events.event import Event, EventType

# How many of the latest of each type are looked at: training and serving see the same.
MOST_KNOWN: Final[Mapping[EventType, int]] = {
    EventType.WATCH: 300,
    EventType.IMPRESSION: 500,
    EventType.CLICK: 300,
    EventType.SEARCH: 50,
    EventType.LIKE: 100,
    EventType.DISLIKE: 100,
    # Each bans a video, until it is undone.
    EventType.NOT_INTERESTED: 2_000,
    EventType.UNDO: 2_000,
}
# A watch of this many seconds, or of this share of the video, is a completed one: a positive.
COMPLETED_S: Final = 30.0
COMPLETED_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where and how someone asks; None is not known. ``age`` is in years."""

    region: str | None = None
    device: str | None = None
    language: str | None = None
    gender: str | None = None
    age: float | None = None
    logged_in: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person's events that still count, each kind in order of time, the latest last.

    ``watches`` has one event a playback, with its most ``watched_s``. ``impressions`` has one a
    feed and video, as ``seen`` if it was ever seen.
    """

    person_id: str | None = None
    watches: Sequence[Event] = ()
    impressions: Sequence[Event] = ()
    clicks: Sequence[Event] = ()
    searches: Sequence[Event] = ()
    likes: Sequence[Event] = ()
    dislikes: Sequence[Event] = ()
    not_interested: Sequence[Event] = ()

    @property
    def has_history(self) -> bool:
        """Whether anything is known by which videos can be chosen."""
        return bool(self.watches or self.clicks or self.searches or self.likes)

    @classmethod
    def from_events(cls, events: Iterable[Event], person_id: str | None = None) -> Person:
        """Return the person whose events these are, in any order; the latest ``MOST_KNOWN``."""
        undone: set[str] = set()
        kinds: dict[EventType, dict[tuple[str | None, ...], Event]] = defaultdict(dict)
        for event in sorted(events, key=_order):
            if event.type is EventType.UNDO:
                undone.add(event.undoes or "")
                continue
            kind, key = kinds[event.type], _identify(event)
            kind[key] = _merge(kind[key], event) if key in kind else event
        latest = {
            type_: sorted(
                (event for event in kind.values() if event.event_id not in undone), key=_order
            )[-MOST_KNOWN[type_] :]
            for type_, kind in kinds.items()
        }
        return cls(
            person_id=person_id,
            watches=latest.get(EventType.WATCH, ()),
            impressions=latest.get(EventType.IMPRESSION, ()),
            clicks=latest.get(EventType.CLICK, ()),
            searches=latest.get(EventType.SEARCH, ()),
            likes=latest.get(EventType.LIKE, ()),
            dislikes=latest.get(EventType.DISLIKE, ()),
            not_interested=latest.get(EventType.NOT_INTERESTED, ()),
        )


def is_completed(watched_s: float | None, duration_s: float | None) -> bool:
    """Return whether a watch is a completed one; where no seconds are known, it is."""
    if watched_s is None:
        return True
    return watched_s >= COMPLETED_S or bool(
        duration_s and watched_s >= COMPLETED_SHARE * duration_s
    )


def _order(event: Event) -> tuple[bool, datetime | None]:
    """Sort by time, those without one first; as they came among equals."""
    return event.at is not None, event.at


def _identify(event: Event) -> tuple[str | None, ...]:
    match event.type:
        case EventType.WATCH if event.watch_id is not None:
            return (event.watch_id,)
        case EventType.IMPRESSION if event.feed_id or event.query_id:
            return event.feed_id, event.query_id, event.video_id
        case _ if event.at is not None and event.video_id is not None:
            # The same at the same moment is one thing, told twice.
            return str(event.at.timestamp()), event.video_id
        case _:
            return (event.event_id,)


def _merge(first: Event, later: Event) -> Event:
    """Return one event of two of the same: at the first's time, or when it came into view."""
    if first.seen is False and later.seen is not False:
        first = replace(first, at=later.at, seen=later.seen)
    return replace(
        first,
        watched_s=max(one.watched_s or 0.0 for one in (first, later))
        if first.watched_s is not None or later.watched_s is not None
        else None,
        duration_s=first.duration_s if later.duration_s is None else later.duration_s,
        seen=True if first.seen or later.seen else first.seen,
    )
