"""Tables and queries of SQLite databases."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.rows import BadRecord, Record
from twinlens.catalog.sources.tables import PlainTable

_MAGIC: Final = b"SQLite format 3\0"
_VIRTUAL: Final = re.compile(r"\s*CREATE\s+VIRTUAL\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SqliteTable(PlainTable):
    """What a query of an SQLite file gives. The file is opened to be read only."""

    ragged: ClassVar = False
    path: Path
    query: str
    name: str = ""
    is_view: bool = False

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


def is_sqlite(path: Path) -> bool:
    """Return whether ``path`` begins as a database of SQLite does, or can't be read."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError:
        return True
    return _MAGIC.startswith(head)


def list_tables(path: Path) -> list[SqliteTable]:
    """Return its tables and views, each as the query for all of it; not those of a text search.

    Raises:
        SourceError: it is no database.
    """
    with _open(path) as database:
        found = database.execute(
            "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        ).fetchall()
    virtual = [str(name) for name, _, sql in found if _VIRTUAL.match(str(sql))]
    shadows = tuple(f"{name}_" for name in virtual)
    return [
        SqliteTable(path, f"SELECT * FROM {quoted}", str(name), kind == "view")  # noqa: S608
        for name, kind, _ in found
        if (quoted := '"{}"'.format(str(name).replace('"', '""')))
        and name not in virtual
        and not str(name).startswith(shadows)
    ]


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
