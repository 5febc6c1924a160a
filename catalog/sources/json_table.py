"""JSON: a list of objects, also within an object, or one object after the other."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.columns import list_paths
from twinlens.catalog.sources.lines import READ_ERRORS, open_binary
from twinlens.catalog.sources.rows import BadRecord, NoVideo, Record
from twinlens.catalog.sources.tables import PlainTable

MAX_VALUE_CHARACTERS: Final = 32 * 1024 * 1024
#: Keys whose list of objects is the rows, in any case.
CONTAINERS: Final = (
    *("items", "data", "entries", "results", "videos", "records", "rows", "hits", "docs"),
    *("edges", "nodes", "response", "result", "list", "@graph", "itemListElement", "children"),
    *("values", "episodes", "clips", "movies", "films", "posts", "tracks", "relatedStreams"),
)
#: Keys of an object without a title that hold the object which has it.
WRAPPERS: Final = (
    *("node", "_source", "video", "attributes", "fields", "document", "item", "media"),
    *("resource", "row", "data", "result", "response"),
)
_ROWS_PEEKED: Final = 1_000
_CHUNK: Final = 1 << 18
_NO_SPACE: Final = re.compile(r"[^ \t\r\n\ufeff]")
# Control characters within texts are taken as they are.
_DECODER: Final = json.JSONDecoder(strict=False)
# A number of thousands of digits is to Python's parser no number, and would cost the row.
_OF_LONG_NUMBERS: Final = json.JSONDecoder(strict=False, parse_int=lambda text: _read_int(text))
_MOST_DIGITS: Final = 4_000
# Lists of rows are looked for so deep, and pages within pages.
_DEPTH: Final = 6


def _in_any_case(*names: str) -> frozenset[str]:
    return frozenset(each for name in names for each in (name, name.capitalize(), name.upper()))


_CONTAINERS: Final = _in_any_case(*CONTAINERS)
_TITLES: Final = _in_any_case("title", "name", "video_title", "videoTitle", "headline", "caption")
# An object with one of these is a row, whatever lists it has.
_ROW_SIGNS: Final = _TITLES | _in_any_case(
    *("text", "file_name", "image", "image_url", "thumbnail", "thumbnail_url", "picture", "poster")
)
# What a service answers instead of rows, and what may stand beside it.
_ERRORS: Final = ("error", "errors", "fault")
_MESSAGES: Final = ("message", "detail", "error_description", "description", "reason")
_OF_ERRORS: Final = frozenset(
    {*_ERRORS, *_MESSAGES, "status", "code", "status_code", "statusCode", "success", "ok", "data"}
    | {"type", "kind", "timestamp", "path", "extensions", "request_id"}
)
# An object with none of these is a row as it stands.
_SPECIAL: Final = _CONTAINERS.union(WRAPPERS, _ERRORS)
_YOUTUBE_ID: Final = re.compile(r"(?:https?://\S*[?&]v=)?[\w-]{11}")
_NULL: Final = "null where a video should be"


class _Broken(Exception):
    """It is no JSON from here on."""


@dataclass(frozen=True, slots=True)
class JsonTable(PlainTable):
    """A ``.json`` file. A row is an object, counted through the whole file.

    Read object by object, so that the file may be larger than memory. What is no JSON ends it.
    """

    ragged: ClassVar = True
    path: Path

    def read_column_names(self) -> list[str]:
        """Keys of the first thousand rows, and paths into their objects.

        Raises:
            SourceError: it is no JSON from its beginning, or holds no rows.
        """
        names: dict[str, None] = {}
        first: Record | BadRecord | NoVideo | None = None
        for record in itertools.islice(self.read_records(()), _ROWS_PEEKED):
            first = first or record
            if isinstance(record, Record):
                names.update(dict.fromkeys(list_paths(record.cells)))
        if isinstance(first, BadRecord) and not names:
            raise SourceError(f"{self.path}: {first.detail}")
        return list(names)

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord | NoVideo]:
        """Yield one record an object, all its keys."""
        row = 0
        with open_binary(self.path) as file:
            reader = _Reader(file)
            try:
                for row, value in enumerate(reader.read_rows(), start=1):
                    yield _to_record(row, value)
            except (_Broken, RecursionError) as error:
                yield BadRecord(row + 1, RejectReason.MALFORMED, str(error))
            except READ_ERRORS as error:
                yield BadRecord(
                    row + 1, RejectReason.FILE_UNREADABLE, f"damaged from here on: {error}"
                )


class _Reader:
    """Values of a JSON text, a piece of which is in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        head = file.read(_CHUNK)
        wide = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
        encoding = wide.get(head[:2], "utf-8")
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._text = self._decoder.decode(head)
        self._at = 0
        self._ended = False

    def read_rows(self) -> Iterator[Any]:
        """Yield the rows of every value at the top.

        Raises:
            _Broken: it is no JSON from here on.
        """
        while (mark := self._peek()) != "":
            if mark == "[":
                yield from self._read_list({})
            elif mark == "{":
                yield from self._read_object()
            elif mark == ",":
                self._at += 1
            else:
                yield self._read_value()

    def _read_list(self, outer: dict[str, Any]) -> Iterator[Any]:
        self._at += 1
        names = outer.get("columns")
        first = True
        while True:
            mark = self._peek()
            if mark == "]":
                self._at += 1
                return
            if mark == ",":
                self._at += 1
                continue
            if mark == "":
                raise _Broken("the file ends within a list")
            value = self._read_value()
            if isinstance(value, list):
                if first and value and all(isinstance(name, str) for name in value) and not names:
                    names, first = value, False  # a sheet: its header, then its rows
                    continue
                if isinstance(names, list):  # or pandas' orient="split"
                    value = dict(zip(map(str, names), value, strict=False))
            first = False
            yield from _expand(value, outer)

    def _read_object(self) -> Iterator[Any]:
        """Yield the rows of an object: those of a list in it, else itself."""
        self._at += 1
        cells: dict[str, Any] = {}
        held_rows = False
        while (mark := self._peek()) != "}":
            if mark == ",":
                self._at += 1
                continue
            if mark == "":
                raise _Broken("the file ends within an object")
            key = self._read_value()
            if not isinstance(key, str) or self._peek() != ":":
                raise _Broken(f"no JSON: a key and a colon should stand before {self._quote()}")
            self._at += 1
            mark = self._peek()
            if key in _CONTAINERS and mark == "[":
                if key == "entries" or _TITLES.isdisjoint(cells):
                    if self._peek_second() in ("{", "[", "]", "n"):
                        held_rows = True
                        yield from self._read_list(cells)
                        continue
                elif _lists_titles(value := self._read_value()):
                    held_rows = True
                    yield from itertools.chain.from_iterable(_expand(row, cells) for row in value)
                    continue
                else:
                    cells[key] = value
                    continue
            cells[key] = self._read_value()
        self._at += 1
        if held_rows:
            for key, held in cells.items():
                if _lists_titles(held):
                    beside = NoVideo(0, f"under {key!r}, beside the list that was read")
                    yield from itertools.repeat(beside, len(held))
        elif cells:
            yield from _expand_object(cells)

    def _read_value(self) -> Any:
        self._peek()
        wanted = _CHUNK
        while True:
            try:
                value, end = decode(self._text, self._at)
            except ValueError as error:
                if self._ended or len(self._text) - self._at > MAX_VALUE_CHARACTERS:
                    raise _Broken(f"no JSON from here on: {error}") from error
            except RecursionError as error:
                raise _Broken("objects in objects, too deep to be read") from error
            else:
                # A number may go on in the next piece.
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            self._read_on(wanted)
            wanted *= 2

    def _peek(self) -> str:
        """Return the next character that is no space, or nothing at the end."""
        while True:
            if (found := _NO_SPACE.search(self._text, self._at)) is not None:
                self._at = found.start()
                return found[0]
            self._at = len(self._text)
            if self._ended:
                return ""
            self._read_on(_CHUNK)

    def _peek_second(self) -> str:
        """Return the character after the next one, spaces left out."""
        while (found := _NO_SPACE.search(self._text, self._at + 1)) is None and not self._ended:
            self._read_on(_CHUNK)
        return found[0] if found else ""

    def _read_on(self, size: int) -> None:
        data = self._file.read(size)
        self._ended = not data
        text = self._decoder.decode(data, final=not data)
        self._text = self._text[self._at :] + text
        self._at = 0

    def _quote(self) -> str:
        return repr(self._text[self._at : self._at + 20])


