"""Tables and queries of SQLite databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.rows import BadRecord, Record
from twinlens.catalog.sources.tables import PlainTable


@dataclass(frozen=True, slots=True)
class SqliteTable(PlainTable):
    """What a query of an SQLite file gives. The file is opened to be read only."""

    ragged: ClassVar = False
    path: Path
    query: str

    def read_column_names(self) -> list[str]:
        """Return the columns of the answer.

        Raises:
            SourceError: it is no database, or the query is wrong.
        """
        with _open(self.path) as database:
            answer = database.execute(self.query)
            if answer.description is None:
                raise SourceError(f"{self.path}: {self.query!r} gives no rows")
            return [column[0] for column in answer.description]

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord]:
        """Yield one record a row of the answer."""
        with _open(self.path) as database:
            answer = database.execute(self.query)
            names = [column[0] for column in answer.description]
            row = 0
            try:
                for row, cells in enumerate(answer, start=1):
                    yield Record(row, dict(zip(names, cells, strict=True)))
            except sqlite3.Error as error:
                yield BadRecord(
                    row + 1, RejectReason.FILE_UNREADABLE, f"damaged from here on: {error}"
                )


def list_tables(path: Path) -> list[SqliteTable]:
    """Return its tables and views, each as the query for all of it.

    Raises:
        SourceError: it is no database.
    """
    with _open(path) as database:
        names = database.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        ).fetchall()
    doubled = ('"{}"'.format(str(name).replace('"', '""')) for (name,) in names)
    return [SqliteTable(path, f"SELECT * FROM {name}") for name in doubled]  # noqa: S608 - quoted


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            # Texts that are no UTF-8 are bytes, and each row says so.
            database.text_factory = lambda text: _decode(text)
            yield database
    except sqlite3.Error as error:
        raise SourceError(f"{path}: {error}") from error


def _decode(text: bytes) -> str | bytes:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text
