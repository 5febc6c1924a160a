"""What one event is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EventType(StrEnum):
    """What happened; the values are stable: they stand in the API and in logs."""

    WATCH = "watch"
    """A video plays: heartbeats of one playback share a ``watch_id``."""
    IMPRESSION = "impression"
    """A video was shown in a feed or among hits."""
    CLICK = "click"
    """A video that was shown was opened."""
    SEARCH = "search"
    """A search on which its person has settled, not each letter of it."""
    LIKE = "like"
    DISLIKE = "dislike"
    NOT_INTERESTED = "not_interested"
    UNDO = "undo"
    """An earlier event of the same person counts no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that a person did, or that was shown to them.

    ``event_id`` is the caller's: the same one again changes nothing. ``at`` is timezone-aware; None
    in a log that knows only the order, whose events come before all that have a time.
    ``watched_s`` is how many seconds of a playback have been seen so far: of the heartbeats of one
    ``watch_id`` the largest counts. ``query_id`` and ``feed_id`` are those of the answer that
    showed the video, ``position`` its place in it, from 1. ``seen``: the video came into view;
    False where it is only known that it was served. ``chance`` is the probability with which
    exploration chose it; None where nothing was left to chance. ``undoes`` is the ``event_id`` that
    an undo takes back. ``region``, ``device`` and ``language`` are what its page knew of the
    person at that moment.
    """

    type: EventType
    event_id: str
    person_id: str
    at: datetime | None
    video_id: str | None = None
    watch_id: str | None = None
    watched_s: float | None = None
    duration_s: float | None = None
    query_id: str | None = None
    feed_id: str | None = None
    position: int | None = None
    seen: bool | None = None
    chance: float | None = None
    surface: str | None = None
    text: str | None = None
    undoes: str | None = None
    region: str | None = None
    device: str | None = None
    language: str | None = None
