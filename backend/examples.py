"""Examples for the OpenAPI document: requests that can be sent as they are, and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twinlens.backend.problem_kinds import Code
from twinlens.backend.problems import FieldError
from twinlens.catalog.fields import FIELDS
from twinlens.encoders.lenses import find_lenses

Json = dict[str, Any]
REQUEST_ID: Final = "9f2c1e8a4b7d4c0f8e6a5b3c2d1f0e9a"
VIDEO_ID: Final = "dQw4w9WgXcQ"
GENERATION: Final = "20261121T083000.123Z-5f2c9a"
CURSOR: Final = "eyJnIjoiMjAyNjExMjFUMDgzMDAwIn0"
PERSON_ID: Final = "p-5f2c9a"
EVENT_ID: Final = "0b9d6c1e-53a4"
MODEL: Final = "20261128T020000.000Z-1d2e3f"
_FILTER: Final[Json] = {"language": ["si", "ta"], "view_count": {"gte": 1000}}
# One pixel: small enough to stand in a page.
_PICTURE: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5E"
    "rkJggg=="
)
VIDEO: Final[Json] = dict.fromkeys(FIELDS.names) | {
    "video_id": VIDEO_ID,
    "title": "Cricket final: the last over",
    "channel": "Island Sports",
    "category": "sports",
    "language": "en",
    "tags": ["cricket", "final"],
    "published_at": "2024-03-01T00:00:00Z",
    "duration_s": 612.0,
    "view_count": 12345,
    "url": None,
    "like_count": 678,
    "channel_id": "UC-island",
    "playlist": "Finals",
    "chapters": ["First innings", "The last over"],
    "thumbnail_url": f"/api/v1/videos/{VIDEO_ID}/thumbnail",
}
_ANSWER: Final[Json] = {
    "hits": [{"video": VIDEO, "score": 0.875, "rank": 1, "match": 0.97}],
    "next_cursor": CURSOR,
    "window": 200,
    "total": 531,
    "total_relation": "at_least",
    "match_floor": 0.153,
    "took_ms": 7.1,
    "timings_ms": {"encode": 2.2, "search": 4.1, "fuse": 0.1, "fetch": 0.3},
    "query_id": REQUEST_ID,
    "generation": GENERATION,
}
_TOGETHER: Final[Json] = {
    "took_ms": 12.9,
    "timings_ms": {"encode": 4.4, "search": 7.2, "fuse": 0.2, "fetch": 0.6},
    "query_id": REQUEST_ID,
    "generation": GENERATION,
}
_FACETS: Final[Json] = {
    "language": {"values": [{"value": "si", "count": 32}, {"value": "ta", "count": 12}]},
    "view_count": {"min": 3, "max": 90000},
}
_EXPLAINED: Final[Json] = _ANSWER | {
    "hits": [
        {
            "video": VIDEO,
            "score": 0.875,
            "rank": 1,
            "match": 0.97,
            "sources": dict.fromkeys(find_lenses())
            | {"title": {"rank": 1, "score": 0.83}, "words": {"rank": 1, "score": 10.7}},
            "pinned": False,
            "boosts": [{"field": "view_count", "share": 0.08}],
        }
    ],
    "borrowed_from": [VIDEO_ID],
    "words_coverage": 0.85,
    "also_asked": ["cricket finale"],
}
_FOLDED: Final[Json] = _ANSWER | {"hits": [_ANSWER["hits"][0] | {"duplicates": ["3JZ_D3ELwOQ"]}]}
# Hits of no text.
_LIKE: Final[Json] = {key: part for key, part in _ANSWER.items() if key != "match_floor"} | {
    "hits": [{"video": VIDEO, "score": 0.875, "rank": 1}]
}
_RECOMMENDED: Final[Json] = _LIKE | {
    "hits": [
        {key: part for key, part in _EXPLAINED["hits"][0].items() if key != "match"}
        | {
            "sources": _EXPLAINED["hits"][0]["sources"] | {"learned": {"rank": 2, "score": 0.71}},
            "because": ["9bZkp7q19f0"],
        }
    ],
    "borrowed_from": [],
    "words_coverage": None,
    "also_asked": [],
    "model": MODEL,
}
_HIGHLIGHTED: Final[Json] = _ANSWER | {
    "hits": [
        {
            "video": {"video_id": VIDEO_ID, "title": VIDEO["title"]},
            "score": 0.875,
            "rank": 1,
            "match": 0.97,
            "highlight": {
                "title": [
                    {"text": "Cricket", "matched": True},
                    {"text": " ", "matched": False},
                    {"text": "final", "matched": True},
                    {"text": ": the last over", "matched": False},
                ],
                "labels": [{"field": "tags", "parts": [{"text": "cricket", "matched": True}]}],
            },
        }
    ],
    "channels": [{"name": "Cricket Final", "videos": 12}],
}
_BROWSED: Final[Json] = {
    "videos": [VIDEO],
    "next_cursor": CURSOR,
    "total": 1234,
    "seed": None,
    "took_ms": 1.2,
    "timings_ms": {"count": 0.1, "browse": 0.4, "facets": 0.1},
    "query_id": REQUEST_ID,
    "generation": GENERATION,
}

SEARCH_PARAMETERS: Final[Mapping[str, Json]] = {
    "words": {"q": "cricket final", "limit": 5},
    "filtered": {"q": "cricket", "filter": _FILTER, "explain": True},
    "highlighted": {"q": "cricket final", "highlight": True, "attributes": ["title"]},
    "weighed": {"q": "cricket", "weights": {"title": 1, "words": 2, "thumbnail": 0}},
    "what fits": {"q": "cricket final", "min_match": 0.153},
    "phrases": {"q": '"cricket final" -highlights', "exclude": ["3JZ_D3ELwOQ"]},
    "steered": {
        "q": "cricket",
        "boost": [{"field": "view_count", "weight": 0.2}],
        "sort": "published_at:desc",
        "max_per_channel": 3,
    },
}
_BOOST: Final[list[Json]] = [
    {"field": "view_count"},
    {"field": "published_at", "half_life_days": 30, "weight": 0.2},
]
SIMILAR_PARAMETERS: Final[Mapping[str, Json]] = {"why": {"limit": 10, "explain": True}}
SEARCHES: Final[Mapping[str, Json]] = {
    "words": {"text": "cricket final", "limit": 5},
    "filtered": {"text": "cricket final", "filter": _FILTER, "explain": True},
    "picture": {"image": _PICTURE, "text": "at night"},
    "counted": {"text": "cricket", "facets": ["language", "view_count"]},
    "counted beside the filter": {
        "text": "cricket",
        "filter": {"language": "si", "has_thumbnail": True},
        "facets": ["language", "channel"],
        "facet_query": {"channel": "isl"},
        "disjunctive_facets": True,
    },
    "varied": {"text": "cricket", "diversity": 0.5, "collapse_duplicates": True},
    "like a video": {"video_id": VIDEO_ID, "weights": {"words": 0}},
    "what fits": {"text": "cricket final", "min_match": 0.153},
    "phrases": {"text": '"cricket final" -highlights', "exclude": ["3JZ_D3ELwOQ"]},
    "steered": {"text": "cricket", "boost": _BOOST, "max_per_channel": 3},
    "sorted": {"text": "cricket final", "sort": "published_at:desc", "window": 50},
}
RECOMMENDATIONS: Final[Mapping[str, Json]] = {
    "a watch history": {"liked": [VIDEO_ID, "9bZkp7q19f0"], "limit": 10},
    "thumbs": {"liked": [VIDEO_ID], "disliked": ["kJQP7kiw5Fk"], "explain": True},
}
MULTI_SEARCHES: Final[Mapping[str, Json]] = {
    "apart": {
        "searches": [
            {"text": "cricket final", "limit": 5},
            {"video_id": VIDEO_ID, "filter": _FILTER},
        ]
    },
    "fused": {
        "searches": [{"text": "cricket final"}, {"text": "කාලගුණය", "weight": 0.5}],
        "fuse": True,
        "limit": 10,
    },
}
MULTI_SEARCH_ANSWERS: Final[Mapping[str, Json]] = {
    "apart": _TOGETHER
    | {
        "results": [
            _ANSWER,
            {
                "problem": {
                    "type": "/docs/errors#video_not_found",
                    "title": "No such video",
                    "status": 404,
                    "code": "video_not_found",
                    "detail": "no video 'abc' in this index",
                    "request_id": REQUEST_ID,
                }
            },
        ]
    },
    "fused": _TOGETHER
    | {
        "hits": [
            {
                "video": VIDEO,
                "score": 0.25,
                "rank": 1,
                "match": 0.97,
                "found_by": [{"search": 0, "rank": 1}, {"search": 1, "rank": 7}],
            }
        ],
        "next_cursor": CURSOR,
        "window": 200,
        "total": 846,
        "total_relation": "at_least",
        "match_floor": 0.153,
    },
}
SEARCH_ANSWERS: Final[Mapping[str, Json]] = {
    "a page": _ANSWER,
    "explained": _EXPLAINED,
    "highlighted": _HIGHLIGHTED,
    "counted": _ANSWER | {"facets": _FACETS},
    "without re-uploads": _FOLDED,
}
RECOMMENDATION_ANSWERS: Final[Mapping[str, Json]] = {
    "a page": _LIKE,
    "explained": _RECOMMENDED,
    "with a damaged model": _LIKE | {"fallback": ["damaged_model"]},
    "of videos of which one is gone": _LIKE | {"missing": ["9bZkp7q19f0"]},
}
BROWSE_PARAMETERS: Final[Mapping[str, Json]] = {
    "the newest": {"sort": "published_at:desc", "limit": 10, "facets": ["language", "view_count"]},
    "filtered": {"filter": _FILTER, "sort": "view_count:desc", "attributes": ["title"]},
    "a random page": {"order": "random", "seed": 7},
    "since a day": {"filter": {"published_at": {"gte": "2024-05-01"}, "has_thumbnail": True}},
    "channels that begin so": {
        "limit": 1,
        "facets": ["channel"],
        "facet_query": {"channel": "isl"},
    },
}
BROWSE_ANSWERS: Final[Mapping[str, Json]] = {
    "a page": _BROWSED,
    "a random page": _BROWSED | {"seed": 7},
    "counted": _BROWSED | {"facets": _FACETS},
}
LOOKUPS: Final[Mapping[str, Json]] = {
    "a watch list": {"video_ids": [VIDEO_ID, "9bZkp7q19f0"]},
    "titles": {"video_ids": [VIDEO_ID], "attributes": ["title", "thumbnail_url"]},
}
LOOKUP_ANSWERS: Final[Mapping[str, Json]] = {
    "one is gone": {"videos": [VIDEO], "missing": ["9bZkp7q19f0"], "generation": GENERATION},
    "all are there": {"videos": [VIDEO], "missing": [], "generation": GENERATION},
}
SUGGEST_PARAMETERS: Final[Mapping[str, Json]] = {
    "a word half typed": {"q": "cric", "limit": 5},
    "misspelt": {"q": "crikcet fi"},
}
_SUGGESTED: Final[Json] = {
    "suggestions": [
        {
            "kind": "channel",
            "text": "Cricket Island",
            "video_id": None,
            "thumbnail_url": None,
            "videos": 32,
        },
        {
            "kind": "title",
            "text": VIDEO["title"],
            "video_id": VIDEO_ID,
            "thumbnail_url": VIDEO["thumbnail_url"],
            "videos": None,
        },
    ],
    "did_you_mean": None,
    "took_ms": 0.9,
    "query_id": REQUEST_ID,
    "generation": GENERATION,
}
SUGGEST_ANSWERS: Final[Mapping[str, Json]] = {
    "a word half typed": _SUGGESTED,
    "misspelt": _SUGGESTED | {"did_you_mean": "cricket fi"},
}
VIDEO_ANSWERS: Final[Mapping[str, Json]] = {"a video": {"video": VIDEO, "generation": GENERATION}}
STATS_ANSWERS: Final[Mapping[str, Json]] = {
    "published": {
        "generation": GENERATION,
        "created_at": "2026-11-21T08:30:00.123Z",
        "engine": "embedded",
        "counts": {"videos": 20000, "title": 20000, "thumbnail": 19874, "words": 20000},
        "encoders": {
            "title": {"name": "packaged:use-m3", "fingerprint": "0c5d…", "dim": 512},
            "thumbnail": {"name": "packaged:denoiser", "fingerprint": "71ab…", "dim": 128},
        },
        "versions": {"python": "3.11.2", "twinlens": "0.1.0"},
        "recommender": {
            "model": MODEL,
            "trained_at": "2026-11-28T02:00:00+00:00",
            "age_s": 28800.5,
            "trained_on": {"watches": 120000, "people": 4000},
            "evaluation": {
                "protocol": "next-day",
                "people": 1800,
                "figures": {"popular": {"HR@50": 0.14}, "learned": {"HR@50": 0.24}},
            },
            "feeds": {"none": 0.75, "no_history": 0.25},
        },
    }
}
HEALTHZ_ANSWERS: Final[Mapping[str, Json]] = {"alive": {"status": "ok"}}
READYZ_ANSWERS: Final[Mapping[str, Json]] = {
    "ready": {"status": "ready", "generation": GENERATION},
    "a_newer_one_is_loading": {
        "status": "ready",
        "generation": GENERATION,
        "newer": {"generation": "20261122T083000.456Z-c0ffee", "state": "loading"},
    },
    "with_damaged_rules": {
        "status": "ready",
        "generation": GENERATION,
        "rules": "rules.toml: queries 3 pin: Field required",
    },
}

_WATCH: Final[Json] = {
    "type": "watch",
    "event_id": EVENT_ID,
    "person_id": PERSON_ID,
    "at": "2026-11-28T10:00:00Z",
    "video_id": VIDEO_ID,
    "watch_id": "w-71",
    "watched_s": 41.5,
}
EVENTS: Final[Mapping[str, Json]] = {
    "a heartbeat and a click": {
        "events": [
            _WATCH,
            {
                "type": "click",
                "event_id": "5ac1",
                "person_id": PERSON_ID,
                "at": "2026-11-28T09:59:12Z",
                "video_id": VIDEO_ID,
                "query_id": REQUEST_ID,
                "position": 3,
            },
        ],
        "sent_at": "2026-11-28T10:00:05Z",
    }
}
EVENTS_ANSWERS: Final[Mapping[str, Json]] = {
    "all kept": {"accepted": 2, "known": 0, "not_kept": 0, "rejected": []},
    "one not valid": {
        "accepted": 1,
        "known": 0,
        "not_kept": 0,
        "rejected": [
            {
                "index": 1,
                "code": "field_missing",
                "field": "video_id",
                "message": "video_id: needed in an event of type click",
            }
        ],
    },
}
PERSON_ANSWERS: Final[Mapping[str, Json]] = {
    "a history": {"person_id": PERSON_ID, "events": [_WATCH]}
}
REMOVED_ANSWERS: Final[Mapping[str, Json]] = {"removed": {"removed": 1}}
MERGES: Final[Mapping[str, Json]] = {"a log-in": {"into": "user-7"}}
MERGED_ANSWERS: Final[Mapping[str, Json]] = {"merged": {"merged": 12}}

DETAILS: Final[Mapping[Code, str]] = {
    Code.VALIDATION_FAILED: "not valid: limit",
    Code.VIDEO_NOT_FOUND: "no video 'abc' in this index",
    Code.THUMBNAIL_NOT_FOUND: "video 'abc' has no thumbnail",
}
FIELD_ERRORS: Final[Mapping[Code, list[FieldError]]] = {
    Code.VALIDATION_FAILED: [
        FieldError(
            "limit", "Input should be less than or equal to 100", "a whole number from 1 to 100"
        )
    ],
    Code.PICTURE_REJECTED: [
        FieldError("image", "it is cut short", "a whole JPEG, PNG, WebP, AVIF, GIF or BMP picture")
    ],
}