def _read_int(text: str) -> int | float:
    """Return a number; of thousands of digits it is infinite, as ``1e999`` is."""
    return int(text) if len(text) < _MOST_DIGITS else float(text)


def decode(text: str, at: int = 0) -> tuple[Any, int]:
    """Return the JSON value that begins at ``at``, and where it ends.

    Raises:
        ValueError, RecursionError: there is none, or it is too deep.
    """
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _OF_LONG_NUMBERS.raw_decode(text, at)


def is_plain(cells: Mapping[str, object]) -> bool:
    """Return whether an object is a row as it stands, and not a page of them or wrapped in one."""
    if not _ROW_SIGNS.isdisjoint(cells):
        return "entries" not in cells and "videos" not in cells
    return len(cells) > 1 and _SPECIAL.isdisjoint(cells)


def expand(row: int, cells: dict[str, Any]) -> Iterator[Record | BadRecord | NoVideo]:
    """Yield the records of an object that may be a page of them."""
    try:
        for value in _expand(cells, {}):
            yield _to_record(row, value)
    except RecursionError:
        yield BadRecord(row, RejectReason.MALFORMED, "objects in objects, too deep to be read")


def find_error(value: Mapping[str, object]) -> str | None:
    """Return what a service answered instead of rows, or None."""
    if not value.keys() <= _OF_ERRORS:
        return None
    held = next(filter(None, map(value.get, _ERRORS)), None)
    if isinstance(held, list):
        held = held[0]
    if isinstance(held, Mapping):
        value = held
    if held is None or isinstance(held, str):
        return held
    return str(next(filter(None, map(value.get, _MESSAGES)), held))


