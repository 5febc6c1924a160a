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
from twinlens.catalog.sources.rows import BadRecord, Record
from twinlens.catalog.sources.tables import PlainTable

MAX_VALUE_CHARACTERS: Final = 32 * 1024 * 1024
#: Keys whose list of objects is the rows.
CONTAINERS: Final = (
    *("items", "data", "entries", "results", "videos", "records", "rows", "hits", "docs"),
    *("edges", "response", "result"),
)
_ROWS_PEEKED: Final = 1_000
_CHUNK: Final = 1 << 18
_SPACE: Final = " \t\r\n\ufeff"
_TITLES: Final = frozenset({"title", "name"})
_NO_SPACE: Final = re.compile(r"[^ \t\r\n]")
_DECODER: Final = json.JSONDecoder()


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
        first: Record | BadRecord | None = None
        for record in itertools.islice(self.read_records(()), _ROWS_PEEKED):
            first = first or record
            if isinstance(record, Record):
                names.update(dict.fromkeys(list_paths(record.cells)))
        if isinstance(first, BadRecord) and not names:
            raise SourceError(f"{self.path}: {first.detail}")
        return list(names)

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord]:
        """Yield one record an object, all its keys."""
        row = 0
        with open_binary(self.path) as file:
            reader = _Reader(file)
            try:
                for row, value in enumerate(reader.read_rows(), start=1):
                    if isinstance(value, dict):
                        yield Record(row, value)
                    else:
                        yield BadRecord(
                            row,
                            RejectReason.MALFORMED,
                            f"a row is a JSON object, not {type(value).__name__}",
                        )
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
            if isinstance(names, list) and isinstance(value, list):
                value = dict(zip(map(str, names), value, strict=False))  # pandas' orient="split"
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
            if key in CONTAINERS and (key == "entries" or not _TITLES & cells.keys()):
                if mark == "[" and self._peek_second() in ("{", "[", "]", "n"):
                    held_rows = True
                    yield from self._read_list(cells)
                    continue
                if mark == "{" and (rows := _find_rows(value := self._read_value())) is not None:
                    held_rows = True
                    yield from itertools.chain.from_iterable(_expand(row, {}) for row in rows)
                    continue
                if mark == "{":
                    cells[key] = value
                    continue
            value = self._read_value()
            if key in CONTAINERS and _lists_titles(value):
                held_rows = True
                yield from itertools.chain.from_iterable(_expand(row, cells) for row in value)
                continue
            cells[key] = value
        self._at += 1
        if not held_rows and cells:
            yield from _expand_object(cells)

    def _read_value(self) -> Any:
        self._peek()
        wanted = _CHUNK
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
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
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
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


def holds_rows(cells: Mapping[str, object]) -> bool:
    """Return whether an object is no row, but holds a list of rows."""
    return _find_rows(cells) is not None and not _TITLES & cells.keys()


def _lists_titles(value: Any) -> bool:
    """Return whether a list beside a title or a name has rows of its own: each with a title."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, dict) and not _TITLES.isdisjoint(row) for row in value)
    )


def _find_rows(value: Any) -> list[Any] | None:
    """Return the list of objects that an object holds, such as ``{"items": […]}``."""
    if isinstance(value, Mapping):
        for key in CONTAINERS:
            held = value.get(key)
            if isinstance(held, list) and all(row is None or isinstance(row, dict) for row in held):
                return held
    return None


def _expand(value: Any, outer: dict[str, Any]) -> Iterator[Any]:
    """Yield a row; of a playlist within a list its entries."""
    if isinstance(value, dict):
        if isinstance(entries := value.get("entries"), list):
            for entry in entries:
                yield from _expand(entry, value)
            return
        if isinstance(title := outer.get("title"), str) and "entries" not in value:
            value.setdefault("playlist_title", title)
        if set(value) == {"node"} or ("_source" in value and "_id" in value):
            # GraphQL's edges, Elasticsearch's hits.
            inner = value.get("node") or value.get("_source") or {}
            value = {"id": value["_id"], **inner} if "_id" in value else inner
    yield value


def _expand_object(cells: dict[str, Any]) -> Iterator[Any]:
    """Yield an object, or the rows that it holds by their ids or by their columns."""
    values = list(cells.values())
    if len(values) > 0 and all(isinstance(value, dict) for value in values):
        if all(_TITLES & value.keys() for value in values):
            for key, value in cells.items():
                yield {"id": key, **value}
            return
        keys = list(values[0])
        if len(values) > 1 and keys and all(list(value) == keys for value in values):
            for key in keys:  # pandas' orient="columns"
                yield {name: column[key] for name, column in cells.items()}
            return
    yield cells
