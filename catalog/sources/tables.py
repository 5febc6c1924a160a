"""The seam between files of one format and the source made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import ClassVar, Protocol

from twinlens.catalog.sources.rows import BadCell, BadRecord, NoVideo, Record
from twinlens.catalog.sources.values import is_utf8


class Table(Protocol):
    """One file of rows."""

    #: Whether rows may have different columns, as in JSONL.
    ragged: ClassVar[bool]

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    def read_column_names(self) -> list[str]:
        """Return names of its columns, and paths into objects; none where no row could be read.

        Raises:
            SourceError: the file can't be read at all.
        """
        ...

    def read_remarks(self) -> list[str]:
        """Return what a person should know of how it is read.

        Raises:
            SourceError: the file can't be read at all.
        """
        ...

    def count_rows(self) -> int | None:
        """Return the number of rows, bad ones included, where that is cheap to know."""
        ...

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord | NoVideo]:
        """Return its rows, with at least these columns; bad ones in their places.

        Where the file is damaged and can't be read on, the last one says so.
        """
        ...


def find_bad_cell(record: Record) -> str | None:
    """Return what is wrong with a cell, for rows that are taken whole or not at all."""
    for cell in record.cells.values():
        if isinstance(cell, BadCell):
            return cell.detail
        if isinstance(cell, str) and not cell.isascii() and not is_utf8(cell):
            return "bytes that are not UTF-8"
    return None


class PlainTable:
    """What most tables have in common: nothing to remark, and rows that only reading counts."""

    __slots__ = ()

    def read_remarks(self) -> list[str]:
        """Return nothing."""
        return []

    def count_rows(self) -> int | None:
        """Return None: they would have to be read."""
        return None