def _to_record(row: int, value: Any) -> Record | BadRecord | NoVideo:
    if value is None or isinstance(value, NoVideo):
        return NoVideo(row, _NULL if value is None else value.what)
    if not isinstance(value, dict):
        return BadRecord(
            row, RejectReason.MALFORMED, f"a row is a JSON object, not {type(value).__name__}"
        )
    named = value.get("videos")
    if isinstance(named, list) and named and all(map(_is_youtube_id, named)):
        return NoVideo(row, "playlists that name their videos without titles")
    if (message := find_error(value)) is not None:
        return BadRecord(row, RejectReason.MALFORMED, f"an error instead of rows: {message}")
    return Record(row, value)


def _is_youtube_id(value: object) -> bool:
    return isinstance(value, str) and _YOUTUBE_ID.fullmatch(value) is not None


def _lists_titles(value: Any) -> bool:
    """Return whether all of a list are rows, each with a title."""
    return (
        isinstance(value, list)
        and any(value)
        and all(row is None or (isinstance(row, dict) and _has_title(row)) for row in value)
    )


def _has_title(row: dict[str, Any]) -> bool:
    return not _TITLES.isdisjoint(_unwrap(row)) or isinstance(row.get("snippet"), dict)


def _find_rows(value: Mapping[str, Any], depth: int = _DEPTH) -> list[Any] | None:
    """Return the list of objects that an object holds, such as ``{"items": […]}``.

    It may hold one in an object called like a list, as ``{"data": {"clip": {"edges": […]}}}``.
    """
    titled = not _TITLES.isdisjoint(value)
    for key, held in value.items():
        if key not in _CONTAINERS:
            continue
        if isinstance(held, list):
            if titled:
                if _lists_titles(held):
                    return held
            elif all(row is None or isinstance(row, dict) for row in held):
                return held
        elif isinstance(held, dict) and depth and not (titled and depth == _DEPTH):
            rows = _find_rows(held, depth - 1)
            if rows is None:
                rows = _find_inner_rows(held, depth - 1)
            if rows is not None:
                return rows
            if _lists_titles(named := _name_by_keys(held)):
                return named
    return None


