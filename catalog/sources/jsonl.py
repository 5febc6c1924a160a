"""JSON Lines: one object a line, plain or gzipped."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.columns import list_paths
from twinlens.catalog.sources.json_table import JsonTable, decode, expand, is_plain
from twinlens.catalog.sources.lines import READ_ERRORS, open_binary, read_lines
from twinlens.catalog.sources.rows import BadRecord, NoVideo, Record
from twinlens.catalog.sources.tables import PlainTable
from twinlens.catalog.sources.values import quote

# Room for the largest picture that is read, in base64.
MAX_LINE_BYTES: Final = 32 * 1024 * 1024
# A key that none of the first rows has is taken for one that does not exist.
_ROWS_PEEKED: Final = 1_000


def open_json(path: Path) -> JsonlTable | JsonTable:
    """Return the table at ``path``: lines of objects, or JSON of any layout, by its beginning."""
    with suppress(*READ_ERRORS, SourceError), open_binary(path) as file:
        lines = read_lines(file, max_bytes=MAX_LINE_BYTES)
        some = list(itertools.islice((line for line in lines if line is None or line.strip()), 2))
        first = (some[0] or b"").strip() if some else b""
        if first == b"{" or first.startswith((b"[", b"\xff\xfe", b"\xfe\xff")):
            return JsonTable(path)
        lined = ".json." not in f"{path.name.casefold()}."
        record = _parse(1, first)
        is_object = isinstance(record, dict)
        is_page = isinstance(record, dict) and not is_plain(record)
        if len(some) == 2 and (some[1] or b"").lstrip().startswith(b"{") and is_object:
            return JsonlTable(path, pages=is_page)
        if lined and not is_page and some != [None]:
            return JsonlTable(path)
        return JsonTable(path)
    return JsonlTable(path)


@dataclass(frozen=True)
class JsonlTable(PlainTable):
    """A ``.jsonl`` or ``.ndjson`` file. A row is a line; blank lines are passed over.

    A line may hold a page of rows; ``pages`` where the first does.
    """

    ragged: ClassVar = True
    path: Path
    pages: bool = False

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
            elif isinstance(record, BadRecord) and (
                record.row == 1 and record.reason is RejectReason.FILE_UNREADABLE
            ):
                raise SourceError(f"{self.path}: {record.detail}")
        return list(names)

    def count_rows(self) -> int | None:
        """Return the number of lines that are not blank; None for pages or a compressed file."""
        if self.pages or self.path.suffix.casefold() == ".gz":
            return None
        with open_binary(self.path) as file:
            lines = read_lines(file, max_bytes=MAX_LINE_BYTES)
            return sum(1 for line in lines if line is None or line.strip())

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord | NoVideo]:
        """Yield one record a line, all its keys; of a page each of its rows."""
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
                    cells = _parse(row, line)
                    if isinstance(cells, BadRecord):
                        yield cells
                    elif is_plain(cells):
                        yield Record(row, cells)
                    else:
                        yield from expand(row, cells)


def _parse(row: int, line: bytes) -> dict[str, Any] | BadRecord:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        # Half surrogates stand for bytes that are none: cells that hold them say so.
        text = line.decode("utf-8", "surrogateescape")
    try:
        cells, end = decode(text, len(text) - len(text.lstrip()))
        if rest := text[end:].strip():
            raise ValueError(f"Extra data: {quote(rest)}")
    except (ValueError, RecursionError) as error:
        if text.rstrip().endswith(","):  # a line cut out of a list
            return _parse(row, line.rstrip(b", \t\r"))
        return BadRecord(row, RejectReason.MALFORMED, f"not JSON: {error}")
    if not isinstance(cells, dict):
        return BadRecord(
            row, RejectReason.MALFORMED, f"a row is a JSON object, not {type(cells).__name__}"
        )
    return cells
