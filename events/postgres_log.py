"""The event log over PostgreSQL, for a site of many servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from twinlens.catalog.errors import StoreError, StoreUnavailable, UsageError
from twinlens.catalog.versions import refuse_newer
from twinlens.events.sql_log import FORMAT, TABLES, Connections, Cursor, SqlEventLog

if TYPE_CHECKING:
    import psycopg

_PATIENCE_S: Final = 5
_NAMESPACE: Final = "twinlens"
_MAKING: Final = 7_809_117  # an advisory lock: one process makes the tables
_SCHEMA: Final = (
    f"CREATE SCHEMA IF NOT EXISTS {_NAMESPACE};"
    f"{TABLES.format(key='BIGINT', nulls_first=' NULLS FIRST')}"
)


class PostgresEventLog(SqlEventLog):
    """An ``EventLog`` in the schema ``twinlens`` of a database, made by what first needs it.

    ``address`` is what libpq takes: ``postgresql://user:password@host/database``. Times are
    microseconds since 1970. Every method raises ``StoreUnavailable`` where the server does not
    answer, or another writes for over five seconds.

    What is removed is no row any more, but PostgreSQL overwrites its bytes later: after a
    ``VACUUM``, as its autovacuum does, and when its write-ahead log comes round.
    """

    _IN = "= ANY(?)"

    def __init__(
        self, address: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(now=now)
        try:
            import psycopg
        except ImportError as error:
            raise UsageError(
                "events in PostgreSQL take psycopg: pip install 'twinlens[postgres]'"
            ) from error
        self._psycopg = psycopg
        self._address = address
        self._connections = Connections(self._connect)

    def _connect(self) -> psycopg.Connection:
        db = self._psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=_PATIENCE_S,
            options=f"-c lock_timeout={_PATIENCE_S}s -c search_path={_NAMESPACE}",
        )
        try:
            if db.execute("SELECT to_regclass('twinlens.feeds')").fetchone() == (None,):
                with db.transaction():
                    db.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
                    db.execute(_SCHEMA)
            [found] = db.execute("SELECT format FROM state").fetchone() or [0]
            refuse_newer("the event log in PostgreSQL has", found, FORMAT)
        except BaseException:
            db.close()
            raise
        return db

    @contextmanager
    def _reading(self) -> Iterator[Cursor]:
        with self._translate_errors(), self._connections.borrow() as db, db.cursor() as cursor:
            yield _QuestionMarks(cursor)

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[Cursor]:
        with (
            self._translate_errors(),
            self._connections.borrow() as db,
            db.transaction(),
            db.cursor() as cursor,
        ):
            if not durable:
                cursor.execute("SET LOCAL synchronous_commit = off")
            yield _QuestionMarks(cursor)

    def _to_list(self, values: Sequence[Any]) -> list[Any]:
        return list(values)

    def close(self) -> None:
        """See `EventLog`."""
        self._connections.close()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (self._psycopg.OperationalError, self._psycopg.InterfaceError) as error:
            reason = str(error).partition("\n")[0]
            raise StoreUnavailable(
                f"the event log in PostgreSQL can't be used: {reason}"
            ) from error
        except self._psycopg.Error as error:
            raise StoreError(f"the event log in PostgreSQL failed: {error}") from error


class _QuestionMarks:
    """A cursor that takes ``?`` for a parameter; no statement here has one of its own."""

    def __init__(self, cursor: psycopg.Cursor) -> None:
        self._cursor = cursor

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor:
        return self._cursor.execute(statement.replace("?", "%s").encode(), parameters)

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]], /) -> None:
        self._cursor.executemany(statement.replace("?", "%s").encode(), parameters)
