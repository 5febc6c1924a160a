"""A tiny log with a taste: people of two kinds watch videos of their kind, in a known order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from twinlens.events.event import Event, EventType
from twinlens.events.log import EVENT_SCHEMA
from twinlens.recommender.videos import VideoTable
from twinlens.stores.base import StoredVideo

START = datetime(2026, 3, 1, tzinfo=UTC)
VIDEOS = 40


def to_table(events: Sequence[Event]) -> pa.Table:
    columns = {
        name: [getattr(event, name) for event in events]
        for name in EVENT_SCHEMA.names
        if name != "type"
    }
    kinds = pa.array([event.type.value for event in events], pa.string()).dictionary_encode()
    arrays = [
        kinds.cast(field.type)
        if field.name == "type"
        else pa.array(columns[field.name], field.type)
        for field in EVENT_SCHEMA
    ]
    return pa.table(arrays, schema=EVENT_SCHEMA)


def draw_videos(count: int = VIDEOS, *, seed: int = 0) -> VideoTable:
    """Half of them are of one kind: channel, tags and title vector say which."""
    rng = np.random.default_rng(seed)
    videos = []
    for at in range(count):
        kind = at % 2
        vector = rng.normal(size=8) * 0.3
        vector[kind] += 2
        payload = {
            "video_id": f"v{at}",
            "channel": f"channel {kind}",
            "language": "en",
            "tags": [f"tag {kind}", "all"],
            "duration_s": 60.0 + at,
            "published_at": f"2026-02-{1 + at % 28:02d}T00:00:00Z",
        }
        unit = (vector / np.linalg.norm(vector)).astype(np.float32)
        videos.append(StoredVideo(f"v{at}", payload, {"title": unit}))
    return VideoTable.from_videos(videos)


def draw_events(
    people: int = 60, watches: int = 12, *, timed: bool = True, seed: int = 0, videos: int = VIDEOS
) -> list[Event]:
    """Each person watches on from a video of their kind to the next of it, round and round."""
    rng = np.random.default_rng(seed)
    events = []
    for person in range(people):
        kind, at = person % 2, int(rng.integers(videos // 2))
        for number in range(watches):
            when = START + timedelta(hours=6 * number, minutes=person) if timed else None
            who = {"event_id": f"{person}-{number}", "person_id": f"p{person:03d}", "at": when}
            video_id = f"v{2 * ((at + number) % (videos // 2)) + kind}"
            events.append(
                Event(
                    type=EventType.WATCH,
                    video_id=video_id,
                    region=f"r{kind}",
                    watched_s=40.0,
                    **who,
                )
            )
            if number % 4 == 0:
                who["event_id"] += "s"
                events.append(Event(type=EventType.SEARCH, text=f"kind {kind} please", **who))
    return events
