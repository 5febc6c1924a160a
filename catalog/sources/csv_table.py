"""CSV with a header line, as spreadsheets and databases save it; plain or gzipped."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar, Final

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.dialect import Dialect, recode, sniff
from twinlens.catalog.sources.lines import READ_ERRORS, open_binary, read_lines
from twinlens.catalog.sources.rows import BadCell, BadRecord, NoVideo, Record

MAX_RECORD_BYTES: Final = 1024 * 1024
MAX_RECORD_LINES: Final = 10_000
# What cells look like is known by so many records.
_RECORDS_KEPT: Final = 50


class _RecordTooLong(Exception):
    """A record, or a quote that nobody closed, goes on beyond the limits."""


@dataclass(slots=True)
class _Lines:
    """Lines for the CSV parser, which can be given back when the record they began is broken."""

    unread: Iterator[bytes | None]
    backslashes: bool = False
    given_back: deque[bytes | None] = field(default_factory=deque)
    of_record: list[bytes | None] = field(default_factory=list)
    size: int = 0

    def begin_record(self) -> None:
        self.of_record.clear()
        self.size = 0

    def has_quoted_backslash(self) -> bool:
        return any(b'\\"' in (line or b"") for line in self.of_record)

    def decode(self, line: bytes) -> str:
        # Bytes that are no UTF-8 pass through as half surrogates: cells that hold them say so.
        return line.decode("utf-8", "surrogateescape")

    def give_back_all_but_first(self) -> None:
        self.given_back.extendleft(reversed(self.of_record[1:]))

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.given_back.popleft() if self.given_back else next(self.unread)
        self.of_record.append(line)
        self.size += len(line or b"")
        if line is None or self.size > MAX_RECORD_BYTES or len(self.of_record) > MAX_RECORD_LINES:
            raise _RecordTooLong
        if self.backslashes:
            line = line.replace(b'\\"', b'""')
        return self.decode(line) + "\n"


@dataclass(slots=True)
class _Records:
    """Cells of every record, the header too; blank lines are passed over.

    Once ``width`` is known, a line that can't be parsed is read with its quotes as they stand where
    that gives so many cells.
    """

    lines: _Lines
    dialect: Dialect
    width: int = 0

    def __iter__(self) -> Iterator[list[Any] | BadRecord]:
        lines, reader = self.lines, self._open_reader(self.lines)
        while True:
            lines.begin_record()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except READ_ERRORS as error:
                yield BadRecord(0, RejectReason.FILE_UNREADABLE, f"damaged from here on: {error}")
                return
            except (csv.Error, _RecordTooLong) as error:
                reader = self._open_reader(lines)
                lines.give_back_all_but_first()
                mended = self._mend()
                detail = (
                    f"a record of more than {MAX_RECORD_BYTES} bytes or {MAX_RECORD_LINES} lines"
                    if isinstance(error, _RecordTooLong)
                    else str(error)
                )
                yield BadRecord(0, RejectReason.MALFORMED, detail) if mended is None else mended
                continue
            if not cells:
                continue
            if self.width and (
                self._has_swallowed() or (len(cells) != self.width and lines.has_quoted_backslash())
            ):
                mended = self._mend()
                if mended is not None:
                    reader = self._open_reader(lines)
                    lines.give_back_all_but_first()
                    yield mended
                    continue
            yield cells

    def _open_reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        return csv.reader(
            lines,
            delimiter=self.dialect.delimiter,
            skipinitialspace=self.dialect.spaced,
            quoting=csv.QUOTE_MINIMAL if self.dialect.quoted else csv.QUOTE_NONE,
            strict=True,
        )

    def _has_swallowed(self) -> bool:
        """Return whether lines of tabs are one record that would be records of their own."""
        if self.dialect.delimiter != "\t" or len(self.lines.of_record) < 2:
            return False
        return all((line or b"").count(b"\t") == self.width - 1 for line in self.lines.of_record)

    def _mend(self) -> list[Any] | None:
        """Return the cells of the record's first line, with quotes read another way."""
        line = self.lines.of_record[0]
        if not self.width or line is None:
            return None
        if b'\\"' in line:
            other = line if self.lines.backslashes else line.replace(b'\\"', b'""')
            with suppress(csv.Error):
                cells = next(self._open_reader([self.lines.decode(other)]), [])
                if len(cells) == self.width:
                    return cells
        cells = self.lines.decode(line).split(self.dialect.delimiter)
        if len(cells) != self.width:
            return None
        return [
            _doubt(cell, "a quote that is not closed") if '"' in cell else cell for cell in cells
        ]


