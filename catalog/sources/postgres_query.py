"""What a query of a PostgreSQL database gives."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.columns import Columns
from twinlens.catalog.sources.rows import BadRecord, Record
from twinlens.catalog.sources.table_source import TableSource
from twinlens.catalog.sources.tables import PlainTable

if TYPE_CHECKING:
    import psycopg

_ADDRESS: Final = re.compile(r"postgres(ql)?://")
_CONNECT_TIMEOUT_S: Final = 10
_ROWS_AT_A_TIME: Final = 500
_READ: Final = (str, int, float, Decimal, bytes, date, time, timedelta, list, dict, type(None))


def is_postgres(spec: str) -> bool:
    """Return whether ``spec`` is the address of a PostgreSQL database."""
    return _ADDRESS.match(spec) is not None


def open_postgres(address: str, *, columns: Columns, query: str | None) -> TableSource:
    """Return what ``query`` gives, as a source whose name has no password.

    Pictures that rows name by their paths are looked for in the working directory.

    Raises:
        SourceError: psycopg is not installed, the database can't be reached, the query is missing
            or wrong, or its columns have no title.
    """
    try:
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise SourceError(
            "a PostgreSQL source takes psycopg: pip install 'twinlens[postgres]'"
        ) from error
    try:
        parts = conninfo_to_dict(address)
    except Error:
        # Its words may repeat the password.
        raise SourceError(
            "the address of the PostgreSQL source can't be read: like "
            "postgresql://user:password@host/database, its parts percent-encoded"
        ) from None
    user = f"{parts['user']}@" if "user" in parts else ""
    port = f":{parts['port']}" if "port" in parts else ""
    name = f"postgresql://{user}{parts.get('host', '')}{port}/{parts.get('dbname', '')}"
    if query is None:
        raise SourceError(f"{name}: a database is read by a query: --query 'SELECT …'")
    here = Path.cwd()
    table = PostgresQuery(here / f"PostgreSQL {parts.get('dbname', '')}", address, query, name)
    return TableSource(name, [table], root=here, columns=columns)


@dataclass(frozen=True)
class PostgresQuery(PlainTable):
    """What a query gives, read in a transaction that writes nothing, some rows at a time."""

    ragged: ClassVar = False
    path: Path
    address: str = field(repr=False)
    query: str
    name: str

    @cached_property
    def _names(self) -> list[str]:
        with self._answer() as answer:
            return [column.name for column in answer.description or ()]

    def read_column_names(self) -> list[str]:
        """Return the columns of the answer.

        Raises:
            SourceError: the database can't be reached, or the query is wrong.
        """
        return list(self._names)

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord]:
        """Yield one record a row of the answer."""
        from psycopg import Error

        row = 0
        with self._answer() as answer:
            try:
                for row, cells in enumerate(answer, start=1):
                    yield Record(row, dict(zip(self._names, map(_read, cells), strict=True)))
            except Error as error:
                yield BadRecord(
                    row + 1, RejectReason.FILE_UNREADABLE, f"broken off here: {_first_line(error)}"
                )

    @contextmanager
    def _answer(self) -> Iterator[psycopg.ServerCursor[Any]]:
        import psycopg

        try:
            with psycopg.connect(self.address, connect_timeout=_CONNECT_TIMEOUT_S) as db:
                db.read_only = True
                _read_every_date(db)
                with db.cursor("twinlens") as cursor:
                    cursor.itersize = _ROWS_AT_A_TIME
                    cursor.execute(self.query.rstrip("; \n").encode())
                    yield cursor
        except psycopg.Error as error:
            raise SourceError(f"{self.name}: {_first_line(error)}") from None


def _read(cell: object) -> object:
    """Return a cell as one that is understood, or as text: a UUID, an address, a range."""
    return cell if isinstance(cell, _READ) else str(cell)


def _read_every_date(db: psycopg.Connection[Any]) -> None:
    """Have dates that Python has none for, as infinity, be read as text."""
    from psycopg import DataError
    from psycopg.types import datetime as loaders

    def leniently(loader: Any) -> Any:
        class Lenient(loader):  # type: ignore[misc] # a class at run time
            def load(self, data: Any) -> object:
                try:
                    return super().load(data)
                except DataError:
                    return bytes(data).decode()

        return Lenient

    for kind, loader in (
        ("date", loaders.DateLoader),
        ("timestamp", loaders.TimestampLoader),
        ("timestamptz", loaders.TimestamptzLoader),
    ):
        db.adapters.register_loader(kind, leniently(loader))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].strip()
