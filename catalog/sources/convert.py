"""Turn a record of a source into a video, or say why it holds none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.fields import Field, FieldKind, Fields, FieldValue
from twinlens.catalog.sources.rows import BadCell, BadRecord, Origin, Record, Reject, Row
from twinlens.catalog.sources.thumbnails import read_thumbnail
from twinlens.catalog.sources.values import (
    parse_count,
    parse_date,
    parse_duration,
    parse_id,
    parse_picture,
    parse_text,
    parse_texts,
    parse_url,
)
from twinlens.catalog.video import Video

# 96 bits: a chance of one in 10**17 that two among a million videos share an id.
_CONTENT_ID_DIGITS: Final = 24


class _Parser(Protocol):
    def __call__(self, value: object, *, field: str) -> FieldValue | None: ...


_PARSERS: Final[Mapping[FieldKind, _Parser]] = {
    FieldKind.TEXT: parse_text,
    FieldKind.URL: parse_url,
    FieldKind.KEYWORD: parse_text,
    FieldKind.KEYWORDS: parse_texts,
    FieldKind.MOMENT: parse_date,
    FieldKind.COUNT: parse_count,
    FieldKind.DURATION: parse_duration,
}
# What a program writes for a missing title that it takes for a number.
_NAN: Final = ("nan", "NaN")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOrigin:
    """Where the records of one table come from.

    Relative paths of pictures start at ``folder``, and none may leave ``root``; both are absolute
    and normal, or None where there are no files. ``has_ids``: an id is expected in every row.
    ``untyped``: cells are text whatever they mean, as in CSV.
    """

    file: str
    folder: Path | None
    root: Path | None
    has_ids: bool
    untyped: bool = False


def convert(
    record: Record | BadRecord, columns: Mapping[str, str], table: TableOrigin, fields: Fields
) -> Row | Reject:
    """Return the video of ``record``, or why it has none; ``columns`` has each field's column."""
    origin = Origin(table.file, record.row)
    if isinstance(record, BadRecord):
        return Reject(origin, record.reason, record.detail)
    cells = {field: record.cells.get(column) for field, column in columns.items()}
    video_id: str | None = None
    try:
        # The id first: a job that prunes must know whose row it is that can't be read.
        id_cell = cells.pop("video_id", None)
        if table.has_ids or id_cell is not None:
            video_id = parse_id(_require_readable(id_cell))
        for cell in cells.values():
            _require_readable(cell)
        return Row(origin, _make_video(video_id, cells, table, fields))
    except RowRejected as error:
        return Reject(origin, error.reason, error.detail, video_id)


def _require_readable(cell: object) -> object:
    if isinstance(cell, BadCell):
        raise RowRejected(cell.reason, cell.detail)
    return cell


def _make_video(
    video_id: str | None, cells: Mapping[str, object], table: TableOrigin, fields: Fields
) -> Video:
    title = parse_text(cells.get("title"), field="title")
    if table.untyped and title in _NAN:
        raise RowRejected(RejectReason.NOT_A_NUMBER, f"title is {title}")
    thumbnail_url = parse_url(cells.get("thumbnail_url"), field="thumbnail_url")
    picture = parse_picture(cells.get("thumbnail"), folder=table.folder, root=table.root)
    if isinstance(picture, str):
        thumbnail_url, picture = thumbnail_url or picture, None
    if title is None and picture is None and thumbnail_url is None:
        raise RowRejected(RejectReason.EMPTY, "no title and no thumbnail")
    video = Video(
        video_id=video_id or "",
        title=title,
        thumbnail=picture,
        thumbnail_url=thumbnail_url,
        values={
            row.name: value
            for row in fields
            if row.name != "title" and (value := _parse_value(row, cells)) not in (None, ())
        },
    )
    return video if video_id is not None else _add_content_id(video)


def _parse_value(row: Field, cells: Mapping[str, object]) -> FieldValue | None:
    return _PARSERS[row.kind](cells.get(row.name), field=row.name)


def _add_content_id(video: Video) -> Video:
    """Give ``video`` an id made from its title and picture alone, and its picture as bytes."""
    picture = read_thumbnail(video)
    digest = hashlib.sha256()
    for part in (
        (video.title or "").encode(),
        picture if picture is not None else (video.thumbnail_url or "").encode(),
    ):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return replace(video, video_id=digest.hexdigest()[:_CONTENT_ID_DIGITS], thumbnail=picture)
