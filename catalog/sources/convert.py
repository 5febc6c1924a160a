"""Turn a record of a source into a video, or say why it holds none."""

from __future__ import annotations

import hashlib
import html
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache, partial
from pathlib import Path
from string import ascii_letters, digits
from typing import Final, Protocol, TypeVar

from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.fields import Field, FieldKind, Fields, FieldValue
from twinlens.catalog.sources.columns import find_unit
from twinlens.catalog.sources.dates import DateOrder, parse_date
from twinlens.catalog.sources.lists import parse_texts
from twinlens.catalog.sources.numbers import InUnit, parse_count, parse_duration
from twinlens.catalog.sources.picture_cells import parse_picture, pick_address
from twinlens.catalog.sources.platforms import YOUTUBE_CATEGORIES, Platform
from twinlens.catalog.sources.printed import is_printed, unprint
from twinlens.catalog.sources.rows import BadCell, BadRecord, Note, Origin, Record, Reject, Row
from twinlens.catalog.sources.thumbnails import read_thumbnail
from twinlens.catalog.sources.values import (
    NO_VALUE,
    guess_text,
    is_no_value,
    parse_code,
    parse_id,
    parse_key,
    parse_text,
    parse_url,
    read_formula,
    reject,
)
from twinlens.catalog.video import Video

# 96 bits: a chance of one in 10**17 that two among a million videos share an id.
_CONTENT_ID_DIGITS: Final = 24
# Fields that say which video it is, where there is no id.
_ADDRESSES: Final = ("url", "embed_url")

T = TypeVar("T")


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
_ESCAPED: Final = ("title", "channel")
_TEXTS: Final = (FieldKind.TEXT, FieldKind.KEYWORD, FieldKind.KEYWORDS)
# Fields that hold a code, which objects have beside its name.
_CODES: Final = frozenset({"language"})
_IDS: Final = frozenset({"channel_id"})
# How a formula, a printed list and a printed object begin.
_OPENING: Final = frozenset("=[{")
# A text that begins so is neither that nor a mark for no value: most are, and are not looked at.
_PLAIN_BEGINNINGS: Final = frozenset(ascii_letters + digits) - {mark[:1] for mark in NO_VALUE}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOrigin:
    """Where the records of one table come from, and how they are read.

    Relative paths of pictures start at ``folder``, and none may leave ``root``; both are absolute
    and normal, or None where there are no files. ``has_ids``: an id is expected in every row.
    ``categories`` are names of YouTube's categories by number, beside the known ones.
    """

    file: str
    folder: Path | None
    root: Path | None
    has_ids: bool
    date_order: DateOrder | None = None
    platform: Platform | None = None
    categories: Mapping[str, str] = field(default_factory=dict)


def convert(
    record: Record | BadRecord,
    columns: Mapping[str, Sequence[str]],
    table: TableOrigin,
    fields: Fields,
) -> Row | Reject:
    """Return the video of ``record``, or why it has none; ``columns`` has each field's columns.

    A cell that can't be read is left empty and noted, as long as there is a title or a picture.
    """
    origin = Origin(record.file or table.file, record.row)
    if isinstance(record, BadRecord):
        return Reject(origin, record.reason, record.detail)
    return _Conversion(record, columns, table, fields).to_row(origin)


