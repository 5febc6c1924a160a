"""What a video is, and how it is written into an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from twinlens.catalog.fields import FIELDS, FieldKind, Fields, FieldValue

MAX_VIDEO_ID_LENGTH = 256
# Where a stored payload has the name of its picture.
THUMBNAIL_FILE: Final = "thumbnail_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One video of a catalogue.

    ``thumbnail`` is the encoded picture (JPEG, PNG, ...) as bytes, or the path of a file that
    holds it, or None. ``thumbnail_url`` is where it could be fetched from; nothing but the
    indexing job, when told to, ever does. ``values`` has what else is known of the video, by the
    names of fields; moments are timezone-aware.
    """

    video_id: str
    title: str | None = None
    thumbnail: bytes | Path | None = None
    thumbnail_url: str | None = None
    values: Mapping[str, FieldValue] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """Return the text of a field; None where it has none."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a field that holds several."""
        value = self.values.get(name)
        return value if isinstance(value, tuple) else ()

    def list_texts(self, name: str) -> tuple[str, ...]:
        """Return the text or the texts of a field, as many as it has."""
        text = self.text(name)
        return self.texts(name) if text is None else (text,)

    def moment(self, name: str) -> datetime | None:
        """Return the moment that a field holds; None where it holds none."""
        value = self.values.get(name)
        return value if isinstance(value, datetime) else None

    def number(self, name: str) -> float | None:
        """Return the number that a field holds; None where it holds none."""
        value = self.values.get(name)
        return value if isinstance(value, int | float) else None


def to_payload(video: Video, *, thumbnail_file: str | None) -> dict[str, Any]:
    """Return what an index keeps of ``video`` beside vectors: JSON values, no empty fields.

    ``thumbnail_file`` is the picture's name in ``thumbnails/`` of the data directory.
    """
    payload: dict[str, Any] = {"video_id": video.video_id}
    if video.title is not None:
        payload["title"] = video.title
    payload |= {name: _to_json_value(value) for name, value in video.values.items()}
    if thumbnail_file is not None:
        payload[THUMBNAIL_FILE] = thumbnail_file
    return payload


def from_payload(payload: Mapping[str, Any], fields: Fields = FIELDS) -> Video:
    """Return the video that a stored payload describes, without its picture."""
    moments = {row.name for row in fields if row.kind is FieldKind.MOMENT}
    values: dict[str, FieldValue] = {}
    for name, value in payload.items():
        if name in moments:
            values[name] = datetime.fromisoformat(value)
        elif name not in ("video_id", "title", THUMBNAIL_FILE):
            values[name] = tuple(value) if isinstance(value, list) else value
    return Video(video_id=payload["video_id"], title=payload.get("title"), values=values)


def _to_json_value(value: FieldValue) -> object:
    if isinstance(value, datetime):
        return to_rfc3339(value)
    return list(value) if isinstance(value, tuple) else value


def to_rfc3339(moment: datetime) -> str:
    """``moment`` in UTC as RFC 3339 text, to the second: ``2026-11-21T08:30:00Z``."""
    # Not strftime: it writes the year 999 with three digits, and then dates no longer sort as text.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def read_title(payload: Mapping[str, object]) -> str:
    """Return the title that a stored payload has, or an empty one."""
    return str(payload.get("title") or "")


def read_thumbnail_file(payload: Mapping[str, Any]) -> str | None:
    """Return the name of the picture in ``thumbnails/``, or None where the video has none."""
    name = payload.get(THUMBNAIL_FILE)
    return name if isinstance(name, str) else None