def _find_inner_rows(value: Mapping[str, Any], depth: int) -> list[Any] | None:
    """Return the first list of objects with titles, under whatever keys it lies."""
    if _TITLES.isdisjoint(value) and (
        lists := [one for one in value.values() if _lists_titles(one)]
    ):
        return list(itertools.chain.from_iterable(lists))
    for held in value.values():
        if isinstance(held, dict) and depth:
            rows = _find_rows(held, depth - 1)
            rows = rows if rows and _lists_titles(rows) else _find_inner_rows(held, depth - 1)
            if rows:
                return rows
    return None


def _name_by_keys(cells: Mapping[str, Any]) -> list[Any]:
    """Return the objects in an object, each with its key as its id; none if others are there."""
    if not all(isinstance(value, dict) for value in cells.values()):
        return []
    return [{"id": key, **value} for key, value in cells.items()]


def _expand(value: Any, outer: Mapping[str, Any], depth: int = _DEPTH) -> Iterator[Any]:
    """Yield a row; of a page or a playlist within a list its rows."""
    if isinstance(value, list) and depth and value and all(isinstance(row, dict) for row in value):
        for row in value:
            yield from _expand(row, outer, depth - 1)
        return
    if isinstance(value, dict):
        rows = value.get("entries")
        if not isinstance(rows, list):
            named = value.get("videos")
            rows = named if _lists_titles(named) else None
            if rows is None and _ROW_SIGNS.isdisjoint(value):
                rows = _find_rows(value)
        if rows is not None and depth:
            for row in rows:
                yield from _expand(row, value, depth - 1)
            return
        title = outer.get("title") or outer.get("playlistName")
        if isinstance(title, str):
            value.setdefault("playlist_title", title)
        value = _unwrap(value)
    yield value


def _unwrap(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object without a title with what an object in it has that has one."""
    if not _ROW_SIGNS.isdisjoint(value):
        return value
    for key in WRAPPERS if len(value) > 1 else tuple(value):
        if isinstance(inner := value.get(key), dict) and (
            key == "node" or not _TITLES.isdisjoint(inner)
        ):
            ids = {"id": value["_id"]} if "_id" in value else {}
            return {**ids, **value, **inner}
    return value


def _expand_object(cells: dict[str, Any]) -> Iterator[Any]:
    """Yield an object, or the rows that it holds: by their ids, by columns, or deep within."""
    values = list(cells.values())
    if all(isinstance(value, dict) for value in values):
        if _lists_titles(named := _name_by_keys(cells)) and not set(cells) <= {*WRAPPERS}:
            yield from named
            return
        keys = list(values[0])
        if len(values) > 1 and keys and all(list(value) == keys for value in values):
            for key in keys:  # pandas' orient="columns"
                yield {name: column[key] for name, column in cells.items()}
            return
    if all(value is None or isinstance(value, dict | list) for value in values):
        rows = _find_rows(cells)
        if rows is None:
            rows = _find_inner_rows(cells, _DEPTH)
        if rows is not None:
            yield from itertools.chain.from_iterable(_expand(row, cells) for row in rows)
            return
    yield from _expand(cells, {})
