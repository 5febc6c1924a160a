"""The seam between files of one format and the source made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import ClassVar, Protocol

from twinlens.catalog.sources.rows import BadRecord, Record


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

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord]:
        """Return its rows, with at least these columns; bad ones in their places.

        Where the file is damaged and can't be read on, the last one says so.
        """
        ...


class PlainTable:
    """What most tables have in common: nothing to remark, and rows that only reading counts."""

    __slots__ = ()

    def read_remarks(self) -> list[str]:
        """Return nothing."""
        return []

    def count_rows(self) -> int | None:
        """Return None: they would have to be read."""
        return None