class _Conversion:
    """One record on its way to a video, with what could not be read of it."""

    __slots__ = ("_cells", "_fields", "_notes", "_table")

    def __init__(
        self,
        record: Record,
        columns: Mapping[str, Sequence[str]],
        table: TableOrigin,
        fields: Fields,
    ) -> None:
        self._table = table
        self._fields = fields
        self._notes: list[Note] = []
        self._cells: dict[str, object] = {}
        cells = record.cells
        for name, names in columns.items():
            for column in names:
                cell = cells[column] if column in cells else find_cell(cells, column)
                if type(cell) is not str or cell[:1] not in _PLAIN_BEGINNINGS:
                    if isinstance(cell, BadCell):
                        self._notes.append(Note(name, cell.reason, cell.detail))
                        if name == "title":
                            self._cells[name] = cell.guess
                        break
                    if name != "video_id" and is_no_value(cell):
                        continue
                    if cell is None:
                        break
                    if type(cell) is str and cell[:1] in _OPENING:
                        cell = self._open(name, cell)
                is_plain = table.platform is None and name != "duration_s"
                self._cells[name] = cell if is_plain else self._prepare(name, column, cell)
                break

    def _open(self, name: str, cell: str) -> object:
        """Return what a formula shows, and a list or an object that was printed into a cell."""
        kind = self._fields.find_kind(name)
        if cell[0] == "=":
            is_address = kind is FieldKind.URL or name in ("thumbnail", "thumbnail_url")
            return read_formula(cell.strip(), address=is_address)
        if kind in (FieldKind.TEXT, FieldKind.KEYWORDS):
            # Words in brackets are words of a title, and a list of texts is read as one.
            return cell
        found = unprint(cell)
        if kind is FieldKind.KEYWORD and isinstance(found, str) and is_printed(found):
            error = reject(name, "is text", found)
            self._notes.append(Note(name, error.reason, error.detail))
            return None
        return found

    def _prepare(self, name: str, column: str, cell: object) -> object:
        """Return a cell without what its platform or its column's name says of it."""
        platform = self._table.platform
        if name == "duration_s":
            unit = find_unit(column)
            if unit is None and platform is not None:
                unit = (Decimal(1), True)
            return cell if unit is None else InUnit(cell, *unit)
        if platform is None:
            return cell
        if name == "category" and platform.youtube and not isinstance(cell, Mapping | list):
            known = {**self._table.categories, **YOUTUBE_CATEGORIES}
            return known.get(str(cell).removesuffix(".0").strip(), cell)
        if not isinstance(cell, str):
            return cell
        if (cut := platform.cut.get(name)) is not None and (found := cut.match(cell)) is not None:
            cell = found[found.lastindex] if found.lastindex else cell[found.end() :]
        return html.unescape(cell) if platform.escaped and name in _ESCAPED else cell

    def to_row(self, origin: Origin) -> Row | Reject:
        video_id = self._read_id()
        video = self._read_video(video_id or "")
        if video.title is None and video.thumbnail is None and video.thumbnail_url is None:
            return self._to_reject(origin, video_id)
        if video_id is None:
            video = self._add_content_id(video)
            if video.title is None and video.thumbnail is None and video.thumbnail_url is None:
                return self._to_reject(origin, None)
        return Row(origin, video, tuple(self._notes))

    def _to_reject(self, origin: Origin, video_id: str | None) -> Reject:
        """Say why there is neither a title nor a picture."""
        for note in self._notes:
            if note.field in ("title", "thumbnail", "thumbnail_url"):
                return Reject(origin, note.reason, note.detail, video_id)
        return Reject(origin, RejectReason.EMPTY, "no title and no thumbnail", video_id)

    def _read_id(self) -> str | None:
        cell = self._cells.get("video_id")
        if cell is None:
            told = any(note.field == "video_id" for note in self._notes)
            if told or not self._table.has_ids:
                return None
        return self._try("video_id", partial(parse_id, cell))

    def _read_video(self, video_id: str) -> Video:
        title = _to_nfc(self._read_title())
        picture, thumbnail_url = self._read_picture()
        values: dict[str, FieldValue] = {}
        for name, parse in _list_parsers(self._fields, self._table.date_order):
            if name in self._cells:
                try:
                    value = parse(self._cells[name])
                except RowRejected as error:
                    self._notes.append(Note(name, error.reason, error.detail))
                    value = _to_nfc(error.kept)
                if value is not None and value != ():
                    values[name] = value
        return Video(
            video_id=video_id,
            title=title if isinstance(title, str) else None,
            thumbnail=picture,
            thumbnail_url=thumbnail_url,
            values=values,
        )

    def _read_title(self) -> str | None:
        """Return the title; one with a few characters that are none, without them."""
        cell = self._cells.get("title")
        try:
            return parse_text(cell, field="title")
        except RowRejected as error:
            self._notes.append(Note("title", error.reason, error.detail))
            return guess_text(cell)

    def _read_picture(self) -> tuple[bytes | Path | None, str | None]:
        url = None
        if (cell := self._cells.get("thumbnail_url")) is not None:
            url = self._try("thumbnail_url", partial(_parse_picture_url, cell))
        if (cell := self._cells.get("thumbnail")) is None:
            return None, url
        parse = partial(parse_picture, cell, folder=self._table.folder, root=self._table.root)
        picture = self._try("thumbnail", parse)
        return (None, url or picture) if isinstance(picture, str) else (picture, url)

    def _add_content_id(self, video: Video) -> Video:
        """Give ``video`` an id made from title, picture and address, and its picture as bytes."""
        picture = self._try("thumbnail", partial(read_thumbnail, video))
        digest = hashlib.sha256()
        seen = picture if picture is not None else (video.thumbnail_url or "").encode()
        parts = [(video.title or "").encode(), seen]
        if (address := next(filter(None, map(self._cells.get, _ADDRESSES)), None)) is not None:
            parts.append(str(address).strip().encode("utf-8", "surrogatepass"))
        for part in parts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return replace(video, video_id=digest.hexdigest()[:_CONTENT_ID_DIGITS], thumbnail=picture)

    def _try(self, field: str, parse: Callable[[], T]) -> T | None:
        try:
            return parse()
        except RowRejected as error:
            self._notes.append(Note(field, error.reason, error.detail))
            return None


