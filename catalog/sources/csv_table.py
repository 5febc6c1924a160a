"""CSV with a header line, as spreadsheets and databases save it; plain or gzipped."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar, Final

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.dialect import Dialect, recode, sniff
from twinlens.catalog.sources.lines import READ_ERRORS, open_binary, read_lines
from twinlens.catalog.sources.rows import BadRecord, Record
from twinlens.catalog.sources.values import is_utf8

MAX_RECORD_BYTES: Final = 1024 * 1024
MAX_RECORD_LINES: Final = 10_000


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
        # Bytes that are no UTF-8 pass through as half surrogates, and the record is refused whole.
        return line.decode("utf-8", "surrogateescape") + "\n"


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
        with self._open() as (file, dialect):
            header = next(_parse(file, dialect), None)
        if header is None:
            raise SourceError(f"{self.path} is empty; a CSV begins with the names of its columns")
        if isinstance(header, BadRecord):
            raise SourceError(f"{self.path} has no readable header: {header.detail}")
        return [name.strip() for name in header]

    def read_remarks(self) -> list[str]:
        """Return what a person should know of how it is read."""
        with self._open() as (_, dialect):
            return [f"{self.path.name} is {dialect.remark}"] if dialect.remark else []

    def count_rows(self) -> int | None:
        """Return the number of records; None for a compressed file."""
        if self.path.suffix.casefold() == ".gz":
            return None
        with self._open() as (file, dialect):
            return max(0, sum(1 for _ in _parse(file, dialect)) - 1)

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord]:
        """Yield one record a row; an empty field is None."""
        with self._open() as (file, dialect):
            parsed = _parse(file, dialect)
            header = next(parsed, None)
            if not isinstance(header, list):
                return
            header = [name.strip() for name in header]
            for row, fields in enumerate(parsed, start=1):
                if isinstance(fields, BadRecord):
                    yield BadRecord(row, fields.reason, fields.detail)
                    continue
                if len(fields) > len(header) and not any(fields[len(header) :]):
                    fields = fields[: len(header)]  # a spreadsheet's empty columns
                if len(fields) != len(header):
                    yield BadRecord(
                        row,
                        RejectReason.MALFORMED,
                        f"{len(fields)} fields where the header has {len(header)}",
                    )
                else:
                    cells = zip(header, (text or None for text in fields), strict=True)
                    yield Record(row, dict(cells))

    @contextmanager
    def _open(self) -> Iterator[tuple[BinaryIO, Dialect]]:
        with open_binary(self.path) as file:
            dialect = sniff(file)
        with open_binary(self.path) as file:
            if dialect.is_plain:
                yield file, dialect
            else:
                with recode(file, dialect) as recoded:
                    yield recoded, dialect


def _parse(file: BinaryIO, dialect: Dialect) -> Iterator[list[str] | BadRecord]:
    """Yield fields of every record, the header too; blank lines are passed over."""
    lines = _Lines(read_lines(file, max_bytes=MAX_RECORD_BYTES), dialect.backslashes)
    for _ in range(dialect.head_lines):
        next(lines.unread, None)
    while True:
        lines.begin_record()
        try:
            reader = csv.reader(
                lines, delimiter=dialect.delimiter, skipinitialspace=dialect.spaced, strict=True
            )
            fields = next(reader)
        except StopIteration:
            return
        except READ_ERRORS as error:
            yield BadRecord(0, RejectReason.FILE_UNREADABLE, f"damaged from here on: {error}")
            return
        except (csv.Error, _RecordTooLong) as error:
            lines.give_back_all_but_first()
            detail = (
                f"a record of more than {MAX_RECORD_BYTES} bytes or {MAX_RECORD_LINES} lines"
                if isinstance(error, _RecordTooLong)
                else str(error)
            )
            yield BadRecord(0, RejectReason.MALFORMED, detail)
            continue
        if not fields:
            continue
        text = "".join(fields)
        if not is_utf8(text):
            yield BadRecord(0, RejectReason.NOT_UTF8, "bytes that are not UTF-8")
        elif "\0" in text:
            yield BadRecord(0, RejectReason.MALFORMED, "a NUL")
        else:
            yield fields
