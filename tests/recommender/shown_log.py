"""A tiny log of what was shown: feeds of some videos each, clicks, and seconds watched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np

from tests.recommender.drawn_log import START
from twinlens.events.event import Event, EventType


def draw_feeds(
    watch: Callable[[int, int, np.random.Generator], float],
    *,
    people: int = 40,
    days: int = 4,
    hits: int = 5,
    videos: int = 40,
    seed: int = 0,
    duration_s: float | None = None,
) -> list[Event]:
    """Each person is shown a feed a day; ``watch`` says how many seconds (0: no click) of a video.

    It gets the numbers of the person and the video, and a generator.
    """
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    for day in range(days):
        for person in range(people):
            at = START + timedelta(days=day, minutes=10 * person + 5)
            who = {"person_id": f"p{person:03d}", "feed_id": f"f{day}-{person}"}
            for place, video in enumerate(rng.choice(videos, hits, replace=False)):
                what = {**who, "video_id": f"v{video}"}
                key = f"{day}-{person}-{place}"
                events.append(
                    Event(
                        type=EventType.IMPRESSION,
                        event_id=f"i{key}",
                        at=at,
                        position=place + 1,
                        seen=True,
                        language="en",
                        **what,
                    )
                )
                seconds = watch(person, int(video), rng)
                if not seconds:
                    continue
                clicked = at + timedelta(minutes=place + 1)
                events.append(Event(type=EventType.CLICK, event_id=f"c{key}", at=clicked, **what))
                events.append(
                    Event(
                        type=EventType.WATCH,
                        event_id=f"w{key}",
                        watch_id=f"w{key}",
                        at=clicked,
                        watched_s=seconds,
                        duration_s=duration_s,
                        **what,
                    )
                )
    return events
