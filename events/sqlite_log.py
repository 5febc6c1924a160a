"""The event log over SQLite: one file in the data directory, for the processes of one machine."""

from __future__ import annotations

import json
import mmap
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from twinlens.catalog.errors import StoreCorrupt, StoreUnavailable
from twinlens.catalog.versions import refuse_newer
from twinlens.events.event import EventType
from twinlens.events.sql_log import FORMAT, TABLES, Connections, SqlEventLog

EVENTS_FILE: Final = "events.sqlite"
_PATIENCE_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.005
_SCHEMA: Final = (
    f"BEGIN IMMEDIATE; {TABLES.format(key='INTEGER', nulls_first='')}"
    f"PRAGMA user_version = {FORMAT}; COMMIT;"
)


class SqliteEventLog(SqlEventLog):
    """An ``EventLog`` in the file ``path``, which is made and opened by what first needs it.

    So it may be handed to processes that are forked later. Every method raises ``StoreUnavailable``
    where another process writes for over five seconds, the disk is full or the file can't be
    opened, ``StoreCorrupt`` where it is damaged, ``StoreError`` where a newer TwinLens made it.
    """

    _IN = "IN (SELECT value FROM json_each(?))"

    def __init__(
        self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(now=now)
        self._path = path
        self._durable = Connections(lambda: self._connect("FULL"))
        self._quick = Connections(lambda: self._connect("NORMAL"))

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(
            self._path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
        )
        try:
            [found] = db.execute("PRAGMA user_version").fetchone()
            refuse_newer(f"the event log {self._path} has", found, FORMAT)
            _write_ahead(db)
            # What is removed is overwritten with zeros.
            db.execute("PRAGMA secure_delete = ON")
            db.execute(f"PRAGMA synchronous = {synchronous}")
            # Ids are anywhere in their indexes: with few pages at hand each event reads some anew,
            # and with a short write-ahead log each batch writes them all to the file.
            db.execute("PRAGMA cache_size = -65536")  # KiB
            db.execute("PRAGMA wal_autocheckpoint = 8192")  # pages
            if found < FORMAT:
                db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._translate_errors(), self._quick.borrow() as db:
            yield db

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        connections = self._durable if durable else self._quick
        with self._translate_errors(), connections.borrow() as db:
            # A connection on which something fails is closed, which rolls back.
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")

    def _to_list(self, values: Sequence[Any]) -> str:
        return json.dumps(values)

    def forget(self, person_id: str) -> int:
        """See `EventLog`. Raises `StoreUnavailable` too where traces are left; repeat it then."""
        removed = super().forget(person_id)
        with self._translate_errors(), self._durable.borrow() as db:
            self._empty_journal(db)
            # SQLite zeroes what it deletes, but not what it moved to another page before that.
            if self._has_traces(person_id):
                db.execute("VACUUM")
                self._empty_journal(db)
        return removed

    def _empty_journal(self, db: sqlite3.Connection) -> None:
        """Write all of the write-ahead log to the file, and cut it to nothing."""
        [busy, *_] = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreUnavailable(
                f"the event log {self._path} is being read: what was removed is still in its "
                "write-ahead log; try again"
            )

    def _has_traces(self, person_id: str) -> bool:
        """Return whether the file has bytes of a row of this person, in use or not.

        A record is the types of its columns as small numbers, that of the last a number's, and then
        the columns. Source: https://www.sqlite.org/fileformat2.html, section 2.1.
        """
        after = b"|".join(type_.value.encode() for type_ in EventType)
        who = re.escape(person_id.encode())
        # What stands before comes second: `re` looks for the bytes that a pattern begins with.
        pattern = rb"%b(?<=[\x00-\x09]%b)(?:%b|[\[{])" % (who, who, after)
        with (
            self._path.open("rb") as file,
            closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as content,
        ):
            return re.search(pattern, content) is not None

    def copy_to(self, path: Path) -> None:
        """Write all of it to a new file, as it is at one moment, while others may write."""
        with self._reading() as db, closing(sqlite3.connect(path)) as copy:
            db.backup(copy)

    def close(self) -> None:
        """See `EventLog`."""
        self._durable.close()
        self._quick.close()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(f"the event log {self._path} can't be used: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StoreCorrupt(f"the event log {self._path} is damaged: {error}") from error
        except OSError as error:
            raise StoreUnavailable(f"the event log {self._path} can't be used: {error}") from error


def _write_ahead(db: sqlite3.Connection) -> None:
    """Have the file's writes go to a log ahead of it, as those that opened it before may have done.

    Of several that do so to a new file at once, SQLite refuses some without waiting.
    """
    patient_until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # its kinds are above
            if not busy or time.monotonic() > patient_until:
                raise
        time.sleep(_LOOK_EVERY_S)


def find_damage(path: Path) -> list[str]:
    """Return what is wrong with a log's file, in SQLite's words; nothing where it is whole.

    The file may be on a disk that can only be read.
    """
    address = path.resolve().as_uri()
    for mode in ("mode=ro", "immutable=1"):  # the first wants to write where others may
        try:
            with closing(sqlite3.connect(f"{address}?{mode}", uri=True)) as db:
                found = [row[0] for row in db.execute("PRAGMA integrity_check(20)")]
            return [] if found == ["ok"] else found
        except sqlite3.OperationalError as error:
            failed = [str(error)]
        except sqlite3.DatabaseError as error:
            return [str(error)]
    return failed
