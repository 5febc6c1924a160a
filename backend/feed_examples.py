"""Examples of feeds for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twinlens.backend.examples import CURSOR, GENERATION, MODEL, REQUEST_ID, VIDEO, VIDEO_ID, Json

_EVENTS: Final[list[Json]] = [
    {
        "type": "watch",
        "event_id": "w1",
        "at": "2026-11-28T10:00:00Z",
        "video_id": "9bZkp7q19f0",
        "watched_s": 184.0,
        "duration_s": 252.0,
    },
    {"type": "like", "event_id": "l1", "at": "2026-11-28T10:03:10Z", "video_id": "9bZkp7q19f0"},
]
_HIT: Final[Json] = {
    "video": VIDEO,
    "rank": 1,
    "score": 212.4,
    "expected_watch_s": 212.4,
    "shown_before": 0,
    "chance": None,
}
_ANSWER: Final[Json] = {
    "hits": [_HIT],
    "next_cursor": CURSOR,
    "feed_id": "4f0d7c6a1b2e4f5a9c8d7e6f5a4b3c2d",
    "model": MODEL,
    "fallback": [],
    "took_ms": 9.8,
    "timings_ms": {"person": 1.1, "candidates": 4.0, "rank": 1.9, "arrange": 0.4, "log": 1.2},
    "query_id": REQUEST_ID,
    "generation": GENERATION,
}

FEEDS: Final[Mapping[str, Json]] = {
    "a history sent along": {
        "events": _EVENTS,
        "context": {"language": "si", "region": "LK"},
        "explain": True,
    },
    "of somebody new": {"events": [], "limit": 10, "context": {"language": "ta"}},
    "beside a video": {"events": _EVENTS, "surface": "related", "seed_video_id": VIDEO_ID},
    "the next page": {"events": _EVENTS, "exclude": [VIDEO_ID, "kJQP7kiw5Fk"]},
    "of a person whose events are kept": {
        "person_id": "p1",
        "filter": {"language": ["si", "ta"]},
        "diversity": 0.3,
        "attributes": ["title", "thumbnail_url"],
    },
}
FEED_ANSWERS: Final[Mapping[str, Json]] = {
    "a page": _ANSWER,
    "explained": _ANSWER
    | {
        "hits": [
            _HIT
            | {
                "because": ["9bZkp7q19f0"],
                "sources": {
                    "learned": {"rank": 2, "score": 0.71},
                    "like_history": {"rank": 5, "score": 0.19},
                },
            }
        ]
    },
    "without a model": _ANSWER
    | {
        "hits": [_HIT | {"score": 0.05, "expected_watch_s": None, "chance": 0.02}],
        "next_cursor": None,
        "model": None,
        "fallback": ["no_model", "no_history"],
    },
}
