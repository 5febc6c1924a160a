"""What the event logs over SQL databases have in common."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa

from twinlens.events.event import Event, EventType
from twinlens.events.group_commit import GroupCommit
from twinlens.events.log import EVENT_SCHEMA, Appended, FrozenFeed

# In this order in the table, behind `place`. That the person comes first, the type next, and a
# number last, lets the SQLite log find a person's bytes in its file.
COLUMNS: Final = (
    "person_id",
    "type",
    "event_id",
    "video_id",
    "watch_id",
    "query_id",
    "feed_id",
    "surface",
    "text",
    "undoes",
    "region",
    "device",
    "language",
    "at",
    "watched_s",
    "duration_s",
    "position",
    "chance",
    "seen",
)
# For both databases: what they call a number of 64 bits that is the key, and a column's order.
TABLES: Final = """
CREATE TABLE IF NOT EXISTS state (place BIGINT NOT NULL, format INTEGER NOT NULL);
INSERT INTO state SELECT 0, 1 WHERE NOT EXISTS (SELECT * FROM state);
CREATE TABLE IF NOT EXISTS events (
    place {key} PRIMARY KEY,
    person_id TEXT NOT NULL, type TEXT NOT NULL, event_id TEXT NOT NULL,
    video_id TEXT, watch_id TEXT, query_id TEXT, feed_id TEXT,
    surface TEXT, text TEXT, undoes TEXT, region TEXT, device TEXT, language TEXT,
    at BIGINT, watched_s DOUBLE PRECISION, duration_s DOUBLE PRECISION,
    position INTEGER, chance DOUBLE PRECISION, seen SMALLINT
);
CREATE UNIQUE INDEX IF NOT EXISTS by_event ON events (event_id);
CREATE INDEX IF NOT EXISTS by_person ON events (person_id, type, at{nulls_first});
CREATE INDEX IF NOT EXISTS by_watch ON events (watch_id) WHERE watch_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS feeds (
    person_id TEXT NOT NULL, window_json TEXT NOT NULL, feed_id TEXT NOT NULL, until BIGINT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS by_feed ON feeds (feed_id);
CREATE INDEX IF NOT EXISTS by_end ON feeds (until);
"""
# Raised, with that in TABLES, whenever an older program could no longer read a log right.
FORMAT: Final = 1
_ALL: Final = ", ".join(COLUMNS)
_AT: Final = COLUMNS.index("at")
_SEEN: Final = COLUMNS.index("seen")
_READ: Final = attrgetter(*COLUMNS)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_PRUNED_AT_ONCE: Final = 50_000
_FLOATS: Final = ("watched_s", "duration_s", "chance")


# SQLite's connection, or what looks like it: psycopg's is typed otherwise.
Cursor = Any


@dataclass(slots=True, eq=False)
class _Kept:
    """A row as it is to be; ``place`` is where it stands now, if it does."""

    event: Event
    place: int | None
    changed: bool = False


class SqlEventLog(ABC):
    """An ``EventLog`` over a database. What an implementation adds is how it is spoken to.

    Statements are written with ``?``. Whoever writes first takes the row of ``state``, so that one
    transaction after the other gets its places, and a reader who has seen one has seen all before.
    """

    #: An SQL condition that a column is one of a list, which ``_to_list`` makes a parameter.
    _IN: str

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._commits = GroupCommit(self._write)

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Cursor]:
        """Borrow a connection to read by; errors are translated."""

    @abstractmethod
    def _writing(self, *, durable: bool = True) -> AbstractContextManager[Cursor]:
        """Borrow a connection for one transaction, committed unless something is raised."""

    @abstractmethod
    def _to_list(self, values: Sequence[Any]) -> Any:
        """Return ``values`` as one parameter, for ``_IN``."""

    @abstractmethod
    def close(self) -> None:
        """See `EventLog`."""

    def append(self, events: Sequence[Event]) -> Appended:
        """See `EventLog`."""
        return self._commits.append(events) if events else Appended(0, 0, ())

    def _write(self, calls: Sequence[Sequence[Event]]) -> list[Appended]:
        events = [event for call in calls for event in call]
        with self._writing() as db:
            place = _take_places(db, len(events))
            kept = self._find_kept(db, events)
            appended = [kept.append(call) for call in calls]
            self._store(db, kept.list_changed(), place)
        return appended

    def _store(self, db: Cursor, rows: Sequence[_Kept], place: int) -> None:
        """Write rows, new or changed, to the places from ``place`` on."""
        if moved := [row.place for row in rows if row.place is not None]:
            db.execute(f"DELETE FROM events WHERE place {self._IN}", (self._to_list(moved),))  # noqa: S608
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        db.executemany(
            f"INSERT INTO events (place, {_ALL}) VALUES ({marks})",  # noqa: S608
            [(number, *_to_row(row.event)) for number, row in enumerate(rows, start=place)],
        )

    def _find_kept(self, db: Cursor, events: Sequence[Event]) -> _KeptRows:
        """Return the rows that these events may be, or belong to."""
        kept = _KeptRows()
        watch_ids = {one.watch_id for one in events if _is_heartbeat(one)}
        for column, values in (
            ("event_id", {one.event_id for one in events}),
            ("watch_id", watch_ids),
        ):
            if values:
                kept.add(self._select(db, f"{column} {self._IN}", self._to_list(list(values))))
        return kept

    def _select(self, db: Cursor, condition: str, *parameters: Any) -> list[_Kept]:
        rows = db.execute(
            f"SELECT place, {_ALL} FROM events WHERE {condition}",  # noqa: S608
            parameters,
        ).fetchall()
        return [_Kept(_to_event(row[1:]), row[0]) for row in rows]

    def read_person(
        self, person_id: str, *, limits: Mapping[EventType, int] | None = None
    ) -> list[Event]:
        """See `EventLog`."""
        if limits is None:
            statement = f"SELECT place, {_ALL} FROM events WHERE person_id = ?"  # noqa: S608
            parameters: list[Any] = [person_id]
        else:
            one = (
                f"SELECT * FROM (SELECT place, {_ALL} FROM events WHERE person_id = ? AND type = ? "  # noqa: S608
                "ORDER BY at DESC NULLS LAST, place DESC LIMIT ?) AS latest"
            )
            statement = " UNION ALL ".join([one] * len(limits))
            parameters = [
                part for type_, most in limits.items() for part in (person_id, type_.value, most)
            ]
        if not parameters:
            return []
        with self._reading() as db:
            rows = db.execute(statement, parameters).fetchall()
        rows.sort(key=lambda row: (row[1 + _AT] is not None, row[1 + _AT] or 0, row[0]))
        return [_to_event(row[1:]) for row in rows]

    def scan(
        self, *, after: int = 0, types: Sequence[EventType] | None = None, batch_size: int = 50_000
    ) -> Iterator[tuple[pa.Table, int]]:
        """See `EventLog`. Each table is read by itself, so that nothing is held up meanwhile."""
        wanted = "" if types is None else f"AND type {self._IN}"
        named = [] if types is None else [self._to_list([type_.value for type_ in types])]
        while True:
            with self._reading() as db:
                rows = db.execute(
                    f"SELECT place, {_ALL} FROM events WHERE place > ? {wanted} "  # noqa: S608
                    "ORDER BY place LIMIT ?",
                    (after, *named, batch_size),
                ).fetchall()
            if rows:
                after = rows[-1][0]
                yield _to_table(rows), after
            if len(rows) < batch_size:
                return

    def remove(self, person_id: str, event_id: str) -> bool:
        """See `EventLog`."""
        with self._writing() as db:
            removed = db.execute(
                "DELETE FROM events WHERE event_id = ? AND person_id = ?", (event_id, person_id)
            )
            return bool(removed.rowcount)

    def merge(self, person_id: str, into: str) -> int:
        """See `EventLog`. A playback that both have a part of becomes one."""
        if person_id == into:
            return 0
        with self._writing() as db:
            _take_places(db, 0)
            theirs = self._select(db, "person_id = ?", person_id)
            kept = _KeptRows()
            kept.add(self._select(db, "person_id = ? AND watch_id IS NOT NULL", into))
            db.execute("DELETE FROM events WHERE person_id = ?", (person_id,))
            for row in sorted(theirs, key=lambda row: row.place or 0):
                event = replace(row.event, person_id=into)
                same = kept.find_playback(event)
                if same is not None and same.event.video_id != event.video_id:
                    event = replace(event, watch_id=None)
                kept.append([event])
            self._store(db, kept.list_changed(), _take_places(db, len(theirs)))
            db.execute("UPDATE feeds SET person_id = ? WHERE person_id = ?", (into, person_id))
        return len(theirs)

    def forget(self, person_id: str) -> int:
        """See `EventLog`."""
        with self._writing() as db:
            removed = db.execute("DELETE FROM events WHERE person_id = ?", (person_id,)).rowcount
            db.execute("DELETE FROM feeds WHERE person_id = ?", (person_id,))
        return int(removed)

    def prune(self, before: datetime) -> int:
        """See `EventLog`. Events without a time are kept: nobody knows how old they are."""
        removed = 0
        with self._reading() as db:
            [last] = db.execute("SELECT place FROM state").fetchone()
        for begin in range(0, last, _PRUNED_AT_ONCE):
            with self._writing() as db:  # a transaction each, so that others get their turn
                removed += db.execute(
                    "DELETE FROM events WHERE place > ? AND place <= ? AND at < ?",
                    (begin, begin + _PRUNED_AT_ONCE, _to_us(before)),
                ).rowcount
        return removed

    def freeze(self, feed: FrozenFeed) -> None:
        """See `EventLog`. It does not wait for the disk: a lost feed is asked for again."""
        with self._writing(durable=False) as db:
            db.execute("DELETE FROM feeds WHERE until < ?", (_to_us(self._now()),))
            db.execute(
                "INSERT INTO feeds (person_id, window_json, feed_id, until) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (feed_id) DO UPDATE SET person_id = excluded.person_id, "
                "window_json = excluded.window_json, until = excluded.until",
                (feed.person_id, feed.window, feed.feed_id, _to_us(feed.until)),
            )

    def read_frozen(self, feed_id: str) -> FrozenFeed | None:
        """See `EventLog`."""
        with self._reading() as db:
            row = db.execute(
                "SELECT person_id, window_json, until FROM feeds WHERE feed_id = ? AND until >= ?",
                (feed_id, _to_us(self._now())),
            ).fetchone()
        return None if row is None else FrozenFeed(feed_id, row[0], row[1], _from_us(row[2]))

    def count(self) -> int:
        """See `EventLog`."""
        with self._reading() as db:
            return int(db.execute("SELECT count(*) FROM events").fetchone()[0])


class _KeptRows:
    """Rows by what tells them apart: what is appended is one of them, part of one, or new."""

    def __init__(self) -> None:
        self._by_id: dict[str, _Kept] = {}
        self._by_watch: dict[tuple[str, str | None], _Kept] = {}
        self._changed: dict[_Kept, None] = {}

    def add(self, rows: Sequence[_Kept]) -> None:
        for row in rows:
            row = self._by_id.setdefault(row.event.event_id, row)
            if _is_heartbeat(row.event):
                self._by_watch[row.event.person_id, row.event.watch_id] = row

    def list_changed(self) -> list[_Kept]:
        """Return rows that are new or changed, in the order in which they became so."""
        return list(self._changed)

    def find_playback(self, event: Event) -> _Kept | None:
        """Return the row that a heartbeat is of, if there is one."""
        if not _is_heartbeat(event):
            return None
        return self._by_watch.get((event.person_id, event.watch_id))

    def append(self, events: Sequence[Event]) -> Appended:
        """Take events in, and return what became of them."""
        new, known, conflicts = 0, 0, []
        for number, event in enumerate(events):
            playback = _is_heartbeat(event) and self._by_watch.get(
                (event.person_id, event.watch_id)
            )
            row = playback or self._by_id.get(event.event_id)
            if row is None:
                row = _Kept(event, None)
                self.add([row])
                self._changed[row] = None
                new += 1
            elif playback and row.event.video_id == event.video_id:
                merged = _merge(row.event, event)
                if merged == row.event:
                    known += 1
                    continue
                row.event = merged
                self._changed[row] = None
                new += 1
            elif _says_the_same(row.event, event):
                known += 1
            else:
                conflicts.append(number)
        return Appended(new, known, conflicts)


def _is_heartbeat(event: Event) -> bool:
    return event.type is EventType.WATCH and event.watch_id is not None


def _merge(first: Event, later: Event) -> Event:
    """Return one event of two heartbeats of a playback: the first's, but for what came about."""
    changes = {name: getattr(later, name) for name in COLUMNS if getattr(first, name) is None}
    if first.at is not None and later.at is not None:
        changes["at"] = min(first.at, later.at)
    if first.watched_s is not None and later.watched_s is not None:
        changes["watched_s"] = max(first.watched_s, later.watched_s)
    return replace(first, **changes)


def _says_the_same(one: Event, other: Event) -> bool:
    """Compare but for ``at``, which is another where a clock was corrected at each sending.

    Numbers are compared as tables have them.
    """
    return all(
        np.float32(a) == np.float32(b) if name in _FLOATS and None not in (a, b) else a == b
        for name in COLUMNS
        if name != "at"
        for a, b in [(getattr(one, name), getattr(other, name))]
    )


def _take_places(db: Cursor, several: int) -> int:
    """Return the first of so many new places; other writers wait until this one has committed."""
    [last] = db.execute("UPDATE state SET place = place + ? RETURNING place", (several,)).fetchone()
    return int(last) - several + 1


def _to_row(event: Event) -> list[Any]:
    row = list(_READ(event))
    row[_AT] = None if event.at is None else _to_us(event.at)
    row[_SEEN] = None if event.seen is None else int(event.seen)
    return row


def _to_event(row: Sequence[Any]) -> Event:
    values = dict(zip(COLUMNS, row, strict=True))
    values["type"] = EventType(values["type"])
    values["at"] = None if values["at"] is None else _from_us(values["at"])
    values["seen"] = None if values["seen"] is None else bool(values["seen"])
    return Event(**values)


def _to_table(rows: Sequence[Sequence[Any]]) -> pa.Table:
    columns = dict(zip(COLUMNS, list(zip(*rows, strict=True))[1:], strict=True))
    arrays = {}
    for field in EVENT_SCHEMA:
        values, kind = columns[field.name], field.type
        if field.name == "seen":
            arrays[field.name] = pa.array(values, pa.int8()).cast(kind)
        elif field.name == "at":
            arrays[field.name] = pa.array(values, pa.int64()).cast(kind)
        elif field.name == "type":
            arrays[field.name] = pa.array(values, pa.string()).cast(kind)
        else:
            arrays[field.name] = pa.array(values, kind)
    return pa.table(arrays, schema=EVENT_SCHEMA)


def _to_us(moment: datetime) -> int:
    return (moment - _EPOCH) // _US


def _from_us(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _US


class Connections:
    """Connections that are borrowed and given back; ``connect`` makes one where none is idle."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._idle: list[Any] = []
        self._lock = threading.Lock()

    @contextmanager
    def borrow(self) -> Iterator[Any]:
        """Yield a connection; one on which something failed is not used again."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        """Close those that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