@lru_cache(maxsize=16)
def _list_parsers(
    fields: Fields, order: DateOrder | None
) -> tuple[tuple[str, Callable[[object], FieldValue | None]], ...]:
    """Return what makes a value of a cell, for each field but the title."""
    return tuple((row.name, _make_parser(row, order)) for row in fields if row.name != "title")


def _make_parser(row: Field, order: DateOrder | None) -> Callable[[object], FieldValue | None]:
    if row.kind is FieldKind.MOMENT:
        return partial(parse_date, field=row.name, order=order)
    parse: _Parser = _PARSERS[row.kind]
    if row.name in _CODES | _IDS:
        parse = parse_code if row.name in _CODES else parse_key
    if row.kind not in _TEXTS:
        return partial(parse, field=row.name)
    return lambda cell: _to_nfc(parse(cell, field=row.name))


def find_cell(cells: Mapping[str, object], column: str) -> object:
    """Return the cell of a column, or of a path such as ``snippet.title`` into objects."""
    if column in cells or "." not in column:
        return cells.get(column)
    found: object = cells
    parts = column.split(".")
    while parts:
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        if not isinstance(found, Mapping):
            return None
        # A key may have dots itself.
        for length in range(len(parts), 0, -1):
            if (key := ".".join(parts[:length])) in found:
                found, parts = found[key], parts[length:]
                break
        else:
            return None
    return found


def _parse_picture_url(cell: object) -> str | None:
    if isinstance(cell, Mapping | list | tuple):
        found = parse_picture(cell, folder=None, root=None)
        return found if isinstance(found, str) else None
    if isinstance(cell, str) and cell.count("://") > 1:
        cell = pick_address(cell)
    return parse_url(cell, field="thumbnail_url")


def _to_nfc(value: FieldValue | None) -> FieldValue | None:
    """Return texts in one form of Unicode: a Mac writes é as two characters."""
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, tuple) and not all(map(str.isascii, value)):
        return tuple(dict.fromkeys(unicodedata.normalize("NFC", text) for text in value))
    return value
