"""JSON Lines: one object a line, plain or gzipped."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.columns import list_paths
from twinlens.catalog.sources.json_table import JsonTable, holds_rows
from twinlens.catalog.sources.lines import READ_ERRORS, open_binary, read_lines
from twinlens.catalog.sources.rows import BadRecord, Record
from twinlens.catalog.sources.tables import PlainTable

# Room for the largest picture that is read, in base64.
MAX_LINE_BYTES: Final = 32 * 1024 * 1024
# A key that none of the first rows has is taken for one that does not exist.
_ROWS_PEEKED: Final = 1_000


def open_json(path: Path) -> JsonlTable | JsonTable:
    """Return the table at ``path``: lines of objects, or JSON of any layout, by its beginning."""
    with suppress(*READ_ERRORS, SourceError), open_binary(path) as file:
        lines = (line.strip() for line in read_lines(file, max_bytes=MAX_LINE_BYTES) if line)
        some = list(itertools.islice(filter(None, lines), 2))
        if not some or not (
            some[0].startswith((b"[", b"\xff\xfe", b"\xfe\xff")) or some[0] == b"{"
        ):
            lined = ".json." not in f"{path.name.casefold()}."
            first = _parse_record(1, some[0]) if some else None
            is_row = isinstance(first, Record) and not holds_rows(first.cells)
            if lined or (is_row and len(some) > 1 and some[1].startswith(b"{")):
                return JsonlTable(path)
        return JsonTable(path)
    return JsonlTable(path)


@dataclass(frozen=True)
class JsonlTable(PlainTable):
    """A ``.jsonl`` or ``.ndjson`` file. A row is a line; blank lines are passed over."""

    ragged: ClassVar = True
    path: Path

    def read_column_names(self) -> list[str]:
        """Keys of the first thousand rows, and paths into their objects, as they appear.

        Raises:
            SourceError: not even the first can be read.
        """
        return list(self._names)

    @cached_property
    def _names(self) -> list[str]:
        # Asked for several times in one run, and as dear as a thousand rows.
        names: dict[str, None] = {}
        for record in itertools.islice(self.read_records(()), _ROWS_PEEKED):
            if isinstance(record, Record):
                names.update(dict.fromkeys(list_paths(record.cells)))
            elif record.row == 1 and record.reason is RejectReason.FILE_UNREADABLE:
                raise SourceError(f"{self.path}: {record.detail}")
        return list(names)

    def count_rows(self) -> int | None:
        """Return the number of lines that are not blank; None for a compressed file."""
        if self.path.suffix.casefold() == ".gz":
            return None
        with open_binary(self.path) as file:
            lines = read_lines(file, max_bytes=MAX_LINE_BYTES)
            return sum(1 for line in lines if line is None or line.strip())

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord]:
        """Yield one record a line, all its keys."""
        row = 0
        with open_binary(self.path) as file:
            lines = read_lines(file, max_bytes=MAX_LINE_BYTES)
            while True:
                row += 1
                try:
                    line = next(lines)
                except StopIteration:
                    return
                except READ_ERRORS as error:
                    yield BadRecord(
                        row, RejectReason.FILE_UNREADABLE, f"damaged from line {row} on: {error}"
                    )
                    return
                if line is None:
                    yield BadRecord(
                        row, RejectReason.MALFORMED, f"a line of more than {MAX_LINE_BYTES} bytes"
                    )
                elif line.strip():
                    yield _parse_record(row, line)


def _parse_record(row: int, line: bytes) -> Record | BadRecord:
    try:
        cells = json.loads(line.decode())
    except UnicodeDecodeError as error:
        return BadRecord(row, RejectReason.NOT_UTF8, str(error))
    except (ValueError, RecursionError) as error:
        return BadRecord(row, RejectReason.MALFORMED, f"not JSON: {error}")
    if not isinstance(cells, dict):
        return BadRecord(
            row, RejectReason.MALFORMED, f"a row is a JSON object, not {type(cells).__name__}"
        )
    return Record(row, cells)