@dataclass(slots=True)
class _Fitter:
    """Makes records as wide as the header, by what cells of records before look like."""

    dialect: Dialect
    width: int
    before: deque[list[Any]] = field(default_factory=lambda: deque(maxlen=_RECORDS_KEPT))

    def fit(self, cells: list[Any]) -> list[Any]:
        """Return as many cells as the header has.

        Empty ones at the end may have been left out. Of too many, those that begin with a space
        belong to the cell before; else cells of a column that is text by the records before are
        one. If that could be several columns, what they differ on is a guess.
        """
        more = len(cells) - self.width
        if more < 0:
            return [*cells, *[""] * -more]
        if not any(cells[self.width :]):
            return cells[: self.width]  # a spreadsheet's empty columns
        going_on = [at for at, cell in enumerate(cells) if at and cell.startswith(" ")]
        if len(going_on) == more and not self.dialect.spaced:
            fitted: list[Any] = []
            for at, cell in enumerate(cells):
                if at in going_on:
                    fitted[-1] += self.dialect.delimiter + cell
                else:
                    fitted.append(cell)
            return fitted
        kinds = [_Kind.of(record[at] for record in self.before) for at in range(self.width)]
        found = [at for at in range(self.width) if kinds[at] is _Kind.TEXT]
        ways = [self._join(cells, at, more) for at in found]
        ways = [way for way in ways if self._fits(way, kinds)]
        fitted = ways[-1] if ways else self._join(cells, self.width - 1, more)
        detail = f"{len(cells)} cells where the header has {self.width}"
        if not ways:
            fitted[-1] = _doubt(fitted[-1], detail)
        for at, cell in enumerate(fitted):
            if any(way[at] != cell for way in ways):
                fitted[at] = _doubt(cell, detail)
        return fitted

    def _join(self, cells: list[str], at: int, more: int) -> list[Any]:
        joined = self.dialect.delimiter.join(cells[at : at + more + 1])
        return [*cells[:at], joined, *cells[at + more + 1 :]]

    def _fits(self, cells: list[str], kinds: list[_Kind]) -> bool:
        return all(_Kind.of([cell]) <= kind for cell, kind in zip(cells, kinds, strict=True))


class _Kind(IntEnum):
    """What cells of a column look like."""

    NUMBER = 0
    WORD = 1
    TEXT = 2

    @classmethod
    def of(cls, cells: Iterable[Any]) -> _Kind:
        texts = [cell.strip() for cell in cells if isinstance(cell, str)]
        if any(" " in text and any(map(str.isalpha, text)) for text in texts):
            return cls.TEXT
        return cls.WORD if any(any(map(str.isalpha, text)) for text in texts) else cls.NUMBER


def _doubt(text: str, detail: str) -> BadCell:
    guess = text.removeprefix('"') if text.count('"') == 1 else text
    return BadCell(RejectReason.MALFORMED, detail, guess)


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A ``.csv`` or ``.tsv`` file. A row is a record after the header, whatever lines it takes.

    A record that can't be parsed costs its first line only: reading goes on with the next line,
    so that a quote left open does not swallow the file.
    """

    ragged: ClassVar = False
    path: Path

    def read_column_names(self) -> list[str]:
        """Return the header.

        Raises:
            SourceError: the file is empty or compressed wrongly, or its first line is no header.
        """
        with self._open() as records:
            header = next(iter(records), None)
        if header is None:
            raise SourceError(f"{self.path} is empty; a CSV begins with the names of its columns")
        if isinstance(header, BadRecord):
            raise SourceError(f"{self.path} has no readable header: {header.detail}")
        return _name_columns(header)

    def read_remarks(self) -> list[str]:
        """Return what a person should know of how it is read."""
        with self._open() as records:
            return [f"{self.path.name} is {remark}" for remark in records.dialect.remarks]

    def count_rows(self) -> int | None:
        """Return the number of records; None for a compressed file."""
        if self.path.suffix.casefold() == ".gz":
            return None
        with self._open() as records:
            parsed = iter(records)
            header = next(parsed, None)
            if not isinstance(header, list):
                return 0
            records.width = len(header)
            return sum(1 for _ in parsed)

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord | NoVideo]:
        """Yield one record a row; an empty field is None."""
        with self._open() as records:
            parsed = iter(records)
            header = next(parsed, None)
            if not isinstance(header, list):
                return
            names = _name_columns(header)
            width = records.width = len(names)
            fitter = _Fitter(records.dialect, width)
            for row, cells in enumerate(parsed, start=1):
                if isinstance(cells, BadRecord):
                    yield BadRecord(row, cells.reason, cells.detail)
                    continue
                if cells == header and width > 1:
                    # Files were put one after the other.
                    yield NoVideo(row, "the names of the columns once more")
                    continue
                if len(cells) != width:
                    cells = fitter.fit(cells)
                else:
                    fitter.before.append(cells)
                yield Record(row, dict(zip(names, (cell or None for cell in cells), strict=True)))

    @contextmanager
    def _open(self) -> Iterator[_Records]:
        with open_binary(self.path) as file:
            dialect = sniff(file)
        with open_binary(self.path) as file:
            whole = file if dialect.is_plain else recode(file, dialect)
            lines = _Lines(read_lines(whole, max_bytes=MAX_RECORD_BYTES), dialect.backslashes)
            for _ in range(dialect.head_lines):
                next(lines.unread, None)
            yield _Records(lines, dialect)


def _name_columns(header: list[Any]) -> list[str]:
    """Return the names of a header, whatever bytes are in them."""
    names = (name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in header)
    return [name.replace("\0", "").strip() for name in names]
