"""Which column of a source holds which field of a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from twinlens.catalog.errors import SourceError

# Field of ``Video`` -> names of columns taken for it where none is mapped, the best first.
# Compared without case and punctuation: ``videoId``, ``video_id`` and ``Video ID`` are one.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "video_id": ("video_id", "youtube_id", "id"),
    "title": ("title", "video_title", "name"),
    "thumbnail": ("thumbnail", "image", "file_name", "picture", "thumbnail_path", "image_path"),
    "thumbnail_url": ("thumbnail_url", "thumbnail_link", "image_url"),
    "channel": ("channel", "channel_title", "channel_name", "uploader"),
    "category": ("category", "category_name", "category_id"),
    "language": ("language", "lang", "default_language", "default_audio_language"),
    "tags": ("tags", "keywords"),
    "published_at": ("published_at", "publish_time", "publish_date", "upload_date"),
    "duration_s": ("duration_s", "duration", "duration_seconds", "length_seconds"),
    "view_count": ("view_count", "views"),
    "url": ("url", "video_url", "webpage_url", "link"),
}

# At least one of these, or there is nothing to encode.
_ENCODABLE: Final = ("title", "thumbnail", "thumbnail_url")


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Return where every key of ``mapping`` is a field of a video.

    Raises:
        SourceError: one is not; the message lists the fields.
    """
    for field in mapping:
        if field not in ALIASES:
            raise SourceError(f"{field!r} is no field of a video; fields: {', '.join(ALIASES)}")


def resolve(names: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """The column for each field that has one: the mapped one, else the best known name.

    Mapped columns that are not among ``names`` are left out; ``require`` complains of them.
    """
    by_plain_name: dict[str, str] = {}
    for name in names:
        by_plain_name.setdefault(_plain(name), name)
    present = set(names)
    fields: dict[str, str] = {}
    for field, aliases in ALIASES.items():
        if field in mapping:
            if mapping[field] in present:
                fields[field] = mapping[field]
            continue
        for alias in aliases:
            if alias in present:
                fields[field] = alias
                break
            if _plain(alias) in by_plain_name:
                fields[field] = by_plain_name[_plain(alias)]
                break
    return fields


def require(names: Sequence[str], mapping: Mapping[str, str], *, where: str) -> None:
    """Return where ``names`` hold every mapped column and something to encode.

    Raises:
        SourceError: a mapped column is missing, one is there twice, or there is no title and no
            thumbnail; the message lists the columns there are.
    """
    there_are = f"its columns: {', '.join(names) or 'none'}"
    for field, column in mapping.items():
        if column not in names:
            raise SourceError(f"{where} has no column {column!r} (for {field}); {there_are}")
    fields = resolve(names, mapping)
    for column in fields.values():
        if names.count(column) > 1:
            raise SourceError(f"{where} has more than one column {column!r}; {there_are}")
    if not any(field in fields for field in _ENCODABLE):
        raise SourceError(
            f"{where} has no column for a title or a thumbnail; {there_are}; "
            "name the right ones, as in title=COLUMN"
        )


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
