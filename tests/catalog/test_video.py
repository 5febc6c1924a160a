"""What of a video goes into an index."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from twinlens.catalog.video import Video, read_thumbnail_file, to_payload, to_rfc3339


def test_every_field_that_is_set_is_a_json_value() -> None:
    texts = {"channel": "c", "category": "24", "language": "si", "url": "https://example.org/a"}
    numbers = {"duration_s": 74.0, "view_count": 0}
    published = datetime(2025, 7, 23, 12, 0, 4, tzinfo=UTC)
    video = Video(
        video_id="a",
        title="සිංහල",
        thumbnail=Path("a.jpg"),
        thumbnail_url="https://example.org/a.jpg",
        values={**texts, **numbers, "tags": ("x", "y"), "published_at": published},
    )
    payload = to_payload(video, thumbnail_file="ab.jpg")
    assert json.loads(json.dumps(payload)) == payload
    assert payload == {
        "video_id": "a",
        "title": "සිංහල",
        **texts,
        **numbers,
        "thumbnail_file": "ab.jpg",
        "tags": ["x", "y"],
        "published_at": "2025-07-23T12:00:04Z",
    }
    assert read_thumbnail_file(payload) == "ab.jpg"
    for bare in ({}, {"thumbnail_file": None}, {"thumbnail_file": 3}):
        assert read_thumbnail_file(bare) is None
    assert to_payload(Video(video_id="a"), thumbnail_file=None) == {"video_id": "a"}


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 21, 8, 30, 0, 999_999, tzinfo=UTC), "2026-11-21T08:30:00Z"),
        (datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=5.5))), "2025-12-31T20:30:00Z"),
        (datetime(999, 1, 1, tzinfo=UTC), "0999-01-01T00:00:00Z"),
    ],
)
def test_moments_are_written_in_utc_to_the_second(moment: datetime, text: str) -> None:
    assert to_rfc3339(moment) == text
